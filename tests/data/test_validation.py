"""Tables that contradict themselves or each other."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from tailscope.core import DataError
from tailscope.data.tables import annotation_table
from tailscope.data.validation import check_dataset, shape_problem
from tailscope.sources import CsvTables


@pytest.fixture
def dataset(csv_folder):
    return CsvTables(patient_column="patient")(csv_folder())


def test_a_sound_data_set_passes(dataset):
    check_dataset(dataset)


def test_missing_columns_are_named(dataset):
    with pytest.raises(DataError, match="table `images` lacks the columns view, age"):
        check_dataset(replace(dataset, images=dataset.images.drop(columns=["view", "age"])))


def test_contradicting_tables_are_all_reported(dataset):
    labels = dataset.labels.copy()
    labels.loc[0, "image_id"] = "stranger"
    labels.loc[1, "state"] = "perhaps"
    labels.loc[2, "class"] = "hernai"
    images = pd.concat([dataset.images, dataset.images.iloc[[0]]], ignore_index=True)
    images.loc[3, "split"] = "holdout"
    shapes = annotation_table([("gone", "mass", "box", [0, 0, 1, 1], (4, 4))], "expert")
    with pytest.raises(DataError) as caught:
        check_dataset(replace(dataset, labels=pd.concat([labels, labels.tail(1)]), images=images, annotations=shapes))
    text = str(caught.value)
    for part in (
        "1 images are listed more than once: '00.png'",
        "splits 'holdout' are unknown",
        "labels name 1 unknown images: 'stranger'",
        "unknown class 'hernai'; did you mean 'hernia'",
        "label states 'perhaps' are unknown",
        "1 labels are given more than once",
        "no image is named 'gone'",
    ):
        assert part in text
    assert len(caught.value.problems) == 7


def test_an_empty_data_set_is_refused(dataset):
    empty = replace(dataset, images=dataset.images.head(0), labels=dataset.labels.head(0))
    with pytest.raises(DataError, match="has no image"):
        check_dataset(empty)


@pytest.mark.parametrize(
    ("kind", "geometry"),
    [
        ("box", "[-1, -1, 11, 9]"),
        ("disc", "[0, 8, 3]"),
        ("polygon", "[[[0, 0], [10, 0], [10, 8]]]"),
        ("rle", '{"size": [8, 10], "counts": [79, 1]}'),
    ],
)
def test_shapes_in_their_frame_pass(kind, geometry):
    assert shape_problem(kind, geometry, (8, 10)) is None


@pytest.mark.parametrize(
    ("kind", "geometry", "part"),
    [
        ("box", "[3, 1, 3, 4]", "inverted or empty"),
        ("box", "[3, 6, 5, 4]", "inverted or empty"),
        ("box", "[0, 0, 11.1, 4]", "outside its frame of 10 × 8"),
        ("box", "[NaN, 0, 1, 4]", "inverted or empty"),
        ("box", "[0, 0, 1]", "is not that of a box"),
        ("disc", "[1, 1, 0]", "no radius"),
        ("disc", "[1, 20, 2]", "outside its frame"),
        ("polygon", "[[[0, 0], [1, 1]]]", "no ring of 3 points"),
        ("polygon", "[[[0, 0], [1, 1], [1, 99]]]", "outside its frame"),
        ("rle", '{"size": [10, 8], "counts": [79, 1]}', "expected its reference size [8, 10]"),
        ("rle", '{"size": [8, 10], "counts": [1, 1]}', "add up to 2"),
        ("rle", '{"size": [8, 10], "counts": [80]}', "mask is empty"),
        ("rle", "{}", "is not that of a rle"),
        ("circle", "[1, 1, 1]", "kind 'circle' is unknown"),
    ],
)
def test_a_wrong_shape_is_told(kind, geometry, part):
    assert part in str(shape_problem(kind, geometry, (8, 10)))
