"""The source `chestx_det`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.core.errors import LeakageError
from tailscope.data import DataSettings, prepare
from tailscope.sources import ChestXDet

RING = [[10, 20], [30, 20], [30, 60]]


def record(name: str, *findings: str) -> dict[str, Any]:
    count = len(findings)
    return {"file_name": name, "syms": list(findings), "boxes": [[10, 20, 30, 60]] * count, "polygons": [RING] * count}


def write_set(root: Path, names: dict[str, str] | None = None) -> Path:
    """Four images, two in each part; 1 and 3 are of one patient if these names are given."""
    lists = {
        "train": [record("1.png", "Mass", "Pleural Thickening"), record("2.png")],
        "test": [record("3.png", "Mass"), record("4.png")],
    }
    for number, name in enumerate(("1.png", "2.png", "3.png", "4.png")):
        path = root / f"{'train' if number < 2 else 'test'}_data/{name}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 10 * number, dtype=np.uint8)).save(path)
    for split, records in lists.items():
        (root / f"ChestX_Det_{split}.json").write_text(json.dumps(records))
    if names is not None:
        (root / "names.json").write_text(json.dumps(names))
    return root


NAMES = {"1.png": "00000003_003.png", "2.png": "00000007_000.png", "3.png": "00000003_004.png"}


def test_findings_are_positive_where_they_were_drawn_and_else_negative(tmp_path):
    labels = ChestXDet()(write_set(tmp_path)).labels
    positive = labels[labels["state"] == "positive"]
    assert list(zip(positive["image_id"], positive["class"], strict=True)) == [
        ("1.png", "Mass"),
        ("1.png", "Pleural Thickening"),
        ("3.png", "Mass"),
    ]
    assert set(labels["state"]) == {"positive", "negative"}


def test_an_image_on_which_nothing_was_drawn_is_not_said_to_be_normal(tmp_path):
    dataset = ChestXDet()(write_set(tmp_path))
    assert "No Finding" not in dataset.classes
    assert '2 images have none, which is not "No Finding"' in dataset.notes[0]


def test_without_names_no_patient_is_known_and_the_known_leak_is_said(tmp_path):
    dataset = ChestXDet()(write_set(tmp_path))
    assert dataset.images["patient_id"].isna().all()
    assert any("known to have 271 patients in both parts; give `names`" in note for note in dataset.notes)


def test_names_give_patients_as_the_label_file_writes_them_and_count_the_leak(tmp_path):
    dataset = ChestXDet(names="names.json")(write_set(tmp_path, NAMES))
    assert dataset.images["patient_id"].tolist() == ["3", "7", "3", None]
    assert any("1 patients stand in train and test, with 1 of 2 test images" in note for note in dataset.notes)


def test_a_published_split_that_leaks_is_refused_before_training(tmp_path):
    dataset = ChestXDet(names="names.json")(write_set(tmp_path, NAMES))
    with pytest.raises(LeakageError, match="patient '3' stands in"):
        prepare(dataset, DataSettings(image_size=(8, 8), classes=("Mass",)), tmp_path / "cache")


@pytest.mark.parametrize(("shapes", "geometry"), [("polygons", [RING]), ("boxes", [10, 20, 30, 60])])
def test_an_instance_is_one_shape(tmp_path, shapes, geometry):
    annotations = ChestXDet(shapes=shapes)(write_set(tmp_path)).annotations
    assert len(annotations) == 3
    assert json.loads(annotations["geometry"].iloc[0]) == geometry
    assert set(annotations["ref_width"]) == {1024}


def test_chestx_det10_is_recognised_and_has_ten_classes(tmp_path):
    write_set(tmp_path)
    for split in ("train", "test"):
        values = json.loads((tmp_path / f"ChestX_Det_{split}.json").read_text())
        for value in values:
            del value["polygons"]
            value["syms"] = ["Mass" for _ in value["syms"]]
        (tmp_path / f"{split}.json").write_text(json.dumps(values))
        (tmp_path / f"ChestX_Det_{split}.json").unlink()
    assert ChestXDet.recognise(tmp_path) == "chestx_det10: train.json, test.json"
    dataset = ChestXDet()(tmp_path)
    assert len(dataset.classes) == 10
    assert set(dataset.annotations["kind"]) == {"box"}


def test_any_other_list_is_not_recognised(tmp_path):
    (tmp_path / "train.json").write_text('[{"image": "a.png"}]')
    assert ChestXDet.recognise(tmp_path) is None
    (tmp_path / "train.json").write_bytes(b"\xff\xfe")
    assert ChestXDet.recognise(tmp_path) is None


def test_beside_nihs_label_file_the_lists_are_annotations_of_that_set(tmp_path):
    (write_set(tmp_path) / "Data_Entry_2017.csv").write_text("Image Index\n")
    assert ChestXDet.recognise(tmp_path) is None


def test_missing_images_are_refused_or_skipped(tmp_path):
    (write_set(tmp_path) / "train_data/1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images are missing.*'1\.png'.*missing: skip"):
        ChestXDet()(tmp_path)
    dataset = ChestXDet(missing="skip")(tmp_path)
    assert len(dataset.images) == 3
    assert len(dataset.annotations) == 1


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`shapes` must be polygons or boxes"):
        ChestXDet(shapes="masks")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        ChestXDet(missing="no")  # type: ignore[arg-type]
