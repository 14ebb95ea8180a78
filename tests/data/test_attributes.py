"""What is known about each image beside its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailscope.core import DataError
from tailscope.data import DataSettings, Phantom, SplitSettings, prepare
from tailscope.data.attributes import image_attributes
from tailscope.data.phantom_confounders import BASE_RATES
from tailscope.data.tables import annotation_table
from tailscope.sources import CsvTables

SETTINGS = DataSettings(image_size=(4, 5), split=SplitSettings(test=0.3, val=0.2))
TIE = {"pneumothorax": {"artifact": "chest_tube", "strength": 0.9}}
TABLE = "image,patient,mass,hernia,view,sex,age,site,path,empty\n"


@pytest.fixture(scope="module")
def phantom():
    return Phantom(train=300, val=60, test=60, minimum_positives=4, shortcuts=TIE)(None)


def _table(rows: int = 60, age: str = "{}") -> str:
    lines = []
    for number in range(rows):
        patient, view = number // 2, ("PA", "AP", "")[number % 3]
        cells = [f"{number:02}.png", f"p{patient}", patient % 2, int(patient % 6 == 0), view, "FM"[patient % 2]]
        lines.append(",".join(map(str, [*cells, age.format(20 + patient), f"s{number % 4}", "x", ""])))
    return TABLE + "\n".join(lines)


def test_the_phantom_has_its_columns_and_one_boolean_per_confounder(phantom):
    attributes = image_attributes(phantom)

    assert set(attributes) == {"view", "age", "sex", *BASE_RATES}
    assert {attributes[name].dtype for name in BASE_RATES} == {np.dtype(bool)}
    assert {values.shape for values in attributes.values()} == {(420,)}


def test_the_tube_stands_where_the_phantom_ties_it(phantom):
    tube = image_attributes(phantom)["chest_tube"]
    labels = phantom.labels[phantom.labels["class"] == "pneumothorax"]
    positive = (labels.set_index("image_id")["state"] == "positive").loc[phantom.images["image_id"]].to_numpy()
    train = (phantom.images["split"] == "train").to_numpy()

    assert tube[train & positive].sum() == round(0.9 * (train & positive).sum())
    assert tube[train & ~positive].sum() == round(0.1 * BASE_RATES["chest_tube"] * (train & ~positive).sum())


def test_prepared_data_have_the_attributes_in_the_order_of_the_images(phantom, tmp_path):
    data = prepare(phantom, DataSettings(image_size=(64, 64)), tmp_path / "cache")

    for name in BASE_RATES:
        drawn = [data.masks(row, name) is not None for row in range(len(data.image_ids))]
        assert data.attributes[name].tolist() == drawn
    age_of = dict(zip(phantom.images["image_id"], phantom.images["age"], strict=True))
    assert data.attributes["age"].tolist() == [age_of[image_id] for image_id in data.image_ids]


def test_further_columns_of_a_table_follow_the_sorted_images(csv_folder, tmp_path):
    header, *rows = _table().splitlines()
    folder = csv_folder(labels="\n".join([header, *reversed(rows)]))
    data = prepare(CsvTables(patient_column="patient")(folder), SETTINGS, tmp_path / "cache")

    assert data.classes == ("mass", "hernia")
    assert set(data.attributes) == {"view", "sex", "age", "site"}
    assert data.attributes["view"].tolist() == ["PA", "AP", None] * 20
    assert data.attributes["age"].tolist() == [20.0 + number // 2 for number in range(60)]
    assert data.attributes["site"].tolist() == [f"s{number % 4}" for number in range(60)]


def test_labels_that_are_not_chosen_as_classes_may_serve_as_groups(csv_folder):
    attributes = image_attributes(CsvTables(patient_column="patient", classes=["mass"])(csv_folder()))

    assert set(attributes["hernia"].tolist()) == {"0", "1"}


def test_what_is_kept_and_what_is_not_used_is_noted(csv_folder):
    notes = CsvTables(patient_column="patient")(csv_folder(labels=_table())).notes

    assert "columns kept beside the labels: view, sex, age, site, empty" in notes
    assert "columns not used: path" in notes


def test_an_age_that_is_no_number_is_not_used(csv_folder):
    dataset = CsvTables(patient_column="patient")(csv_folder(labels=_table(age="{}Y")))

    assert "age" not in image_attributes(dataset)
    assert "columns not used: age, path" in dataset.notes


def test_a_data_set_without_any_column_has_no_attributes(csv_folder):
    assert image_attributes(CsvTables(patient_column="patient")(csv_folder())) == {}


def test_the_fingerprint_does_not_depend_on_the_attributes(csv_folder, tmp_path):
    source = CsvTables(patient_column="patient")
    with_columns = prepare(source(csv_folder(labels=_table())), SETTINGS, tmp_path / "cache")
    short = "\n".join(",".join(line.split(",")[:4]) for line in _table().splitlines())
    without = prepare(source(csv_folder(labels=short)), SETTINGS, tmp_path / "cache")

    assert without.attributes == {}
    assert with_columns.fingerprint == without.fingerprint


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (pd.array([1, None, 3], dtype="Int64"), np.float64, [1.0, None, 3.0]),
        (pd.array([True, False, True], dtype="boolean"), np.bool_, [True, False, True]),
        (pd.array([True, None, True], dtype="boolean"), np.float64, [1.0, None, 1.0]),
        (pd.Series(["a", float("nan"), pd.NA], dtype=object), np.object_, ["a", None, None]),
        (pd.Series(["a", None, "b"], dtype="category"), np.object_, ["a", None, "b"]),
    ],
    ids=["integers", "flags", "flags with gaps", "text", "categories"],
)
def test_missing_values_are_none_or_nan(phantom, values, dtype, expected):
    images = phantom.images.head(3).assign(extra=values)
    column = image_attributes(replace(phantom, images=images))["extra"]

    assert column.dtype == dtype
    assert [None if value is None or value != value else value for value in column.tolist()] == expected


@pytest.mark.parametrize(("name", "what"), [("view", "a column of the images"), ("mass", "a class")])
def test_an_extra_mask_whose_name_is_taken_is_refused(phantom, name, what):
    shape = ("phantom_000000", name, "box", [0, 0, 4, 4], (64, 64))

    with pytest.raises(DataError, match=f"the extra mask '{name}' has the name of {what}.*rename one of the two"):
        image_attributes(replace(phantom, extra_masks=annotation_table([shape], "generator")))
