"""Training and validation labels by another view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailscope.core import DataError
from tailscope.data import DataSettings, SplitSettings, prepare, relabelled, trained_alike
from tailscope.sources import CsvTables

SETTINGS = DataSettings(image_size=(4, 5), split=SplitSettings(test=0.3, val=0.2))


@pytest.fixture
def dataset(csv_folder):
    """60 patients; a third of the labels of mass is uncertain, every other of the rest positive."""
    cells = ["1", "0", "-1"]
    lines = [f"{number:02}.png,p{number},{cells[number % 3]}" for number in range(60)]
    return CsvTables()(csv_folder(labels="image,patient,mass\n" + "\n".join(lines)))


@pytest.fixture
def data(dataset, tmp_path):
    return prepare(dataset, SETTINGS, tmp_path / "cache")


@pytest.mark.parametrize(("policy", "value"), [("zeros", 0), ("ones", 1)])
def test_training_and_validation_take_the_other_policy_and_test_labels_stay(data, dataset, policy, value):
    found = relabelled(data, dataset, replace(SETTINGS, uncertain=policy))
    test, doubtful = data.split == "test", np.arange(60) % 3 == 2
    assert (found.targets[doubtful & ~test] == value).all()
    assert np.array_equal(found.targets[test], data.targets[test], equal_nan=True)
    assert np.array_equal(found.targets[~doubtful], data.targets[~doubtful])
    assert np.array_equal(found.split, data.split)
    assert found.fingerprint != data.fingerprint
    assert not trained_alike(found, data)


def test_probabilities_come_along_and_the_labels_stay_unknown(data, dataset):
    found = relabelled(data, dataset, replace(SETTINGS, uncertain="soft(0.7)"))
    assert np.array_equal(found.targets, data.targets, equal_nan=True)
    assert np.allclose(found.soft[(data.split == "train") & (np.arange(60) % 3 == 2)], 0.7)
    assert not trained_alike(found, data)
    assert not trained_alike(found, relabelled(data, dataset, replace(SETTINGS, uncertain="soft(0.6)")))


def test_the_same_view_gives_the_very_same_data(data, dataset):
    assert relabelled(data, dataset, SETTINGS) is data
    assert relabelled(data, dataset, replace(SETTINGS, unmentioned="ignore")) is data  # there is no blank cell


def test_a_class_that_a_view_leaves_without_positives_is_refused(csv_folder, tmp_path):
    lines = [f"{number:02}.png,p{number},{'0' if number % 3 else '-1'}" for number in range(60)]
    dataset = CsvTables()(csv_folder(labels="image,patient,mass\n" + "\n".join(lines)))
    data = prepare(dataset, replace(SETTINGS, uncertain="ones"), tmp_path / "cache")
    with pytest.raises(DataError, match="class 'mass' has 0 positive"):
        relabelled(data, dataset, replace(SETTINGS, uncertain="zeros"))
