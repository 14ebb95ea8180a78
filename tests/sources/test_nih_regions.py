"""ChestX-Det's instances on NIH's images, and the labels and lists that the source `nih_chestxray14` can take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.sources import NihChestXray14

NAMES = ("00000003_003.png", "00000003_004.png", "00000007_000.png")
RING = [[10, 20], [30, 20], [30, 60]]


def write_nih(root: Path) -> Path:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"]
    (root / "images").mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(np.full((4, 4), 10 * number, dtype=np.uint8)).save(root / "images" / name)
        rows.append(f"{name},No Finding,0,{int(name[:8])},50,M,PA,")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows))
    return root


def write_det(root: Path, *findings: str, name: str = "36199.png") -> Path:
    count = len(findings)
    value = {"file_name": name, "syms": findings, "boxes": [[10, 20, 30, 60]] * count, "polygons": [RING] * count}
    (root / "ChestX-Det").mkdir()
    (root / "ChestX-Det/ChestX_Det_train.json").write_text(json.dumps([value]))
    (root / "names.csv").write_text("published,nih\n36199.png,00000003_003.png\n")
    return root


def test_instances_stand_on_the_images_that_their_names_tell(tmp_path):
    root = write_det(write_nih(tmp_path), "Pleural Thickening")
    source = NihChestXray14(annotations="chestx_det", det_names="names.csv")
    [shape] = source(root).annotations.itertuples()
    assert (shape.image_id, shape[2], shape.kind) == ("00000003_003.png", "Pleural_Thickening", "polygon")


def test_findings_that_nih_does_not_label_are_left_out_and_counted(tmp_path):
    root = write_det(write_nih(tmp_path), "Mass", "Fracture", "Calcification")
    dataset = NihChestXray14(annotations="chestx_det", det_names="names.csv", shapes="boxes")(root)
    assert dataset.annotations[["class", "kind"]].to_numpy().tolist() == [["Mass", "box"]]
    assert "2 instances of Calcification, Fracture are no class here and were left out" in dataset.notes


def test_instances_do_not_change_nihs_labels(tmp_path):
    root = write_det(write_nih(tmp_path), "Mass")
    dataset = NihChestXray14(annotations="chestx_det", det_names="names.csv")(root)
    assert set(dataset.labels["state"]) == {"negative"}


def test_the_first_version_of_the_lists_needs_no_names(tmp_path):
    root = write_det(write_nih(tmp_path), "Mass", name="00000007_000.png")
    assert NihChestXray14(annotations="chestx_det")(root).annotations["image_id"].tolist() == ["00000007_000.png"]


def test_anonymous_names_alone_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none of 1 images of chestx_det has an NIH name.*give `det_names`"):
        NihChestXray14(annotations="chestx_det")(write_det(write_nih(tmp_path), "Mass"))


def test_an_image_that_the_label_file_does_not_list_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"record 1: no image is named '00000099_000\.png'"):
        NihChestXray14(annotations="chestx_det")(write_det(write_nih(tmp_path), "Mass", name="00000099_000.png"))


def test_long_tailed_lists_choose_images_labels_and_splits(tmp_path):
    (write_nih(tmp_path) / "LongTailCXR").mkdir()
    for name, image in (("train", NAMES[0]), ("test", NAMES[2])):
        (tmp_path / f"LongTailCXR/nih-cxr-lt_single-label_{name}.csv").write_text(
            f"id,Mass,No Finding,subject_id\n{image},0,1,{image[:8]}\n"
        )
    dataset = NihChestXray14(labels="nih_cxr_lt")(tmp_path)
    assert dataset.images[["image_id", "patient_id", "split"]].to_numpy().tolist() == [
        [NAMES[0], "3", "train"],
        [NAMES[2], "7", "test"],
    ]
    assert dataset.classes == ("Mass", "No Finding")
    assert set(dataset.labels["reader"]) == {"nih_cxr_lt"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "mimic"}, "`labels` must be data_entry, nih_cxr_lt, nih_cxr_lt_balanced or prune_cxr"),
        ({"annotations": "det"}, "`annotations` must be bbox, chestx_det or chestx_det10"),
        ({"shapes": "masks"}, "`shapes` must be polygons or boxes"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        NihChestXray14(**settings)
