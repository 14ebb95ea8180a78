"""Classes made from classes: renamed, grouped, and parents that follow their children."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tailscope.core import DataError
from tailscope.core.records import STATES
from tailscope.data import DataSettings, prepare
from tailscope.data.derived_classes import closed_classes, derived_dataset, mapped_classes
from tailscope.data.states import readings_of
from tailscope.sources import CsvTables

CELLS = {"positive": "1", "negative": "0", "uncertain": "-1", "unmentioned": ""}
PAIRS = list(product(STATES, STATES))
SHAPES = "image,class,x0,y0,x1,y1\n00.png,mass,0,0,2,2\n00.png,edema,1,1,3,3\n"


@pytest.fixture
def dataset(csv_folder):
    """One image per pair of states of mass and edema; opacity is negative everywhere."""
    lines = [f"{at:02}.png,{CELLS[one]},{CELLS[other]},0" for at, (one, other) in enumerate(PAIRS)]
    labels = "image,mass,edema,opacity\n" + "\n".join(lines) + "\n"
    return CsvTables(annotations="shapes.csv")(csv_folder(labels=labels, shapes=SHAPES))


def states(dataset, name):
    return [STATES[code] for code in readings_of(dataset, (name,)).states[0, :, 0]]


def together(one, other):
    """By hand: one positive decides, else one doubt, else one silence."""
    for state in ("positive", "uncertain", "unmentioned"):
        if state in (one, other):
            return state
    return "negative"


def test_a_group_is_positive_where_any_is_and_negative_only_where_all_are(dataset):
    found = mapped_classes(dataset, {"finding": ("mass", "edema")})
    assert states(found, "finding") == [together(*pair) for pair in PAIRS]
    assert found.classes == ("finding",)


def test_a_renamed_class_keeps_its_labels_and_shapes(dataset):
    found = mapped_classes(dataset, {"Mass": ("mass",)})
    assert states(found, "Mass") == [one for one, _ in PAIRS]
    assert found.annotations["class"].tolist() == ["Mass"]
    assert "class 'Mass' is 'mass'" in found.notes


def test_the_shapes_of_a_group_are_those_of_its_members(dataset):
    found = mapped_classes(dataset, {"finding": ("mass", "edema"), "opacity": ("opacity",)})
    assert found.annotations["class"].tolist() == ["finding", "finding"]


def test_a_parent_becomes_positive_where_a_descendant_is_and_nothing_else_changes(dataset):
    found = closed_classes(dataset, {"opacity": ("edema",), "edema": ("mass",)})
    ill = [one == "positive" or other == "positive" for one, other in PAIRS]
    assert [state == "positive" for state in states(found, "opacity")] == ill
    assert states(found, "edema") == ["positive" if one == "positive" else other for one, other in PAIRS]
    assert states(found, "mass") == [one for one, _ in PAIRS]
    assert f"'opacity' became positive on {sum(ill)} images where a class below it is" in found.notes


def test_the_hierarchy_is_closed_before_classes_are_mapped(dataset):
    settings = DataSettings(hierarchy={"opacity": ("mass",)}, class_map={"Opacity": ("opacity",)})
    assert states(derived_dataset(dataset, settings), "Opacity").count("positive") == 4


def test_without_settings_the_data_set_is_the_same(dataset):
    assert derived_dataset(dataset, DataSettings()) is dataset


@pytest.mark.parametrize(
    ("make", "made", "message"),
    [
        (mapped_classes, {"a": ("mas",)}, "`class_map`: data set 'csv' has no class 'mas'; did you mean 'mass'"),
        (mapped_classes, {"a": ("mass",), "b": ("mass",)}, "`class_map` uses 'mass' more than once"),
        (mapped_classes, {"a": ()}, "`class_map`: 'a' is made of no class"),
        (mapped_classes, {}, "`class_map` is empty"),
        (closed_classes, {"lung": ("mass",)}, "`hierarchy`: data set 'csv' has no class 'lung'"),
        (closed_classes, {"mass": ("edema",), "edema": ("mass",)}, "'edema' is its own ancestor"),
    ],
)
def test_a_wrong_map_is_refused_with_its_remedy(dataset, make, made, message):
    with pytest.raises(DataError, match=message):
        make(dataset, made)


def test_an_experiment_sees_the_classes_that_were_made(csv_folder, tmp_path):
    source = CsvTables(patient_column="patient")(csv_folder())
    settings = DataSettings(image_size=(8, 8), class_map={"finding": ("mass", "hernia")})
    data = prepare(source, settings, tmp_path / "cache")
    apart = prepare(source, DataSettings(image_size=(8, 8)), tmp_path / "cache")
    assert data.classes == ("finding",)
    np.testing.assert_array_equal(data.targets[:, 0], apart.targets.max(axis=1))
