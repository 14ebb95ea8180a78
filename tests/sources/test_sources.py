"""What every registered source must keep."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tailscope.core import ANNOTATION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, SPLITS, STATES, Dataset
from tailscope.data import DATASETS, DataSettings, SplitSettings, prepare
from tailscope.data.validation import check_dataset
from tailscope.sources.chexpert_tables import CLASSES as CHEXPERT_CLASSES
from tailscope.sources.chula import CLASSES as CHULA_CLASSES
from tailscope.sources.nih_tables import FINDINGS

COUNT = 24


def write_image(path: Path, number: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)).save(path, format="PNG")


def make_csv(root: Path) -> Dataset:
    rows = ["image,patient,mass,edema"]
    for number in range(COUNT):
        write_image(root / f"images/{number}.png", number, (6, 8))
        rows.append(f"{number}.png,p{number // 2},{number % 2},{number % 3 % 2}")
    (root / "labels.csv").write_text("\n".join(rows))
    (root / "shapes.csv").write_text("image,class,x0,y0,x1,y1\n1.png,mass,0,0,3,3\n")
    return DATASETS.build("csv", patient_column="patient", annotations="shapes.csv")(root)


def make_chula(root: Path) -> Dataset:
    (root / "Label").mkdir()
    for number in range(COUNT):
        write_image(root / f"Dataset/{number}.jpg", number, (480, 640))
        lines = [f"100 {100 + name} {name}" for name in range(len(CHULA_CLASSES)) if (number + name) % 2]
        (root / f"Label/{number}.txt").write_text("\n".join(lines))
    return DATASETS.build("chula_rbc12")(root)


def make_nih(root: Path) -> Dataset:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"]
    for number in range(COUNT):
        name = f"{number // 2:08}_{number % 2:03}.png"
        write_image(root / "images" / name, number, (16, 16))
        found = "|".join(FINDINGS) if number % 2 else "No Finding"
        rows.append(f"{name},{found},0,{number // 2},50,M,PA,")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows))
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000000_001.png,Mass,10,10,500,500\n"
    )
    return DATASETS.build("nih_chestxray14")(root)


def make_chexpert(root: Path) -> Dataset:
    rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CHEXPERT_CLASSES)]
    for number in range(COUNT):
        path = f"train/patient{number // 2:05}/study{number % 2}/view1_frontal.jpg"
        write_image(root / path, number, (12, 10))
        rows.append(f"CheXpert-v1.0/{path},Male,50,Frontal,AP" + f",{number % 2}.0" * len(CHEXPERT_CLASSES))
    (root / "train.csv").write_text("\n".join(rows))
    return DATASETS.build("chexpert")(root)


def make_phantom(root: Path) -> Dataset:
    return DATASETS.build("phantom", train=24, val=12, test=12, minimum_positives=2)(None)


MAKERS: dict[str, Callable[[Path], Dataset]] = {
    "chexpert": make_chexpert,
    "chula_rbc12": make_chula,
    "csv": make_csv,
    "nih_chestxray14": make_nih,
    "phantom": make_phantom,
}


def made_again(dataset: Dataset) -> Dataset:
    root = getattr(dataset.read_pixels, "root", None)
    settings = {"csv": {"patient_column": "patient", "annotations": "shapes.csv"}}.get(dataset.name, {})
    if root is None:
        return make_phantom(Path())
    return DATASETS.build(dataset.name, **settings)(root)


@pytest.fixture(params=sorted(MAKERS))
def made(request, tmp_path):
    return lambda: MAKERS[request.param](tmp_path)


def test_every_registered_source_is_tested_here():
    assert set(DATASETS.names()) == {*MAKERS, "pasted"}  # which rests on another source: test_pasted.py


def test_the_tables_have_their_columns_and_are_sound(made):
    dataset = made()
    assert tuple(dataset.images.columns) == IMAGE_COLUMNS
    assert tuple(dataset.labels.columns) == LABEL_COLUMNS
    assert tuple(dataset.annotations.columns) == ANNOTATION_COLUMNS
    assert set(dataset.labels["state"]) <= set(STATES)
    assert set(dataset.images["split"].dropna()) <= set(SPLITS)
    check_dataset(dataset)


def test_image_keys_are_unique_and_sorted(made):
    keys = made().images["image_id"].tolist()
    assert keys == sorted(set(keys))


def test_every_image_has_content_of_its_own_and_pixels(made):
    dataset = made()
    content = dataset.content()
    assert len(set(content)) == len(dataset.images)
    for row in (0, len(dataset.images) - 1):
        pixels = dataset.read_pixels(row)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2 or pixels.shape[2] == 3


def test_paths_stay_below_their_root(made):
    for path in made().images["path"].dropna():
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts


def test_reading_again_gives_the_same_whatever_the_order_of_the_folder(made, monkeypatch):
    first = made()
    scandir, glob = Path.iterdir, Path.glob
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(scandir(self))))
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(list(glob(self, pattern))))
    second = made_again(first)
    pd.testing.assert_frame_equal(first.images, second.images)
    pd.testing.assert_frame_equal(first.labels, second.labels)
    pd.testing.assert_frame_equal(first.annotations, second.annotations)


def test_readers_of_files_can_be_sent_to_another_process(made):
    dataset = made()
    if hasattr(dataset.read_pixels, "root"):
        assert np.array_equal(pickle.loads(pickle.dumps(dataset.read_pixels))(0), dataset.read_pixels(0))


def test_every_source_can_be_prepared(made, tmp_path):
    dataset = made()
    data = prepare(dataset, DataSettings(image_size=(16, 16), split=SplitSettings(by="auto")), tmp_path / "cache")
    assert data.pixels.shape[:3] == (len(dataset.images), 16, 16)
    assert all(data.masks(row, data.classes[column]).any() for row, column in data.annotated)
    assert len(data.annotated) > 0 or dataset.annotations.empty
    assert data.flips_allowed == (dataset.name == "chula_rbc12")
