"""The source `padchest`, against made files with the real columns."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings
from tailscope.data.views import view_labels
from tailscope.sources import PadChest
from tailscope.sources.padchest_tables import BROKEN

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS = (
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
    "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Modality_DICOM", "Manufacturer_DICOM",
    "PhotometricInterpretation_DICOM", "PixelRepresentation_DICOM", "PixelAspectRatio_DICOM",
    "SpatialResolution_DICOM", "BitsStored_DICOM", "WindowCenter_DICOM", "WindowWidth_DICOM", "Rows_DICOM",
    "Columns_DICOM", "XRayTubeCurrent_DICOM", "Exposure_DICOM", "ExposureInuAs_DICOM", "ExposureTime",
    "RelativeXRayExposure_DICOM", "ReportID", "Report", "MethodLabel", "Labels", "Localizations",
    "LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS",
)  # fmt: skip
DEFAULTS = {
    "StudyDate_DICOM": "20140915",
    "PatientBirth": "1950.0",
    "PatientSex_DICOM": "F",
    "Projection": "PA",
    "PhotometricInterpretation_DICOM": "MONOCHROME2",
    "MethodLabel": "Physician",
    "Localizations": "['loc cardiac']",
    "Report": "corazon , \n grande",
}


def write_set(root: Path, *rows: dict[str, str]) -> Path:
    """Images a.png, b.png … in folders of their numbers, all pixels 60000 of 65535."""
    with (root / TABLE).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for number, row in enumerate(rows):
            name = f"{'abcdefgh'[number]}.png"
            writer.writerow({**DEFAULTS, "ImageID": name, "ImageDir": str(number), "PatientID": f"p{number}", **row})
            path = root / f"images/{number}" / row.get("ImageID", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 6), 60000, dtype=np.uint16)).save(path)
    return root


def test_terms_are_whole_and_their_blanks_and_gaps_are_dropped(tmp_path):
    root = write_set(
        tmp_path,
        {"Labels": "['pleural effusion', ' cardiomegaly', '']"},
        {"Labels": "[' pericardial effusion']"},
        {"Labels": "['normal']"},
    )
    dataset = PadChest()(root)
    assert dataset.classes == ("cardiomegaly", "pericardial effusion", "pleural effusion")
    assert dataset.labels[["image_id", "class", "state"]].to_numpy().tolist() == [
        ["a.png", "cardiomegaly", "positive"],
        ["a.png", "pleural effusion", "positive"],
        ["b.png", "pericardial effusion", "positive"],
    ]


def test_what_is_not_named_is_unmentioned_and_becomes_what_the_settings_say(tmp_path):
    dataset = PadChest()(write_set(tmp_path, {"Labels": "['cardiomegaly']"}, {"Labels": "['normal']"}))
    assert view_labels(dataset, DataSettings(unmentioned="negative")).targets.tolist() == [[1], [0]]
    assert np.isnan(view_labels(dataset, DataSettings(unmentioned="ignore")).targets[1, 0])


def test_terms_that_are_no_findings_are_no_classes(tmp_path):
    root = write_set(tmp_path, {"Labels": "['unchanged', 'suboptimal study', 'scoliosis', 'normal']"})
    assert PadChest()(root).classes == ("scoliosis",)


def test_rows_without_labels_are_left_out_and_noted(tmp_path):
    root = write_set(tmp_path, {"Labels": ""}, {"Labels": "nan"}, {"Labels": "['scoliosis']"})
    dataset = PadChest()(root)
    assert dataset.images["image_id"].tolist() == ["c.png"]
    assert "2 have no labels and were left out" in dataset.notes


def test_unusable_images_are_kept_only_if_asked_for(tmp_path):
    root = write_set(tmp_path, {"Labels": "['exclude', 'scoliosis']"}, {"Labels": "['scoliosis']"})
    assert PadChest()(root).images["image_id"].tolist() == ["b.png"]
    assert len(PadChest(excluded=True)(root).images) == 2


def test_sixteen_bits_are_scaled_and_monochrome1_is_inverted_once(tmp_path):
    root = write_set(
        tmp_path,
        {"Labels": "['scoliosis']"},
        {"Labels": "['scoliosis']", "PhotometricInterpretation_DICOM": "MONOCHROME1"},
    )
    dataset = PadChest()(root)
    level = round(60000 / 257)
    assert [int(dataset.read_pixels(row)[0, 0]) for row in (0, 1)] == [level, 255 - level]
    first, second = dataset.content()
    assert first != second
    assert "1 are MONOCHROME1 and are inverted" in dataset.notes


def test_age_is_the_year_of_the_study_minus_the_year_of_birth(tmp_path):
    rows = [{"Labels": "['scoliosis']", "PatientBirth": birth} for birth in ("1950.0", "", "1800", "2020")]
    ages = PadChest()(write_set(tmp_path, *rows)).images["age"]
    assert ages.iloc[0] == 64
    assert ages.isna().tolist() == [False, True, True, True]


def test_lateral_views_are_used_only_if_asked_for(tmp_path):
    rows = [{"Labels": "['scoliosis']", "Projection": name} for name in ("PA", "AP", "AP_horizontal", "L", "COSTAL")]
    root = write_set(tmp_path, *rows)
    assert PadChest()(root).images["view"].tolist() == ["PA", "AP", "AP supine"]
    assert PadChest(views="all")(root).images["view"].tolist() == ["PA", "AP", "AP supine", "lateral", "costal"]


def test_who_labelled_is_kept(tmp_path):
    root = write_set(tmp_path, {"Labels": "['edema']"}, {"Labels": "['edema']", "MethodLabel": "RNN_model"})
    assert PadChest()(root).labels["reader"].tolist() == ["Physician", "RNN_model"]


def test_known_broken_images_are_left_out_and_noted(tmp_path):
    assert len(BROKEN) == 21
    root = write_set(tmp_path, {"Labels": "['edema']", "ImageID": sorted(BROKEN)[0]}, {"Labels": "['edema']"})
    dataset = PadChest()(root)
    assert dataset.images["image_id"].tolist() == ["b.png"]
    assert "1 are known to be absent or broken and were left out" in dataset.notes


def test_missing_images_are_refused_or_skipped(tmp_path):
    root = write_set(tmp_path, {"Labels": "['edema']"}, {"Labels": "['edema']"})
    (root / "images/0/a.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 listed images are missing.*'a\.png'.*missing: skip"):
        PadChest()(root)
    assert PadChest(missing="skip")(root).images["image_id"].tolist() == ["b.png"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"Labels": "cardiomegaly"}, "line 3: labels 'cardiomegaly' are no list"),
        ({"Labels": "[1]"}, "are no list"),
        ({"Labels": "__import__('os')"}, "are no list"),
        ({"Labels": "['edema']", "ImageID": "/a.png"}, "must be relative"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, row, message):
    root = write_set(tmp_path, {"Labels": "['edema']"})
    with (root / TABLE).open("a", newline="") as stream:
        csv.DictWriter(stream, COLUMNS).writerow({**DEFAULTS, "Report": "", "ImageID": "z.png", **row})
    with pytest.raises(DataError, match=message.replace("line 3", "line 4")):
        PadChest()(root)


def test_the_table_is_recognised_by_name_and_columns(tmp_path):
    assert PadChest.recognise(write_set(tmp_path)) == TABLE
    (tmp_path / TABLE).write_text("a,b\n")
    assert PadChest.recognise(tmp_path) is None


def test_a_folder_without_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected PadChest's table"):
        PadChest()(tmp_path)


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`views` must be frontal or all"):
        PadChest(views="lateral")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        PadChest(missing="no")  # type: ignore[arg-type]
