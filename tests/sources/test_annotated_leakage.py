"""Annotation sets that come with images of their own: copies of training images among them are found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import LeakageError
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.sources.chexpert_tables import CLASSES

SIDE = 64
SETTINGS = DataSettings(image_size=(SIDE, SIDE))
RINGS = [[[10, 10], [40, 10], [40, 40]]]


def _save(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(path)


def _tail(number: int) -> str:
    return f"patient{number:05}/study1/view1_frontal.png"


@pytest.fixture
def chexpert(tmp_path: Path) -> Path:
    """CheXpert's three parts, and CheXlocalize's outlines on a test image."""
    for name, split, first in (("train", "train", 0), ("valid", "valid", 20), ("test_labels", "test", 30)):
        rows = ["Path," + ",".join(CLASSES)]
        for number in range(first, first + 8):
            _save(tmp_path / split / _tail(number), number)
            rows.append(f"{split}/{_tail(number)}" + f",{number % 2}.0" * len(CLASSES))
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    drawn = {_tail(31).removesuffix(".png").replace("/", "_"): {"img_size": [SIDE, SIDE], "Edema": RINGS}}
    (tmp_path / "gt_annotations_test.json").write_text(json.dumps(drawn))
    return tmp_path


@pytest.fixture
def chestx_det(tmp_path: Path) -> Path:
    """ChestX-Det's two lists with their folders of images."""
    for part, first in (("train", 0), ("test", 50)):
        records = []
        for number in range(first, first + 12):
            _save(tmp_path / f"{part}_data/{number}.png", number)
            names = ["Effusion", "Mass"][number % 2 : number % 2 + 1]
            records.append({"file_name": f"{number}.png", "syms": names, "boxes": [[1, 1, 9, 9]], "polygons": RINGS})
        (tmp_path / f"ChestX_Det_{part}.json").write_text(json.dumps(records))
    return tmp_path


def _darker(old: Path, new: Path) -> None:
    pixels = np.asarray(Image.open(old))
    Image.fromarray((255 * (pixels / 255) ** 1.2 * 0.9).astype(np.uint8)).save(new)


@pytest.mark.parametrize(
    ("copy", "message"),
    [(shutil.copy, "have the same content and stand in test, train"), (_darker, "look alike stand in two splits")],
)
def test_a_copy_of_an_image_with_outlines_of_chexlocalize_is_found_in_training(chexpert, tmp_path, copy, message):
    assert "Edema" in set(DATASETS.build("chexpert")(chexpert).annotations["class"])
    prepare(DATASETS.build("chexpert")(chexpert), SETTINGS, tmp_path / "cache")
    copy(chexpert / "test" / _tail(31), chexpert / "train" / _tail(2))
    with pytest.raises(LeakageError, match=message) as caught:
        prepare(DATASETS.build("chexpert")(chexpert), SETTINGS, tmp_path / "cache")
    assert _tail(31) in str(caught.value)
    assert _tail(2) in str(caught.value)


@pytest.mark.parametrize(
    ("copy", "message"),
    [(shutil.copy, "have the same content and stand in test, train"), (_darker, "look alike stand in two splits")],
)
def test_a_copy_of_an_image_of_chestx_det_is_found_in_training(chestx_det, tmp_path, copy, message):
    settings = DataSettings(image_size=(SIDE, SIDE), classes=("Effusion", "Mass"))
    prepare(DATASETS.build("chestx_det")(chestx_det), settings, tmp_path / "cache")
    copy(chestx_det / "test_data/51.png", chestx_det / "train_data/3.png")
    with pytest.raises(LeakageError, match=message) as caught:
        prepare(DATASETS.build("chestx_det")(chestx_det), settings, tmp_path / "cache")
    assert "51.png" in str(caught.value)
