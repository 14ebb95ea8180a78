"""The source `cbis_ddsm`, against tables with the real headers."""

from __future__ import annotations

import csv
import json
import shutil
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
    note = "1 of them have another size than their mammogram and are scaled along"
    assert f"{note}: 'Mass-Training_P_00001_LEFT_CC_1'" in dataset.notes


def test_a_file_of_another_shape_or_of_many_values_is_no_mask(tmp_path):
    root = write_set(tmp_path)
    for number, values in ((1, DRAWN[:20].astype(np.uint8) * 255), (2, picture(SIZE, 5))):
        folder = f"Mass-Training_P_00001_LEFT_CC_{number}/07-20-2016/1.000000-ROI mask images-2"
        save(root, folder, "1-2.png" if number == 1 else "1-1.png", values)
    notes = CbisDdsm(masks=True)(root).notes
    assert any(note.startswith("2 abnormalities have no file that is a mask of their mammogram's") for note in notes)


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


CASE = "Mass-Training_P_00001_LEFT_CC"
WIDE = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}


@pytest.fixture
def dicom_set(tmp_path, write_dicom):
    """As :func:`write_set`, as DICOM under the names that the archive's downloader gives, or under others."""

    def build(
        whole: str = f"{CASE}/07-20-2016/1.000000-full mammogram images-1", roi: str = f"{CASE}_{{}}/a/b"
    ) -> Path:
        root = tmp_path / "set"
        pixels = picture(SIZE)
        write_dicom(root / whole / "1-1.dcm", pixels, SeriesInstanceUID="8.1", **WIDE)
        for number, (crop, mask) in ((1, ("1-1", "1-2")), (2, ("1-2", "1-1"))):
            folder = root / roi.format(number)
            write_dicom(folder / f"{crop}.dcm", picture((7, 9), number), SeriesInstanceUID=f"9.1.{number}", **WIDE)
            drawn = DRAWN.astype(np.uint8) * 255
            write_dicom(folder / f"{mask}.dcm", drawn, SeriesInstanceUID=f"9.1.{number}")
        rows = [row("P_00001", 1, "BENIGN"), row("P_00001", 2, "MALIGNANT")]
        for cells in rows:
            cells[11:] = [cell.replace("8.P_00001", "8.1").replace("9.P_00001", "9.1") for cell in cells[11:]]
        return write_table(root, "mass_case_description_train_set.csv", *rows)

    return build


def masks_of(dataset) -> list[np.ndarray]:
    return [decode_rle(json.loads(text)) for text in dataset.annotations["geometry"]]


def test_a_mammogram_of_16_bits_is_read_from_dicom_over_its_whole_range(dicom_set):
    dataset = CbisDdsm()(dicom_set())
    exact = picture(SIZE).astype(np.float64) * 255 / 65535
    assert dataset.images["path"].tolist() == [f"{CASE}/07-20-2016/1.000000-full mammogram images-1/1-1.dcm"]
    assert np.abs(dataset.read_pixels(0) - exact).max() <= 0.5


def test_dicom_masks_are_known_by_what_they_hold_and_those_that_changed_places_are_told(dicom_set):
    dataset = CbisDdsm(masks=True)(dicom_set())
    assert dataset.annotations["class"].tolist() == ["mass", "mass", "malignant"]
    assert all(np.array_equal(mask, DRAWN) for mask in masks_of(dataset))
    swapped = "1 of them are the file that the table calls the crop, by number or series"
    assert f"{swapped}: '{CASE}_2'" in dataset.notes


def test_a_mask_in_the_series_of_the_crop_is_told(dicom_set):
    root = dicom_set(roi="9.1.{}")
    table = root / "mass_case_description_train_set.csv"
    table.write_text(table.read_text().replace("9.1.1/000001", "7.7/000001"))  # the mask's series has no file
    notes = CbisDdsm(masks=True)(root).notes
    assert any(note.startswith("2 of them are the file that the table calls the crop") for note in notes)


def test_dicom_files_in_folders_of_any_name_are_told_by_the_series_in_their_headers(dicom_set):
    dataset = CbisDdsm(masks=True)(dicom_set(whole="renamed/1", roi="renamed/roi {}"))
    assert dataset.images["path"].tolist() == ["renamed/1/1-1.dcm"]
    assert all(np.array_equal(mask, DRAWN) for mask in masks_of(dataset))
    assert len(dataset.annotations) == 3
    assert "5 DICOM files were told by the series in their headers, not by their folders" in dataset.notes


def test_a_dicom_file_without_a_header_in_a_folder_of_another_name_is_passed_over_and_told(dicom_set):
    root = dicom_set()
    (root / "elsewhere").mkdir()
    (root / "elsewhere/1-1.dcm").write_bytes(b"no DICOM")
    assert "1 DICOM files have no header that can be read and were passed over" in CbisDdsm()(root).notes


def test_of_two_files_in_the_folder_of_a_case_the_one_of_the_listed_series_is_the_mammogram(dicom_set, write_dicom):
    root = dicom_set()
    write_dicom(root / CASE / "other/1-1.dcm", picture(SIZE, 4), SeriesInstanceUID="8.2", **WIDE)
    assert CbisDdsm()(root).images["path"].str.endswith("images-1/1-1.dcm").all()


def test_a_dicom_file_of_three_values_is_no_mask_however_few_have_the_third(dicom_set, write_dicom):
    root = dicom_set()
    spoiled = DRAWN.astype(np.uint8) * 255
    spoiled[0, 0] = 7
    write_dicom(root / f"{CASE}_1/a/b/1-2.dcm", spoiled)
    dataset = CbisDdsm(masks=True)(root)
    assert dataset.annotations["class"].tolist() == ["mass", "malignant"]
    assert any(note.startswith("1 abnormalities have no file that is a mask") for note in dataset.notes)


def test_two_masks_of_one_abnormality_that_differ_are_not_united(dicom_set, write_dicom):
    root = dicom_set()
    write_dicom(root / f"{CASE}_1/a/c/1-1.dcm", np.roll(DRAWN, 3, axis=0).astype(np.uint8) * 255)
    dataset = CbisDdsm(masks=True)(root)
    assert dataset.annotations["class"].tolist() == ["mass", "malignant"]
    assert f"1 abnormalities have several masks that differ, of which none was taken: '{CASE}_1'" in dataset.notes


def test_the_same_mask_twice_is_one(dicom_set, write_dicom):
    root = dicom_set()
    write_dicom(root / f"{CASE}_1/a/c/1-1.dcm", DRAWN.astype(np.uint8) * 255)
    assert len(CbisDdsm(masks=True)(root).annotations) == 3


def test_a_broken_file_beside_a_mask_is_passed_over_and_told(dicom_set):
    root = dicom_set()
    (root / f"{CASE}_1/a/b/1-1.dcm").write_bytes(b"no DICOM")
    dataset = CbisDdsm(masks=True)(root)
    assert len(dataset.annotations) == 3
    assert f"1 files beside masks cannot be read and were passed over: '{CASE}_1/a/b/1-1.dcm'" in dataset.notes


def test_an_abnormality_without_files_stays_without_a_mask_which_is_told(dicom_set):
    root = dicom_set()
    shutil.rmtree(root / f"{CASE}_2")
    notes = CbisDdsm(masks=True)(root).notes
    assert f"1 abnormalities have no mask on disk, and stay without one: '{CASE}_2'" in notes


def test_nothing_of_a_header_but_its_series_reaches_the_data_set(dicom_set, write_dicom):
    root = dicom_set(whole="renamed/1")
    names = {"PatientName": "SECRET^NAME", "PatientBirthDate": "19400101", "SeriesInstanceUID": "8.1"}
    write_dicom(root / "renamed/1/1-1.dcm", picture(SIZE), **names, **WIDE)
    dataset = CbisDdsm(masks=True)(root)
    told = f"{dataset.images.to_dict()} {dataset.annotations.to_dict()} {dataset.notes}"
    assert "SECRET" not in told
    assert "1940" not in told
