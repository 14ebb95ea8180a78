"""Masks of the source `csv` in folders, without a table of shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image

from tailscope.core import DataError, InputError, decode_rle
from tailscope.sources.csv_tables import CsvTables
from tailscope.sources.mask_folders import MaskPattern

BOX = np.zeros((8, 10), dtype=bool)
BOX[2:5, 3:9] = True


def save(path: Path, mask: np.ndarray = BOX, foreground: int = 255, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * foreground).save(path, **options)


def read(root: Path, masks: str = "masks/{class}", **further: Any) -> Any:
    return CsvTables(masks=masks, patient_column="patient", **further)(root)


def masks(dataset: Any) -> list[tuple[str, str, np.ndarray]]:
    return [(row.image_id, row[2], decode_rle(json.loads(row.geometry))) for row in dataset.annotations.itertuples()]


@pytest.mark.parametrize(
    ("pattern", "file"),
    [
        ("masks/{class}", "masks/mass/02.png"),
        ("masks/{class}/", "masks/mass/02.tif"),
        ("masks/{class}/{image}.png", "masks/mass/02.png"),
        ("masks/{class}/{image}_mask", "masks/mass/02_mask.bmp"),
        ("masks/{image}_{class}", "masks/02_mass.png"),
        ("{class}/{image}", "mass/02.png"),
        ("images/{image}_{class}", "images/02_mass.png"),
    ],
)
def test_masks_are_found_by_class_and_image(csv_folder, pattern, file):
    folder = csv_folder()
    save(folder / file)
    dataset = read(folder, pattern)
    [(image_id, name, mask)] = masks(dataset)
    assert (image_id, name) == ("02.png", "mass")
    assert np.array_equal(mask, BOX)
    assert dataset.annotations["reader"].tolist() == ["mask files"]
    assert [row[1:] for row in dataset.annotations[["ref_height", "ref_width"]].itertuples()] == [(8, 10)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(arrays.arrays(bool, (8, 10)).filter(np.any))
def test_every_mask_comes_back_pixel_by_pixel_whatever_its_values(tmp_path, mask):
    (tmp_path / "labels.csv").write_text("image,patient,mass\na.png,p,1\nb.png,p,1\nc.png,p,1\nd.png,p,0\n")
    for name in "abcd":
        save(tmp_path / f"images/{name}.png", foreground=200)
    save(tmp_path / "masks/mass/a.png", mask, foreground=1)
    save(tmp_path / "masks/mass/b.png", mask, foreground=255)
    palette = Image.fromarray(mask.astype(np.uint8)).convert("P")
    palette.putdata(mask.astype(np.uint8).ravel().tolist())
    palette.putpalette([0, 0, 0, 128, 0, 0])
    palette.save(tmp_path / "masks/mass/c.png")
    Image.fromarray(mask).save(tmp_path / "masks/mass/d.png")  # one bit per pixel
    found = masks(read(tmp_path))
    assert [image_id for image_id, _, _ in found] == ["a.png", "b.png", "c.png", "d.png"]
    assert all(np.array_equal(one, mask) for _, _, one in found)


def test_images_in_folders_have_their_masks_in_the_same_folders(csv_folder):
    folder = csv_folder(labels="image,patient,mass\nsite/a.png,p,1\na.png,q,0\n")
    for name in ("images/site/a.png", "images/a.png"):
        save(folder / name)
    save(folder / "masks/mass/site/a.png")
    assert [image_id for image_id, _, _ in masks(read(folder))] == ["site/a.png"]


def test_masks_of_the_only_class_need_no_class_in_their_names(csv_folder):
    folder = csv_folder(labels="image,patient,mass\n00.png,p,1\n")
    save(folder / "masks/00.png")
    assert [name for _, name, _ in masks(read(folder, "masks"))] == ["mass"]
    with pytest.raises(DataError, match=r"`masks` must hold \{class\}, since there are 2 classes; got 'masks'"):
        read(csv_folder(labels="image,patient,mass,hernia\n00.png,p,1,0\n"), "masks")


def test_an_empty_mask_draws_nothing_and_is_counted(csv_folder):
    folder = csv_folder()
    save(folder / "masks/mass/02.png")
    save(folder / "masks/hernia/02.png", BOX & False)
    dataset = read(folder)
    assert len(dataset.annotations) == 1
    told = "1 mask files are empty and draw nothing: 'masks/hernia/02.png'"
    assert dataset.notes[-2:] == ("1 masks of masks/{class}/{image}", told)


def test_masks_join_the_shapes_of_a_table(csv_folder):
    folder = csv_folder(shapes="image,class,x0,y0,x1,y1\n04.png,mass,1,1,2,2\n")
    save(folder / "masks/mass/02.png")
    assert read(folder, annotations="shapes.csv").annotations["kind"].tolist() == ["box", "rle"]


def test_masks_of_columns_that_are_not_used_are_passed_over(csv_folder):
    folder = csv_folder()
    save(folder / "masks/mass/02.png")
    save(folder / "masks/hernia/02.png", foreground=7)
    dataset = read(folder, classes=("mass",))
    assert [name for _, name, _ in masks(dataset)] == ["mass"]
    assert dataset.notes[-1] == "1 image files below masks are masks of no class: not used"


def test_a_class_name_that_holds_the_separator_is_matched_whole():
    pattern = MaskPattern("masks/{image}_{class}")
    assert pattern.match("masks/a_b_pleural_mass.png", ("mass", "pleural_mass")) == ("pleural_mass", "a_b")


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        (
            "masks/mass/02.png",
            {"mask": BOX[:4]},
            r"masks/mass/02.png has (4, 10) pixels (height, width); expected (8, 10)",
        ),
        (
            "masks/mass/02.png",
            {"foreground": 7},
            r"mask masks/mass/02.png holds the values 0, 7; expected 0/1 or 0/255",
        ),
        ("masks/mass/02.jpg", {"quality": 50}, r"mask masks/mass/02.jpg holds the values"),
        ("masks/mass/zz.png", {}, r"1 masks of class 'mass' belong to no image, or to several: 'masks/mass/zz.png'"),
        ("masks/Mass/02.png", {}, r"masks are named for 'Mass', which is no class; expected one of mass, hernia"),
        ("masks/effusion/02.png", {}, r"is named masks/{class}/{image}; expected masks: set `masks`"),
        ("masks/02.png", {}, r"is named masks/{class}/{image}; expected masks: set `masks`"),
        ("mask/mass/02.png", {}, r"masks does not exist; expected the masks there: set `masks`"),
    ],
)
def test_a_wrong_mask_is_refused(csv_folder, file, options, message):
    folder = csv_folder()
    save(folder / file, **options)
    with pytest.raises(DataError, match=re.escape(message)):
        read(folder)


def test_a_colour_mask_and_an_unreadable_one_are_refused(csv_folder):
    folder = csv_folder()
    save(folder / "masks/mass/02.png", np.stack([BOX, BOX & False, BOX & False], axis=-1))
    (folder / "masks/mass/04.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"02.png is a colour image") as caught:
        read(folder)
    assert len(caught.value.problems) == 2


def test_two_masks_of_one_image_and_a_name_of_two_images_are_refused(csv_folder):
    folder = csv_folder(labels="image,patient,mass\na.png,p,1\na.jpg,q,1\nb.png,r,1\n")
    for name in ("a.png", "a.jpg", "b.png"):
        save(folder / "images" / name)
    for name in ("a.png", "b.png", "b.tif"):
        save(folder / "masks/mass" / name)
    with pytest.raises(DataError) as caught:
        read(folder)
    assert "masks masks/mass/b.png and masks/mass/b.tif are of one image; expected one of them" in str(caught.value)
    assert "belong to no image, or to several: 'masks/mass/a.png'" in str(caught.value)


@pytest.mark.parametrize("masks_", ["masks/{name}", "{class}/{class}", "masks/{class"])
def test_a_pattern_with_other_parts_is_refused(masks_):
    with pytest.raises(InputError, match=re.escape("`masks` may hold {class} and {image}, each once; got")):
        CsvTables(masks=masks_)


@pytest.mark.parametrize("masks_", ["../{class}", "/masks/{class}"])
def test_a_pattern_that_leaves_the_root_is_refused(csv_folder, masks_):
    with pytest.raises(DataError, match="must be relative and stay below the root"):
        read(csv_folder(), masks_)
