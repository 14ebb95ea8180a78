"""Images found by what annotations call them, and the words that state a split."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tailscope.core import DataError
from tailscope.sources.placed_images import PlacedImages, ReferenceSizes
from tailscope.sources.split_words import split_of_name, split_of_path


def places(root: Path, *names: str) -> PlacedImages:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10, 8)).save(root / name, format="PNG")
    return PlacedImages.below(root)


def test_only_the_end_of_a_name_counts(tmp_path):
    found = places(tmp_path, "x/a.png", "y/a.png")
    assert found.find("D:\\work\\y\\a.png") == "y/a.png"
    assert found.find("/somebody/x/a.png") == "x/a.png"


def test_a_name_without_suffix_finds_any_suffix_and_one_with_a_suffix_only_its_own(tmp_path):
    found = places(tmp_path, "a.1.png", "b.png")
    assert found.find("a.1") == "a.1.png"
    assert found.find("b") == "b.png"
    assert found.find("b.jpg") is None
    assert found.find("") is None


def test_an_image_beside_the_annotations_is_preferred_then_one_of_their_split(tmp_path):
    found = places(tmp_path, "train/a.png", "valid/a.png", "train/images/b.png", "val2017/b.png")
    assert found.find("a.png", beside="valid") == "valid/a.png"
    assert found.find("b.png", beside="annotations", split="val") == "val2017/b.png"
    with pytest.raises(DataError, match="exists 2 times"):
        found.find("b.png", beside="annotations", split="test")


def test_images_outside_the_folder_are_never_found(tmp_path):
    places(tmp_path, "in/a.png", "b.png")
    found = PlacedImages.below(tmp_path, "in")
    assert len(found) == 1
    assert found.find("../b.png") is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017.json", "train"),
        ("VALIDATION", "val"),
        ("valid", "val"),
        ("my-test-set", "test"),
        ("trainval", None),
        ("train_val", None),
        ("latest", None),
        ("restrained", None),
    ],
)
def test_a_split_is_a_whole_word(name, split):
    assert split_of_name(name) == split


def test_the_innermost_telling_part_states_the_split():
    assert split_of_path("train/images/instances_val.json") == "val"
    assert split_of_path("data/images/a.png") is None


def test_the_stated_size_is_the_reference_unless_the_image_lies_across_it(tmp_path):
    places(tmp_path, "a.png")
    sizes = ReferenceSizes(tmp_path)
    assert sizes("a.png", None) == sizes("a.png", (8, 10)) == ((8, 10), (8, 10))
    assert sizes.notes() == []
    assert sizes("a.png", (16, 20)) == sizes("a.png", (16, 20)) == ((16, 20), (8, 10))
    (told,) = sizes.notes()
    assert told.startswith("1 images have another size than their annotations state; shapes are scaled along: 'a.png'")
    with pytest.raises(DataError, match="turn it back"):
        sizes("a.png", (10, 8))
