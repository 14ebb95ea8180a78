"""The source `tbx11k`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.sources import Tbx11k

CATEGORIES = [
    {"id": 1, "name": "ActiveTuberculosis", "supercategory": "Tuberculosis"},
    {"id": 2, "name": "ObsoletePulmonaryTuberculosis", "supercategory": "Tuberculosis"},
    {"id": 3, "name": "PulmonaryTuberculosis", "supercategory": "Tuberculosis"},
]
TRAIN = ("health/h1.png", "sick/s1.png", "tb/tb1.png", "tb/tb2.png")
VAL = ("tb/tb3.png",)


def box(image: int, category: int, *xywh: float) -> dict[str, Any]:
    return {
        "id": image * 10 + category, "image_id": image, "category_id": category, "bbox": list(xywh), "iscrowd": 0,
        "area": int(xywh[2] * xywh[3]), "width": 512, "height": 512,
    }  # fmt: skip


def write_list(home: Path, name: str, images: tuple[str, ...], *boxes: dict[str, Any]) -> None:
    entries = [
        {"id": number, "file_name": image, "width": 512, "height": 512} for number, image in enumerate(images, 1)
    ]
    path = home / "annotations/json" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": entries, "annotations": boxes, "categories": CATEGORIES}))


def write_set(root: Path, home: str = "TBX11K", *boxes: dict[str, Any]) -> Path:
    place = root / home
    for number, name in enumerate((*TRAIN, *VAL, "test/t1.png")):
        path = place / "imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 6, 3), 20 * number, dtype=np.uint8)).save(path)
    write_list(place, "TBX11K_train.json", TRAIN, *(boxes or (box(3, 1, 10.5, 20, 100, 50),)))
    write_list(place, "TBX11K_val.json", VAL, box(1, 2, 1, 2, 3, 4))
    return root


def states(dataset, image: str) -> dict[str, str]:
    labels = dataset.labels[dataset.labels["image_id"] == image]
    return dict(zip(labels["class"], labels["state"], strict=True))


@pytest.mark.parametrize("home", ["", "TBX11K"])
def test_the_class_is_the_folder_so_that_healthy_and_sick_stay_apart(tmp_path, home):
    dataset = Tbx11k()(write_set(tmp_path, home))
    assert states(dataset, "health/h1.png")["healthy"] == "positive"
    assert states(dataset, "sick/s1.png")["sick, not tuberculosis"] == "positive"
    assert states(dataset, "sick/s1.png")["healthy"] == "negative"
    assert states(dataset, "tb/tb1.png")["tuberculosis"] == "positive"
    assert Tbx11k.recognise(tmp_path) == "TBX11K_train.json, TBX11K_val.json"


def test_a_box_is_of_its_kind_and_of_tuberculosis(tmp_path):
    dataset = Tbx11k()(write_set(tmp_path))
    shapes = dataset.annotations[dataset.annotations["image_id"] == "tb/tb1.png"]
    assert shapes["class"].tolist() == ["tuberculosis", "ActiveTuberculosis"]
    assert [json.loads(text) for text in shapes["geometry"]] == [[10.5, 20, 110.5, 70]] * 2
    assert set(shapes["ref_width"]) == {512}


def test_a_category_without_any_box_is_no_class_and_noted(tmp_path):
    dataset = Tbx11k()(write_set(tmp_path))
    assert dataset.classes[3:] == ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis")
    assert "categories without any box are no classes: PulmonaryTuberculosis" in dataset.notes


def test_of_a_tuberculous_image_without_box_the_kind_is_unmentioned(tmp_path):
    dataset = Tbx11k()(write_set(tmp_path))
    assert states(dataset, "tb/tb2.png")["ActiveTuberculosis"] == "unmentioned"
    assert states(dataset, "tb/tb1.png")["ObsoletePulmonaryTuberculosis"] == "negative"
    assert "1 tuberculous images have no box; their kind is unmentioned" in dataset.notes


def test_the_lists_are_the_published_split_and_test_images_are_left_out(tmp_path):
    dataset = Tbx11k()(write_set(tmp_path))
    assert dataset.images["split"].tolist() == ["train", "train", "train", "train", "val"]
    assert "1 images of imgs/test have no published label and were left out" in dataset.notes


def test_three_equal_channels_are_read_as_grey(tmp_path):
    assert Tbx11k()(write_set(tmp_path)).read_pixels(0).shape == (6, 6)


def test_one_list_for_all_gives_no_split(tmp_path):
    home = write_set(tmp_path) / "TBX11K"
    for name in ("TBX11K_train.json", "TBX11K_val.json"):
        (home / "annotations/json" / name).unlink()
    write_list(home, "TBX11K_trainval_only_tb.json", ("tb/tb1.png",), box(1, 1, 1, 1, 5, 5))
    dataset = Tbx11k()(tmp_path)
    assert len(dataset.images) == 5
    assert dataset.images["split"].isna().all()
    assert "no list per split: no published split" in dataset.notes


def test_images_in_no_list_are_left_out_and_noted(tmp_path):
    path = write_set(tmp_path) / "TBX11K/imgs/tb/tb9.png"
    Image.fromarray(np.zeros((6, 6), dtype=np.uint8)).save(path)
    assert "1 images are in no list and were left out" in Tbx11k()(tmp_path).notes


def test_an_image_in_both_lists_is_refused(tmp_path):
    write_list(write_set(tmp_path) / "TBX11K", "TBX11K_val.json", (*VAL, "tb/tb1.png"))
    with pytest.raises(DataError, match=r"image 'tb/tb1\.png' stands in the other list as well"):
        Tbx11k()(tmp_path)


def test_a_box_outside_its_frame_is_refused_with_its_entry(tmp_path):
    with pytest.raises(DataError, match=r"TBX11K_train\.json, entry 1 of `annotations` .*lies outside its frame"):
        Tbx11k()(write_set(tmp_path, "TBX11K", box(3, 1, 500, 20, 100, 50)))


def test_missing_images_are_refused_or_skipped(tmp_path):
    (write_set(tmp_path) / "TBX11K/imgs/tb/tb1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 5 listed images are missing: 'tb/tb1\.png'.*missing: skip"):
        Tbx11k()(tmp_path)
    dataset = Tbx11k(missing="skip")(tmp_path)
    assert len(dataset.images) == 4
    assert "1 listed images are not on disk and were skipped" in dataset.notes


def test_a_listed_image_of_no_class_is_refused(tmp_path):
    write_list(write_set(tmp_path) / "TBX11K", "TBX11K_val.json", ("extra/da1.png",))
    with pytest.raises(DataError, match=r"1 listed images lie in no folder of a class: 'extra/da1\.png'"):
        Tbx11k()(tmp_path)


def test_other_folders_are_refused(tmp_path):
    assert Tbx11k.recognise(tmp_path) is None
    with pytest.raises(DataError, match="holds no imgs/health"):
        Tbx11k()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error or skip"):
        Tbx11k(missing="no")  # type: ignore[arg-type]
