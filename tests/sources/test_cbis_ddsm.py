"""The source `cbis_ddsm`, against tables with the real headers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.core.geometry import decode_rle
from tailscope.sources import CbisDdsm

MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
CALC = (
    "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type,"
    "calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
SIZE = (40, 30)
DRAWN = np.zeros(SIZE, dtype=bool)
DRAWN[5:12, 18:27] = True


def picture(size: tuple[int, int], number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 65536, size, dtype=np.uint16)


def save(root: Path, folder: str, name: str, values: np.ndarray) -> None:
    path = root / "CBIS-DDSM" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def row(patient: str, number: int, pathology: str, kind: str = "Mass", part: str = "Training") -> list[str]:
    image = f"{kind}-{part}_{patient}_LEFT_CC"
    roi = f"{image}_{number}/1.2/9.{patient}.{number}"
    paths = [f"{image}/1.1/8.{patient}/000000.dcm", f"{roi}/000000.dcm", f"{roi}/000001.dcm\n"]
    facts = [patient, "3", "LEFT", "CC", str(number), kind.lower(), "OVAL", "CLEAR", "4", pathology, "4"]
    return [*facts, *paths]


def write_table(root: Path, name: str, *rows: list[str], header: str = MASS) -> Path:
    with (root / name).open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return root


def write_set(root: Path) -> Path:
    """A mammogram with a benign and a malignant mass; crop and mask have changed names in the second folder."""
    image = "Mass-Training_P_00001_LEFT_CC"
    save(root, f"{image}/07-20-2016/1.000000-full mammogram images-1", "1-1.png", picture(SIZE))
    mask = DRAWN.astype(np.uint8) * 255
    for number, names in ((1, ("1-1.png", "1-2.png")), (2, ("1-2.png", "1-1.png"))):
        folder = f"{image}_{number}/07-20-2016/1.000000-ROI mask images-2"
        save(root, folder, names[0], picture((7, 9), number))
        save(root, folder, names[1], mask)
    rows = [row("P_00001", 1, "BENIGN"), row("P_00001", 2, "MALIGNANT")]
    return write_table(root, "mass_case_description_train_set.csv", *rows)


def states(dataset) -> dict[str, str]:
    return dict(zip(dataset.labels["class"], dataset.labels["state"], strict=True))


def test_several_rows_are_one_mammogram_and_any_malignant_one_counts(tmp_path):
    dataset = CbisDdsm()(write_set(tmp_path))
    assert dataset.images[["image_id", "patient_id", "split", "view"]].to_numpy().tolist() == [
        ["Mass-Training_P_00001_LEFT_CC", "P_00001", "train", "CC"]
    ]
    assert states(dataset) == {"malignant": "positive", "mass": "positive", "calcification": "unmentioned"}


def test_the_mask_is_known_by_size_and_values_whatever_it_is_called(tmp_path):
    dataset = CbisDdsm(masks=True)(write_set(tmp_path))
    assert dataset.annotations["class"].tolist() == ["mass", "mass", "malignant"]
    assert all(np.array_equal(decode_rle(json.loads(text)), DRAWN) for text in dataset.annotations["geometry"])
    assert "2 masks were read" in dataset.notes


def test_masks_are_read_only_if_asked_for_which_is_said(tmp_path):
    dataset = CbisDdsm()(write_set(tmp_path))
    assert dataset.annotations.empty
    assert "masks were not read; set `masks: true`" in dataset.notes


def test_a_mask_of_another_size_is_scaled_along_if_its_aspect_ratio_is_the_same(tmp_path):
    root = write_set(tmp_path)
    folder = "Mass-Training_P_00001_LEFT_CC_1/07-20-2016/1.000000-ROI mask images-2"
    save(root, folder, "1-2.png", np.kron(DRAWN, np.ones((2, 2))).astype(np.uint8) * 255)
    dataset = CbisDdsm(masks=True)(root)
    assert dataset.annotations["ref_height"].tolist() == [80, 40, 40]
    assert "1 of them have another size than their mammogram and are scaled along" in dataset.notes


def test_a_file_of_another_shape_or_of_many_values_is_no_mask(tmp_path):
    root = write_set(tmp_path)
    for number, values in ((1, DRAWN[:20].astype(np.uint8) * 255), (2, picture(SIZE, 5))):
        folder = f"Mass-Training_P_00001_LEFT_CC_{number}/07-20-2016/1.000000-ROI mask images-2"
        save(root, folder, "1-2.png" if number == 1 else "1-1.png", values)
    notes = CbisDdsm(masks=True)(root).notes
    assert "2 abnormalities have no file that is a mask of their mammogram's shape" in notes


def test_images_below_folders_of_their_series_are_found(tmp_path):
    save(tmp_path, "jpeg/8.P_00002", "1-7.png", picture(SIZE))
    save(tmp_path, "jpeg/9.P_00002.1", "1-8.png", DRAWN.astype(np.uint8) * 255)
    write_table(tmp_path, "mass_case_description_test_set.csv", row("P_00002", 1, "BENIGN", part="Test"))
    dataset = CbisDdsm(masks=True)(tmp_path)
    assert dataset.images["split"].tolist() == ["test"]
    assert dataset.annotations["class"].tolist() == ["mass"]


def test_a_woman_in_both_sets_is_one_patient_and_a_leak_of_the_split_is_said(tmp_path):
    write_set(tmp_path)
    save(tmp_path, "Calc-Test_P_00001_LEFT_CC/1/2", "1-1.png", picture(SIZE, 3))
    rows = [row("P_00001", 1, "BENIGN_WITHOUT_CALLBACK", "Calc", "Test")]
    write_table(tmp_path, "calc_case_description_test_set.csv", *rows, header=CALC)
    dataset = CbisDdsm()(tmp_path)
    assert dataset.images["patient_id"].tolist() == ["P_00001", "P_00001"]
    assert dataset.images["breast_density"].tolist() == ["3", "3"]
    assert any("1 women stand in train and test, through the two sets: 'P_00001'" in note for note in dataset.notes)


def test_missing_mammograms_are_refused_or_skipped(tmp_path):
    rows = [row("P_00001", 1, "BENIGN"), row("P_00009", 1, "BENIGN")]
    write_table(write_set(tmp_path), "mass_case_description_train_set.csv", *rows)
    with pytest.raises(DataError, match=r"1 of 2 mammograms are missing: 'Mass-Training_P_00009_LEFT_CC'"):
        CbisDdsm()(tmp_path)
    assert len(CbisDdsm(missing="skip")(tmp_path).images) == 1


def test_a_mammogram_with_two_files_is_refused(tmp_path):
    save(write_set(tmp_path), "Mass-Training_P_00001_LEFT_CC/again", "1-1.png", picture(SIZE))
    with pytest.raises(DataError, match="mammogram Mass-Training_P_00001_LEFT_CC has 2 files"):
        CbisDdsm()(tmp_path)


@pytest.mark.parametrize(
    ("place", "cell", "message"),
    [
        (9, "UNPROVEN", "line 2: pathology 'UNPROVEN' is unknown"),
        (11, "000000.dcm", r"line 2: path '000000\.dcm' is not subject/study/series/file"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, place, cell, message):
    values = row("P_00001", 1, "BENIGN")
    values[place], values[13] = cell, values[13].strip()
    with pytest.raises(DataError, match=message):
        CbisDdsm()(write_table(write_set(tmp_path), "mass_case_description_train_set.csv", values))


def test_the_tables_are_recognised_and_a_folder_without_refused(tmp_path):
    assert CbisDdsm.recognise(tmp_path) is None
    with pytest.raises(DataError, match="expected these tables"):
        CbisDdsm()(tmp_path)
    assert CbisDdsm.recognise(write_set(tmp_path)) == "mass_case_description_train_set.csv"
    with pytest.raises(InputError, match="`missing` must be error or skip"):
        CbisDdsm(missing="no")  # type: ignore[arg-type]
