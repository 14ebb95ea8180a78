"""Several readers of one image: which shapes count, and what that changes."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.core import InputError, UnknownNameError
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.data.masks import MaskDrawer
from tailscope.data.readers import combined, require_reader, shape_lines
from tailscope.data.tables import annotation_table
from tailscope.sources import CsvTables


def shapes_of(*rows):
    """From (image, class, box on 4 × 4, reader)."""
    table = annotation_table([(image, name, "box", box, (4, 4)) for image, name, box, _ in rows], "")
    return table.assign(reader=[reader for *_, reader in rows])


THREE = shapes_of(
    ("a", "mass", [0, 0, 2, 4], "ada"),
    ("a", "mass", [1, 0, 3, 4], "bea"),
    ("a", "mass", [2, 0, 4, 4], "cyd"),
    ("a", "mass", [0, 0, 1, 4], "cyd"),
    ("b", "mass", [0, 0, 1, 1], "ada"),
    ("b", "tube", [0, 0, 2, 1], "ada"),
    ("b", "tube", [2, 0, 4, 1], "bea"),
    ("c", "mass", [0, 0, 1, 1], "ada"),
    ("c", "mass", [2, 2, 4, 4], "bea"),
)


def drawer(readers="union", names=("mass",)):
    sizes = np.full((3, 2), 4, dtype=np.int32)
    return MaskDrawer(THREE, ["a", "b", "c"], sizes, frame=(4, 4), resize="stretch").viewed(readers, names)


def columns(mask):
    """The first row of pixels, as most masks here are of whole columns."""
    return mask[0].astype(int).tolist()


def test_the_union_holds_what_anybody_drew():
    assert columns(drawer()(0, "mass")) == [1, 1, 1, 1]


def test_a_majority_is_more_than_half_of_those_who_drew_the_class_on_the_image():
    # Votes of three readers: 2, 2, 2, 1.
    assert columns(drawer("majority")(0, "mass")) == [1, 1, 1, 0]


def test_one_of_two_readers_is_no_majority():
    assert drawer("majority")(2, "mass") is None


def test_a_reader_alone_is_a_majority():
    assert np.array_equal(drawer("majority")(1, "mass"), drawer()(1, "mass"))


def test_a_name_takes_what_this_reader_drew():
    assert columns(drawer("cyd")(0, "mass")) == [1, 0, 1, 1]
    assert drawer("cyd")(1, "mass") is None


def test_other_names_than_those_viewed_stay_united():
    assert columns(drawer("bea")(1, "tube")) == [1, 1, 1, 1]
    assert columns(drawer("bea", ("mass", "tube"))(1, "tube")) == [0, 0, 1, 1]


def test_pairs_without_a_mask_by_the_view_are_left_out():
    classes = ("mass",)
    assert drawer().pairs(classes).tolist() == [[0, 0], [1, 0], [2, 0]]
    assert drawer("majority").pairs(classes).tolist() == [[0, 0], [1, 0]]
    assert drawer("bea").pairs(classes).tolist() == [[0, 0], [2, 0]]


@pytest.mark.parametrize("view", ["union", "majority", "bea"])
def test_masks_by_reader_are_the_same_under_every_view(view):
    masks = drawer(view).by_reader(0, "mass")
    assert list(masks) == ["ada", "bea", "cyd"]
    assert {name: columns(mask) for name, mask in masks.items()} == {
        "ada": [1, 1, 0, 0],
        "bea": [0, 1, 1, 0],
        "cyd": [1, 0, 1, 1],
    }
    assert drawer(view).by_reader(0, "tube") == {}


def test_a_viewed_drawer_leaves_the_first_as_it_was():
    first = drawer()
    first(2, "mass")
    second = first.viewed("bea", ("mass",))
    assert second(2, "mass").sum() == 4
    assert first(2, "mass").sum() == 5


def test_an_empty_mask_is_a_vote_against():
    drawn = {"ada": np.array([[True, True]]), "bea": np.array([[True, False]]), "cyd": np.array([[False, False]])}
    assert combined(drawn, "majority").tolist() == [[True, False]]
    assert combined({}, "majority") is None
    assert combined({}, "union") is None


def test_a_reader_who_drew_nothing_is_unknown_and_the_others_are_listed():
    with pytest.raises(UnknownNameError, match=r"got 'adda'; did you mean 'ada'.*union, majority, ada, bea, cyd"):
        require_reader("adda", THREE)
    for known in ("union", "majority", "cyd"):
        require_reader(known, THREE)


@pytest.mark.parametrize("readers", ["", None, 3])
def test_a_view_of_readers_is_a_name(readers):
    with pytest.raises(InputError, match="`readers` must be"):
        DataSettings(readers=readers)


def test_views_that_make_other_masks_have_other_lines():
    lines = {tuple(shape_lines(THREE, view)) for view in ("union", "majority", "ada", "bea", "cyd")}
    assert len(lines) == 5


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("a", "mass", [0, 0, 2, 4], "ada"), ("b", "mass", [0, 0, 2, 4], "ada")], id="one reader"),
        pytest.param([("a", "mass", [0, 0, 2, 4], "ada"), ("a", "mass", [0, 0, 2, 4], "bea")], id="readers agree"),
    ],
)
def test_views_that_make_the_same_masks_have_the_same_lines(rows):
    shapes = shapes_of(*rows)
    assert shape_lines(shapes, "union") == shape_lines(shapes, "majority") == shape_lines(shapes, "ada")


def test_a_majority_of_one_reader_each_is_the_union():
    shapes = shapes_of(("a", "mass", [0, 0, 2, 4], "ada"), ("b", "mass", [0, 0, 1, 4], "bea"))
    assert shape_lines(shapes, "majority") == shape_lines(shapes, "union") != shape_lines(shapes, "ada")


def test_lines_depend_on_neither_the_order_of_rows_nor_the_names_of_readers():
    other = THREE.iloc[::-1].assign(reader=[name.upper() for name in THREE["reader"][::-1]])
    for view in ("union", "majority"):
        assert shape_lines(other, view) == shape_lines(THREE, view)


def test_who_drew_what_matters_to_a_majority():
    swapped = THREE.assign(reader=["ada", "bea", "cyd", "bea", *THREE["reader"][4:]])
    assert shape_lines(swapped, "majority") != shape_lines(THREE, "majority")


SPLIT = SplitSettings(test=0.3, val=0.2)
READ_TWICE = (
    "image,class,x0,y0,x1,y1,reader\n"
    "02.png,mass,0,0,4,8,ada\n02.png,mass,2,0,6,8,bea\n03.png,mass,2,2,6,6,ada\n06.png,mass,0,0,2,2,ada\n"
    "06.png,mass,6,6,8,8,bea\n"
)


def prepared(csv_folder, tmp_path, readers="union", shapes=READ_TWICE, **settings):
    dataset = CsvTables(patient_column="patient", annotations="shapes.csv")(csv_folder(shapes=shapes))
    asked = DataSettings(image_size=(8, 10), split=SPLIT, readers=readers, **settings)
    return prepare(dataset, asked, tmp_path / "cache")


def test_the_source_csv_reads_who_drew_a_shape(csv_folder, tmp_path):
    data = prepared(csv_folder, tmp_path)
    assert data.annotations["reader"].tolist() == ["ada", "bea", "ada", "ada", "bea"]
    assert {name: columns(mask) for name, mask in data.reader_masks(2, "mass").items()} == {
        "ada": [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        "bea": [0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
    }
    assert data.reader_masks(0, "mass") == {}


LOST = "1 of 3 annotated pairs of image and class have no mask by that view"


@pytest.mark.parametrize(
    ("readers", "columns_of_02", "annotated", "note"),
    [
        ("union", [1] * 6 + [0] * 4, [[2, 0], [3, 0], [6, 0]], "united"),
        (
            "majority",
            [0, 0, 1, 1] + [0] * 6,
            [[2, 0], [3, 0]],
            f"counted where more than half of the readers of an image and class drew; {LOST}",
        ),
        ("bea", [0, 0, 1, 1, 1, 1] + [0] * 4, [[2, 0], [6, 0]], f"left out but for bea; {LOST}"),
    ],
)
def test_an_experiment_sees_the_masks_of_its_view(csv_folder, tmp_path, readers, columns_of_02, annotated, note):
    labels = [f"{number:02}.png,p{number},{int(number % 2 or number in (2, 6))}" for number in range(60)]
    folder = csv_folder(shapes=READ_TWICE, labels="\n".join(["image,patient,mass", *labels]))
    dataset = CsvTables(patient_column="patient", annotations="shapes.csv")(folder)
    data = prepare(dataset, DataSettings(image_size=(8, 10), split=SPLIT, readers=readers), tmp_path / "cache")
    assert columns(data.masks(2, "mass")) == columns_of_02
    assert data.annotated.tolist() == annotated
    assert f"shapes of 2 readers ('ada', 'bea') are {note}" in data.notes


def test_one_reader_is_not_worth_a_note(csv_folder, tmp_path):
    data = prepared(csv_folder, tmp_path, shapes="image,class,x0,y0,x1,y1\n02.png,mass,0,0,4,8\n")
    assert not any("reader" in note for note in data.notes)


def test_a_majority_counts_over_all_classes_where_there_is_only_any_finding(csv_folder, tmp_path):
    shapes = READ_TWICE.replace("02.png,mass,2,0,6,8,bea", "02.png,hernia,2,0,6,8,bea")
    data = prepared(csv_folder, tmp_path, "majority", shapes, labels="binary")
    assert columns(data.masks(2, "any finding")) == [0, 0, 1, 1] + [0] * 6


def test_the_fingerprint_changes_with_the_view_only_where_masks_do(csv_folder, tmp_path):
    prints = [prepared(csv_folder, tmp_path, view).fingerprint for view in ("union", "majority", "ada", "bea")]
    assert len(set(prints)) == 4
    alone = READ_TWICE.replace(",bea", ",ada")
    prints = [prepared(csv_folder, tmp_path, view, alone).fingerprint for view in ("union", "majority", "ada")]
    assert len(set(prints)) == 1


def test_the_fingerprint_of_the_union_knows_no_readers(csv_folder, tmp_path):
    plain = "\n".join(line.rpartition(",")[0] for line in READ_TWICE.splitlines())
    assert prepared(csv_folder, tmp_path).fingerprint == prepared(csv_folder, tmp_path, shapes=plain).fingerprint


def test_an_unknown_reader_is_refused_before_pixels_are_decoded(csv_folder, tmp_path):
    with pytest.raises(UnknownNameError, match="got 'eve'"):
        prepared(csv_folder, tmp_path, "eve")
    assert not (tmp_path / "cache").exists()


def test_every_shape_of_a_table_with_readers_needs_one(csv_folder, tmp_path):
    wrong = READ_TWICE.replace("03.png,mass,2,2,6,6,ada", "03.png,mass,2,2,6,6,").replace("8,8,bea", "8,8,union")
    with pytest.raises(InputError, match="2 problems") as caught:
        prepared(csv_folder, tmp_path, shapes=wrong)
    assert "line 4: reader must be a name other than union and majority; got ''" in str(caught.value)
    assert "line 6: reader must be a name other than union and majority; got 'union'" in str(caught.value)
