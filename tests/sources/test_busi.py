"""The source `busi`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.core.geometry import decode_rle
from tailscope.sources import Busi

SIZE = (8, 12)
FIRST, SECOND = np.zeros(SIZE, dtype=bool), np.zeros(SIZE, dtype=bool)
FIRST[1:3, 2:9] = True
SECOND[2:6, 8:11] = True  # overlaps the first


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_set(root: Path, home: str = "Dataset_BUSI_with_GT") -> Path:
    """Benign with two masks, malignant with one, normal with an empty one."""
    for number, name in enumerate(("benign (1)", "malignant (1)", "normal (1)")):
        folder = root / home / name.split()[0]
        save(folder / f"{name}.png", np.full((*SIZE, 3), 40 * number, dtype=np.uint8) + np.arange(3, dtype=np.uint8))
        drawn = FIRST & (number < 2)
        save(folder / f"{name}_mask.png", drawn if number else np.repeat(drawn[..., None] * np.uint8(255), 3, axis=2))
    save(root / home / "benign/benign (1)_mask_1.png", SECOND.astype(np.uint8) * 255)
    return root


@pytest.mark.parametrize("home", ["", "Dataset_BUSI_with_GT"])
def test_the_folder_is_the_diagnosis(tmp_path, home):
    dataset = Busi()(write_set(tmp_path, home))
    positive = dataset.labels[dataset.labels["state"] == "positive"]
    assert list(zip(positive["image_id"], positive["class"], strict=True)) == [
        ("benign (1)", "benign"),
        ("malignant (1)", "malignant"),
        ("normal (1)", "normal"),
    ]
    assert dataset.images["patient_id"].isna().all()
    assert Busi.recognise(tmp_path) is not None


def test_each_mask_is_a_shape_of_its_own_also_where_they_overlap(tmp_path):
    dataset = Busi()(write_set(tmp_path))
    shapes = dataset.annotations
    assert shapes["class"].tolist() == ["benign", "benign", "malignant"]
    drawn = [decode_rle(json.loads(text)) for text in shapes["geometry"]]
    assert np.array_equal(drawn[0], FIRST)
    assert np.array_equal(drawn[1], SECOND)
    assert "1 images have several masks" in dataset.notes


def test_an_empty_mask_of_a_normal_image_is_no_region_and_no_remark(tmp_path):
    dataset = Busi()(write_set(tmp_path))
    assert "normal" not in set(dataset.annotations["class"])
    assert not any("empty" in note for note in dataset.notes)


def test_masks_are_left_out_if_not_asked_for(tmp_path):
    assert Busi(masks=False)(write_set(tmp_path)).annotations.empty


def test_known_repeats_are_said(tmp_path):
    assert any("235 repeated images" in note for note in Busi()(write_set(tmp_path)).notes)


def test_missing_and_empty_masks_of_lesions_are_noted(tmp_path):
    folder = write_set(tmp_path) / "Dataset_BUSI_with_GT"
    (folder / "malignant/malignant (1)_mask.png").unlink()
    save(folder / "benign/benign (1)_mask_1.png", np.zeros(SIZE, dtype=np.uint8))
    notes = Busi()(tmp_path).notes
    assert "1 benign or malignant images have no mask file" in notes
    assert "1 masks of benign or malignant images are empty and were left out" in notes


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("benign/benign (2)_mask.png", FIRST, r"benign \(2\)_mask\.png has no image"),
        ("benign/benign (1)_mask.png", FIRST.T, r"has \(12, 8\) pixels"),
        ("normal/normal (1)_mask.png", FIRST, "is normal and has a mask that is not empty"),
        ("benign/extra.png", FIRST, r"extra\.png is not named as published"),
        ("benign/malignant (3).png", FIRST, r"malignant \(3\)\.png is not named as published"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, name, values, message):
    save(write_set(tmp_path) / "Dataset_BUSI_with_GT" / name, values)
    with pytest.raises(DataError, match=message):
        Busi()(tmp_path)


def test_folders_of_these_names_with_other_files_are_not_recognised(tmp_path):
    for name in ("benign", "malignant", "normal"):
        save(tmp_path / name / "a.png", FIRST)
    assert Busi.recognise(tmp_path) is None


def test_a_folder_without_the_three_is_refused(tmp_path):
    assert Busi.recognise(tmp_path) is None
    with pytest.raises(DataError, match="holds no folders benign, malignant, normal"):
        Busi()(tmp_path)
    with pytest.raises(InputError, match="`masks` must be true or false"):
        Busi(masks="yes")  # type: ignore[arg-type]
