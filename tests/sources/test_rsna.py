"""The source `rsna_pneumonia`, against made files with the real headers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data.text_tables import TextTable
from tailscope.sources import RsnaPneumonia, recognise
from tailscope.sources.rsna_tables import CLASSES, LABEL_COLUMNS, NORMAL, NOT_NORMAL, OPACITY, read_targets

LABELS, DETAILED = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
ROWS = (
    "aa-1,264.0,152.0,213.0,379.0,1",
    "aa-1,562.0,152.0,256.0,453.0,1",
    "bb-2,,,,,0",
    "cc-3,,,,,0",
)
KINDS = (f"aa-1,{OPACITY}", f"aa-1,{OPACITY}", f"bb-2,{NOT_NORMAL}", f"cc-3,{NORMAL}")


@pytest.fixture
def folder(tmp_path, write_dicom):
    def build(rows=ROWS, kinds=KINDS, *, images=("aa-1", "bb-2", "cc-3")) -> Path:
        (tmp_path / LABELS).write_text("\n".join([",".join(LABEL_COLUMNS), *rows]) + "\n")
        if kinds is not None:
            (tmp_path / DETAILED).write_text("\n".join(["patientId,class", *kinds]) + "\n")
        for name in images:
            path = tmp_path / f"stage_2_train_images/{name}.dcm"
            write_dicom(path, PatientAge="058Y", PatientSex="F", ViewPosition="AP")
        return tmp_path

    return build


def positives(dataset):
    labels = dataset.labels[dataset.labels["state"] == "positive"]
    return dict(zip(labels["image_id"], labels["class"], strict=True))


def test_rows_of_one_image_are_one_image_with_its_boxes_as_edges(folder):
    dataset = RsnaPneumonia()(folder())
    assert dataset.images["image_id"].tolist() == ["aa-1", "bb-2", "cc-3"]
    assert dataset.annotations["geometry"].tolist() == ["[264.0,152.0,477.0,531.0]", "[562.0,152.0,818.0,605.0]"]
    assert set(dataset.annotations["ref_width"]) == {1024}
    assert dataset.read_pixels(0).tolist() == [[0, 1], [2, 255]]


def test_rows_of_the_published_counts_are_26684_images_6012_of_them_positive():
    rows = [(f"n{number}", "", "", "", "", "0") for number in range(20672)]
    for boxes, images in ((1, 2614), (2, 3266), (3, 119), (4, 13)):
        rows += [
            (f"p{boxes}-{image}", "2.0", "3.0", "9.0", "9.0", "1") for image in range(images) for _ in range(boxes)
        ]
    assert len(rows) == 30227
    targets, shapes, _, problems = read_targets(TextTable(LABELS, LABEL_COLUMNS, tuple(rows), tuple(range(len(rows)))))
    assert (len(targets), sum(targets.values()), len(shapes), problems) == (26684, 6012, 9555, [])


def test_normal_and_not_normal_stay_apart_and_classes_exclude_each_other(folder):
    dataset = RsnaPneumonia()(folder())
    assert dataset.classes == CLASSES
    assert positives(dataset) == {"aa-1": OPACITY, "bb-2": NOT_NORMAL, "cc-3": NORMAL}
    assert set(dataset.labels["state"]) == {"positive", "negative"}


def test_an_image_id_is_never_a_patient(folder):
    dataset = RsnaPneumonia()(folder())
    assert dataset.images["patient_id"].isna().all()
    assert "patients are unknown" in " ".join(dataset.notes)


def test_a_mapping_to_nih_gives_patients_and_says_how_many_have_none(tmp_path, folder):
    records = [
        {"subset_img_id": "aa-1", "img_id": "00000003_000.png", "SOPInstanceUID": "1.2.3"},
        {"subset_img_id": "cc-3", "img_id": "00000003_007.png", "SOPInstanceUID": "1.2.4"},
    ]
    (tmp_path / MAPPING).write_text(json.dumps(records))
    dataset = RsnaPneumonia()(folder())
    assert dataset.images["patient_id"].tolist() == ["3", None, "3"]
    assert f"by {MAPPING}: 2 images have one, 1 have none" in " ".join(dataset.notes)


def test_a_table_of_matches_may_be_named_and_doubtful_ones_are_left_out(tmp_path, folder):
    lines = ["patientId,nih,mse", "aa-1,00000003_000.png,1.2", "bb-2,00000004_000,10.5", "cc-3,00030805_000,2"]
    (tmp_path / "matches.csv").write_text("\n".join(lines))
    dataset = RsnaPneumonia(nih_mapping="matches.csv")(folder())
    assert dataset.images["patient_id"].tolist() == ["3", None, "30805"]
    assert "1 doubtful matches left out" in " ".join(dataset.notes)


@pytest.mark.parametrize("text", ["[]", "{}", '[{"a": 1}]', "no json"])
def test_a_mapping_that_maps_nothing_is_refused(tmp_path, text, folder):
    (tmp_path / MAPPING).write_text(text)
    with pytest.raises(DataError, match=r"maps no image; expected records|is not JSON"):
        RsnaPneumonia()(folder())


def test_a_named_mapping_that_is_missing_is_refused(folder):
    with pytest.raises(DataError, match=r"m\.json does not exist.*correct `nih_mapping`"):
        RsnaPneumonia(nih_mapping="m.json")(folder())


def test_without_detailed_classes_there_is_one_class(folder):
    dataset = RsnaPneumonia()(folder(kinds=None))
    assert dataset.classes == (OPACITY,)
    assert positives(dataset) == {"aa-1": OPACITY}
    assert "may be normal or not" in " ".join(dataset.notes)


def test_headers_are_read_only_if_asked_for(tmp_path, folder):
    folder()
    plain = RsnaPneumonia()(tmp_path).images
    assert plain[["age", "sex", "view"]].isna().all().all()
    images = RsnaPneumonia(headers=True)(tmp_path).images
    assert images[["age", "sex", "view"]].drop_duplicates().to_numpy().tolist() == [[58.0, "F", "AP"]]


def test_converted_images_anywhere_below_the_folder_are_found(tmp_path, folder):
    folder(images=())
    (tmp_path / "png").mkdir()
    for name in ("aa-1", "bb-2", "cc-3"):
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / f"png/{name}.png")
    dataset = RsnaPneumonia()(tmp_path)
    assert dataset.images["path"].tolist() == ["png/aa-1.png", "png/bb-2.png", "png/cc-3.png"]
    with pytest.raises(DataError, match="`headers` needs DICOM files"):
        RsnaPneumonia(headers=True)(tmp_path)


def test_missing_and_unlisted_images_are_told(tmp_path, folder):
    folder(images=("aa-1", "cc-3", "dd-4"))
    with pytest.raises(DataError, match=r"1 of 3 listed images are missing.*'bb-2'.*missing: skip"):
        RsnaPneumonia()(tmp_path)
    notes = " ".join(RsnaPneumonia(missing="skip")(tmp_path).notes)
    assert "1 listed images are not on disk" in notes
    assert "1 images on disk are not listed" in notes


@pytest.mark.parametrize(
    ("rows", "kinds", "message"),
    [
        (("aa-1,,,,,1",), KINDS, "line 2: Target is 1 and the box is blank"),
        (("aa-1,1,2,3,4,0",), KINDS, "line 2: Target is 0 beside the box 1, 2, 3, 4"),
        (("aa-1,1,2,x,4,1",), KINDS, "line 2: box 1, 2, x, 4 is not four numbers"),
        (("aa-1,1,2,3,4,yes",), KINDS, "line 2: Target 'yes' is unknown"),
        (("aa-1,1,2,3,4,1", "aa-1,,,,,0"), KINDS, "line 3: image 'aa-1' has Target 0 and 1"),
        (("aa-1,1000,2,300,4,1",), KINDS, "line 2: box .* lies outside its frame of 1024 × 1024"),
        (("aa-1,10,2,0,4,1",), KINDS, "line 2: box .* is inverted or empty"),
        (ROWS, (*KINDS[:3], "cc-3,Healthy"), "line 5: class 'Healthy' is unknown"),
        (ROWS, (*KINDS, f"cc-3,{NOT_NORMAL}"), "line 6: image 'cc-3' is 'Normal' as well; expected one class"),
        (ROWS, (f"aa-1,{NORMAL}", *KINDS[2:]), "image 'aa-1' has Target 1 and is 'Normal'"),
        (ROWS, KINDS[:3], "image 'cc-3' has Target 0 and is 'without a class'"),
    ],
)
def test_a_wrong_row_is_refused(rows, kinds, message, folder):
    with pytest.raises(DataError, match=message):
        RsnaPneumonia()(folder(rows, kinds))


def test_an_image_in_two_places_is_refused(tmp_path, folder, write_dicom):
    folder()
    write_dicom(tmp_path / "stage_2_train_images/copy/aa-1.dcm")
    with pytest.raises(DataError, match="image 'aa-1' exists 2 times"):
        RsnaPneumonia()(tmp_path)


def test_it_is_recognised_by_the_header_and_not_by_the_name_alone(tmp_path, folder):
    assert recognise(folder()).variant == LABELS
    (tmp_path / DETAILED).unlink()
    assert recognise(tmp_path).variant == f"{LABELS} alone"
    (tmp_path / LABELS).write_text("patientId,Target\n")
    assert recognise(tmp_path) is None
    with pytest.raises(DataError, match=r"has no column 'x'"):
        RsnaPneumonia()(tmp_path)


def test_a_folder_without_the_table_and_unknown_settings_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no stage_2_train_labels\.csv"):
        RsnaPneumonia()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        RsnaPneumonia(missing="no")  # type: ignore[arg-type]
