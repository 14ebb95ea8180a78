"""The source `voc`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError, Placement, rasterise
from tailscope.data import DATASETS
from tailscope.sources import recognise
from tailscope.sources.voc import Voc

# As BCCD's: a folder and a path of another machine, a whole <size>, all the marks of an object.
OBJECT = """<object><name>{name}</name><pose>Unspecified</pose><truncated>{truncated}</truncated>
<difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax>
<ymax>{box[3]}</ymax></bndbox></object>"""
FILE = """<annotation>
<folder>JPEGImages</folder><filename>{name}.jpg</filename><path>/elsewhere/pikachu/JPEGImages/{name}.jpg</path>
<source><database>Unknown</database></source><size><width>{width}</width><height>{height}</height><depth>3</depth></size>
<segmented>0</segmented>{objects}</annotation>"""


def an_object(name: str, *box: object, difficult: int = 0, truncated: int = 0) -> str:
    return OBJECT.format(name=name, box=box, difficult=difficult, truncated=truncated)


def add(root: Path, name: str, *objects: str, size: tuple[int, int] = (8, 10), suffix: str = ".jpg") -> Path:
    """An XML file and its image of 10 × 8 pixels."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    text = FILE.format(name=name, objects="".join(objects), width=size[1], height=size[0])
    (root / f"Annotations/{name}.xml").write_text(text)
    number = sum(name.encode())
    pixels = np.random.default_rng(number).integers(0, 256, (8, 10), dtype=np.uint8)
    Image.fromarray(pixels).save(root / f"JPEGImages/{name}{suffix}")
    return root


def boxes(dataset: Any) -> list[list[float]]:
    return [json.loads(geometry) for geometry in dataset.annotations["geometry"]]


def states(dataset: Any) -> dict[tuple[str, str], str]:
    labels = dataset.labels
    return dict(zip(zip(labels["image_id"], labels["class"], strict=True), labels["state"], strict=True))


def test_the_first_pixel_is_one_and_a_box_of_the_whole_image_covers_it(tmp_path):
    dataset = Voc()(add(tmp_path, "a", an_object("RBC", 1, 1, 10, 8)))
    assert boxes(dataset) == [[0, 0, 10, 8]]
    assert rasterise("box", boxes(dataset)[0], Placement(1, 1), (8, 10)).all()
    assert "corners are whole pixels counted from 1; told by the smallest corner, 1" in dataset.notes


def test_a_corner_at_zero_anywhere_says_that_all_corners_are_edges(tmp_path):
    add(tmp_path, "a", an_object("RBC", 0, 2, 10, 8))
    dataset = Voc()(add(tmp_path, "b", an_object("RBC", 3, 4, 5, 6)))
    assert boxes(dataset) == [[0, 2, 10, 8], [3, 4, 5, 6]]
    assert "corners are edges counted from 0; told by the smallest corner, 0" in dataset.notes
    assert boxes(Voc(first_pixel=1)(tmp_path)) == [[-1, 1, 10, 8], [2, 3, 5, 6]]
    assert "corners are whole pixels counted from 1" in Voc(first_pixel=1)(tmp_path).notes


def test_a_box_of_one_point_is_one_pixel_and_is_noted(tmp_path):
    dataset = Voc()(add(tmp_path, "BloodImage_00338", an_object("RBC", 5, 3, 5, 3)))  # as 504,337 in BCCD
    assert boxes(dataset) == [[4, 2, 5, 3]]
    assert "1 boxes are single pixels" in dataset.notes


def test_classes_are_positive_where_they_have_an_object_and_else_negative(tmp_path):
    add(tmp_path, "a", an_object("WBC", 1, 1, 4, 4))
    dataset = Voc()(add(tmp_path, "b", an_object("RBC", 1, 1, 4, 4), an_object("RBC", 2, 2, 4, 4)))
    assert dataset.classes == ("RBC", "WBC")
    assert states(dataset) == {
        ("a", "RBC"): "negative",
        ("a", "WBC"): "positive",
        ("b", "RBC"): "positive",
        ("b", "WBC"): "negative",
    }
    assert states(Voc(exhaustive=False)(tmp_path))["b", "WBC"] == "unmentioned"


def test_an_xml_file_without_object_is_an_image_without_finding(tmp_path):
    add(tmp_path, "a", an_object("RBC", 1, 1, 4, 4))
    assert states(Voc()(add(tmp_path, "b")))["b", "RBC"] == "negative"


def test_an_image_without_xml_file_is_unlabelled_and_left_out(tmp_path):
    add(tmp_path, "a", an_object("RBC", 1, 1, 4, 4))
    add(tmp_path, "b")
    (tmp_path / "Annotations/b.xml").unlink()
    dataset = Voc()(tmp_path)
    assert dataset.images["image_id"].tolist() == ["a"]
    assert "1 images without an XML file left out" in dataset.notes


def test_difficult_and_truncated_objects_are_counted_and_a_difficult_one_can_be_uncertain(tmp_path):
    objects = an_object("RBC", 1, 1, 4, 4, difficult=1), an_object("WBC", 1, 1, 4, 4, difficult=1, truncated=1)
    add(tmp_path, "a", *objects, an_object("WBC", 5, 5, 6, 6))
    dataset = Voc()(tmp_path)
    assert states(dataset) == {("a", "RBC"): "positive", ("a", "WBC"): "positive"}
    assert "2 objects are marked difficult: a class with no other on an image is positive" in dataset.notes
    assert "1 objects are marked truncated and are kept" in dataset.notes
    assert states(Voc(difficult="uncertain")(tmp_path)) == {("a", "RBC"): "uncertain", ("a", "WBC"): "positive"}


def test_parts_of_an_object_are_no_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    add(tmp_path, "a", an_object("person", 1, 1, 4, 4).replace("</object>", part))
    assert Voc()(tmp_path).classes == ("person",)


def split_folder(root: Path, **lists: str) -> Path:
    for name in "abc":
        add(root, name, an_object("RBC", 1, 1, 4, 4))
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / f"ImageSets/Main/{name}.txt").write_text(text)
    return root


def test_the_lists_of_image_sets_are_the_splits(tmp_path):
    dataset = Voc()(split_folder(tmp_path, train="a\n", val="b\r\n", trainval="a\nb\n", test="c\nd\n"))
    assert dataset.images["split"].tolist() == ["train", "val", "test"]
    assert "1 listed images have no XML file" in dataset.notes


def test_a_joint_list_alone_is_the_training_split_and_lists_per_class_are_not_read(tmp_path):
    images = Voc()(split_folder(tmp_path, trainval="a\nb\n", RBC_test="a -1\nc  1\n")).images
    assert images["split"].tolist() == ["train", "train", None]


def test_an_image_in_two_lists_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"test.txt: 'a' stands in train.txt as well; expected one list"):
        Voc()(split_folder(tmp_path, train="a\nb", test="a\nc"))


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".bmp"])
def test_the_image_may_have_any_suffix(tmp_path, suffix):
    add(tmp_path, "a.1", an_object("RBC", 1, 1, 4, 4), suffix=suffix)
    assert Voc()(tmp_path).images["path"].tolist() == [f"JPEGImages/a.1{suffix}"]


def test_the_written_name_is_looked_at_where_no_image_has_that_of_the_file(tmp_path):
    add(tmp_path, "a", an_object("RBC", 1, 1, 4, 4))
    (tmp_path / "Annotations/a.xml").rename(tmp_path / "Annotations/0001.xml")
    images = Voc()(tmp_path).images
    assert images[["image_id", "path"]].to_numpy().tolist() == [["0001", "JPEGImages/a.jpg"]]
    (tmp_path / "Annotations/a.xml").write_text((tmp_path / "Annotations/0001.xml").read_text())
    with pytest.raises(DataError, match=r"a.xml and 0001.xml belong to one image, JPEGImages/a.jpg"):
        Voc()(tmp_path)


def test_a_size_of_zero_is_no_size_and_another_size_is_the_reference(tmp_path):
    assert Voc()(add(tmp_path / "0", "a", an_object("RBC", 1, 1, 4, 4), size=(0, 0))).annotations["ref_width"][0] == 10
    dataset = Voc()(add(tmp_path / "1", "a", an_object("RBC", 1, 1, 20, 16), size=(16, 20)))
    assert dataset.annotations[["ref_height", "ref_width"]].to_numpy().tolist() == [[16, 20]]
    told = "1 images have another size than their annotations state; shapes are scaled along: 'JPEGImages/a.jpg'"
    assert told in dataset.notes


def test_missing_images_are_counted(tmp_path):
    add(tmp_path, "a", an_object("RBC", 1, 1, 4, 4))
    add(tmp_path, "b")
    (tmp_path / "JPEGImages/b.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 2 XML files have no image: 'b'; restore the images or set `images`"):
        Voc()(tmp_path)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (an_object("RBC", 5, 1, 4, 4), r"Annotations/a.xml, object 1: box \[4.0, 0.0, 4.0, 4.0\] is inverted or empty"),
        (an_object("RBC", 1, 1, 12, 4), r"object 1: box .* lies outside its frame of 10 × 8 pixels"),
        (an_object("RBC", 1, "one", 4, 4), r"object 1: <bndbox> needs the numbers xmin, .*; got xmin '1', ymin 'one'"),
        (an_object(" ", 1, 1, 4, 4), r"object 1: has no <name>"),
        ("<object><name>RBC</name></object>", r"<bndbox> needs the numbers .*; got xmin ''"),
        ("", r"holds no object; expected at least one, for its class"),
        ("<object>", r"Annotations/a.xml is not XML"),
    ],
)
def test_wrong_objects_are_refused_with_their_place(tmp_path, objects, message):
    with pytest.raises(DataError, match=message):
        Voc()(add(tmp_path, "a", objects))


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE annotation SYSTEM "http://localhost/voc.dtd">',
    ],
)
def test_entities_are_never_expanded(tmp_path, declared):
    add(tmp_path, "a", an_object("&x;" if "ENTITY" in declared else "RBC", 1, 1, 4, 4))
    path = tmp_path / "Annotations/a.xml"
    path.write_text(declared + path.read_text())
    with pytest.raises(DataError, match=r"a.xml declares a document type; expected plain XML: remove <!DOCTYPE"):
        Voc()(tmp_path)


def test_another_root_element_is_refused(tmp_path):
    add(tmp_path, "a")
    (tmp_path / "Annotations/a.xml").write_text("<doc/>")
    with pytest.raises(DataError, match=r"a.xml has the root <doc>; expected <annotation>"):
        Voc()(tmp_path)


def test_all_problems_are_reported_at_once(tmp_path):
    add(tmp_path, "a", an_object("RBC", 5, 1, 4, 4), an_object("", 1, 1, 2, 2))
    add(tmp_path, "b", "<object>")
    with pytest.raises(DataError) as caught:
        Voc()(tmp_path)
    assert len(caught.value.problems) == 3


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"Annotations holds no XML file; expected NAME.xml: set `annotations`"):
        Voc()(tmp_path)
    with pytest.raises(DataError, match=r"pictures does not exist; expected the images there: set `images`"):
        Voc(images="pictures")(add(tmp_path, "a"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_pixel": 2}, "`first_pixel` must be 0 or 1; got 2"),
        ({"difficult": "skip"}, "`difficult` must be positive or uncertain; got 'skip'"),
        ({"images": None}, "`images` must be a folder"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Voc(**settings)


def test_the_folder_is_recognised_and_one_of_other_xml_is_not(tmp_path):
    found = recognise(add(tmp_path / "voc", "a"))
    assert (found.source, found.variant) == ("voc", "Annotations/*.xml, Pascal VOC")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/a.xml").write_text("<svg/>")
    assert recognise(tmp_path) is None


def test_the_source_is_registered():
    assert DATASETS.build("voc", first_pixel=0) == Voc(first_pixel=0)
