"""The source `padchest_gr`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.sources import PadChestGr

NORMAL = {"sentence_en": "No pleural effusion.", "sentence_es": "Sin derrame.", "abnormal": False}


def abnormal(*labels: str, boxes: Any = (), **more: Any) -> dict[str, Any]:
    return {"abnormal": True, "labels": list(labels), "boxes": [list(box) for box in boxes], **more}


def write_set(root: Path, *findings: list[dict[str, Any]], master: str | None = "") -> Path:
    """Studies s0, s1 … with images i0.png … of 40 × 20 pixels (width × height)."""
    studies = []
    for number, found in enumerate(findings):
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 40), number, dtype=np.uint16)).save(root / f"images/i{number}.png")
        studies.append({"StudyID": f"s{number}", "ImageID": f"i{number}.png", "findings": found})
    (root / "grounded_reports_20240819.json").write_text(json.dumps(studies))
    if master is not None:
        rows = master or "\n".join(f"s{number},p{number},train,edema,pulmonary" for number in range(len(findings)))
        (root / "master_table.csv").write_text(f"StudyID,PatientID,split,label,label_group\n{rows}\n")
    return root


def test_shares_of_width_and_height_become_pixels(tmp_path):
    root = write_set(tmp_path, [abnormal("edema", boxes=[(0.25, 0.1, 0.5, 0.9)])])
    [shape] = PadChestGr()(root).annotations.itertuples()
    assert (shape.image_id, shape[2]) == ("i0.png", "edema")
    assert json.loads(shape.geometry) == [10, 2, 20, 18]
    assert (shape.ref_height, shape.ref_width) == (20, 40)


def test_a_normal_sentence_without_labels_and_boxes_says_nothing(tmp_path):
    dataset = PadChestGr()(write_set(tmp_path, [NORMAL, abnormal("edema")], [NORMAL]))
    assert dataset.labels[["image_id", "class", "state"]].to_numpy().tolist() == [["i0.png", "edema", "positive"]]
    assert len(dataset.images) == 2
    assert dataset.annotations.empty


def test_boxes_of_a_sentence_belong_to_each_of_its_labels_once(tmp_path):
    box = (0.1, 0.1, 0.2, 0.2)
    root = write_set(tmp_path, [abnormal("edema", "mass", boxes=[box]), abnormal("edema", boxes=[box])])
    dataset = PadChestGr()(root)
    assert dataset.annotations["class"].tolist() == ["edema", "mass"]
    assert dataset.labels["class"].tolist() == ["edema", "mass"]


def test_patients_and_the_published_split_come_from_the_master_table(tmp_path):
    master = "s0,p7,train,edema,g\ns0,p7,train,mass,h\ns1,p8,validation,edema,g\ns2,p9,test,edema,g"
    root = write_set(tmp_path, *[[abnormal("edema")]] * 3, master=master)
    images = PadChestGr()(root).images
    assert images["patient_id"].tolist() == ["p7", "p8", "p9"]
    assert images["split"].tolist() == ["train", "val", "test"]


def test_groups_take_the_place_of_labels_if_asked_for(tmp_path):
    root = write_set(tmp_path, [abnormal("edema", boxes=[(0, 0, 1, 1)])])
    dataset = PadChestGr(grouped=True)(root)
    assert dataset.classes == ("pulmonary",)
    assert dataset.annotations["class"].tolist() == ["pulmonary"]


def test_without_master_table_neither_patient_nor_split_is_known(tmp_path):
    root = write_set(tmp_path, [abnormal("edema")], master=None)
    dataset = PadChestGr()(root)
    assert dataset.images["patient_id"].isna().all()
    assert any("1 images have no row in master_table.csv" in note for note in dataset.notes)
    with pytest.raises(DataError, match="expected it for `grouped: true`"):
        PadChestGr(grouped=True)(root)


def test_further_boxes_are_counted(tmp_path):
    root = write_set(tmp_path, [abnormal("edema", extra_boxes=[[0, 0, 1, 1]])])
    assert "1 further boxes (`extra_boxes`) are not used" in PadChestGr()(root).notes


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (abnormal("edema", boxes=[(0.5, 0.1, 0.2, 0.2)]), "study 1: box .* is inverted or empty"),
        (abnormal("edema", boxes=[(0.5, 0.1, 1.2, 0.2)]), "study 1: box .* lies outside"),
        (abnormal("edema", boxes=[(0.5, 0.1, 1.2)]), "study 1: a box has not four numbers"),
        ("edema", "study 1: .*expected `StudyID`"),
    ],
)
def test_a_wrong_study_is_refused(tmp_path, finding, message):
    with pytest.raises(DataError, match=message):
        PadChestGr()(write_set(tmp_path, [finding]))


@pytest.mark.parametrize(
    ("master", "message"),
    [
        ("s0,p0,dev,edema,g", "line 2: split 'dev' is unknown"),
        ("s0,p0,train,edema,g\ns0,p0,test,edema,g", "line 3: study 's0' stands in another split"),
        ("s0,p0,train,edema,g\ns0,p1,train,edema,g", "line 3: study 's0' has another patient"),
    ],
)
def test_a_wrong_master_table_is_refused(tmp_path, master, message):
    with pytest.raises(DataError, match=message):
        PadChestGr()(write_set(tmp_path, [abnormal("edema")], master=master))


def test_missing_images_are_refused_or_skipped(tmp_path):
    root = write_set(tmp_path, [abnormal("edema")], [abnormal("mass")])
    (root / "images/i0.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are missing.*'i0\.png'.*join the parts"):
        PadChestGr()(root)
    assert PadChestGr(missing="skip")(root).classes == ("mass",)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("{}", "expected a list"), (None, "holds no")])
def test_a_file_that_is_no_list_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "grounded_reports_20240819.json").write_text(text)
    with pytest.raises(DataError, match=message):
        PadChestGr()(tmp_path)


def test_the_variant_says_whether_the_master_table_is_there(tmp_path):
    assert PadChestGr.recognise(tmp_path) is None
    write_set(tmp_path, [])
    assert PadChestGr.recognise(tmp_path) == "grounded_reports_20240819.json, with master_table.csv"


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        PadChestGr(missing="no")  # type: ignore[arg-type]
