"""The source `chula_rbc12`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.sources import ChulaRbc12
from tailscope.sources.chula import CLASSES

SHARED = Path(__file__).resolve().parents[3] / "shared"


def write_chula(root: Path, **labels: str | None) -> Path:
    """Images n1, n2 … with these label files; None for an image without one."""
    for folder in ("Dataset", "Label"):
        (root / folder).mkdir(exist_ok=True)
    for name, text in labels.items():
        # PNG data under a .jpg name, as 32 of the published files
        Image.new("RGB", (640, 480), (200, 100, 50)).save(root / f"Dataset/{name}.jpg", format="PNG")
        if text is not None:
            (root / f"Label/{name}.txt").write_text(text)
    return root


def test_no_label_file_is_unlabelled_and_an_empty_one_is_negative(tmp_path):
    dataset = ChulaRbc12()(write_chula(tmp_path, n1="10 20 12\n", n2="", n3=None))
    assert dataset.images["image_id"].tolist() == ["n1", "n2"]
    positive = dataset.labels[dataset.labels["state"] == "positive"]
    assert positive[["image_id", "class"]].to_numpy().tolist() == [["n1", "elliptocyte"]]
    assert set(dataset.labels["state"]) == {"positive", "negative"}
    assert "1 images without a label file left out" in dataset.notes[0]


def test_a_point_becomes_a_disc_of_the_set_radius(tmp_path):
    [shape] = ChulaRbc12(radius_px=30)(write_chula(tmp_path, n1="10 20 4\n")).annotations.itertuples()
    assert (shape.kind, json.loads(shape.geometry)) == ("disc", [10, 20, 30])
    assert (shape.ref_width, shape.ref_height) == (640, 480)


def test_png_data_under_a_jpg_name_opens(tmp_path):
    dataset = ChulaRbc12()(write_chula(tmp_path, n1=""))
    assert dataset.read_pixels(0).shape == (480, 640, 3)


@pytest.mark.parametrize("line", ["10 20 13", "10 20", "a b c", "10 20 -1"])
def test_a_wrong_line_is_refused_with_its_place(tmp_path, line):
    with pytest.raises(DataError, match=r"Label/n1\.txt, line 2: .*expected `x y class`"):
        ChulaRbc12()(write_chula(tmp_path, n1=f"1 1 0\n{line}\n"))


def test_a_point_outside_the_image_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 1: point .* lies outside its frame of 640 × 480"):
        ChulaRbc12()(write_chula(tmp_path, n1="20 500 0\n"))


def test_a_label_file_without_image_is_refused(tmp_path):
    root = write_chula(tmp_path, n1="")
    (root / "Label/n9.txt").write_text("")
    with pytest.raises(DataError, match=r"Label/n9\.txt has no image"):
        ChulaRbc12()(root)


def test_missing_folders_are_both_named(tmp_path):
    with pytest.raises(DataError, match=r"(?s)Dataset does not exist.*Label does not exist"):
        ChulaRbc12()(tmp_path)


def test_a_radius_of_zero_is_refused():
    with pytest.raises(InputError, match="`radius_px` must be above 0"):
        ChulaRbc12(radius_px=0)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.needs_data
def test_the_real_data_have_the_published_counts(tmp_path):
    dataset = ChulaRbc12()(SHARED / "data/chula_rbc12")
    points = dataset.annotations["class"].value_counts()
    assert len(dataset.images) == 623
    assert [int(points[name]) for name in CLASSES] == [
        6330, 689, 461, 3449, 2753, 1996, 2140, 307, 785, 897, 184, 1063, 1052,
    ]  # fmt: skip
    positive = dataset.labels[dataset.labels["state"] == "positive"]
    annotated = dataset.annotations.drop_duplicates(["image_id", "class"])
    assert len(positive) == len(annotated)
    settings = DataSettings(image_size=(36, 48), split=SplitSettings(by="patient", test=0.25, val=0.15))
    data = prepare(dataset, settings, tmp_path)
    assert data.pixels.shape == (623, 36, 48, 3)
    assert data.flips_allowed
    assert not data.patients_known
    assert len(data.annotated) == len(annotated)
    row, column = data.annotated[0]
    shapes = data.annotations[
        (data.annotations["image_id"] == data.image_ids[row]) & (data.annotations["class"] == data.classes[column])
    ]
    y, x = np.indices((36, 48)) + 0.5
    union = np.zeros((36, 48), dtype=bool)
    for px, py, radius in map(json.loads, shapes["geometry"]):
        union |= (x * 640 / 48 - px) ** 2 + (y * 480 / 36 - py) ** 2 <= radius**2
    assert np.array_equal(data.masks(row, data.classes[column]), union)
