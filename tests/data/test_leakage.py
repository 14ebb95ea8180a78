"""Leakage between splits."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.core import LeakageError
from tailscope.data.leakage import check_leakage, duplicates, inseparable_groups

IMAGES = np.array(["i1", "i2", "i3", "i4"])


def test_a_patient_in_two_splits_is_named():
    patients, split = np.array(["p", "p", "q", "r"]), np.array(["train", "test", "test", "val"])
    with pytest.raises(LeakageError, match=r"patient 'p' stands in test, train \(images 'i1', 'i2'\)"):
        check_leakage(IMAGES, patients, list("abcd"), split)


def test_the_same_content_in_two_splits_is_named():
    patients, split = np.array(["p", "q", "r", "s"]), np.array(["train", "test", "test", "val"])
    with pytest.raises(LeakageError, match="images 'i1', 'i4' have the same content and stand in train, val"):
        check_leakage(IMAGES, patients, list("abca"), split)


def test_the_command_that_shows_identical_images_is_named_once():
    patients, split = np.array(["p", "q", "r", "s"]), np.array(["train", "train", "test", "val"])
    with pytest.raises(LeakageError) as refused:
        check_leakage(IMAGES, patients, list("abab"), split)
    first, second = refused.value.problems
    assert first.endswith("keep one of them: `tailscope data inspect … --pairs pairs.html` shows them side by side")
    assert second.endswith("keep one of them")


def test_identical_images_of_two_data_sets_are_on_no_page_of_one():
    patients, split = np.array(["p", "q", "r", "s"]), np.array(["train", "test", "test", "val"])
    with pytest.raises(LeakageError, match=r"keep one of them$"):
        check_leakage(IMAGES, patients, list("abca"), split, look="")


def test_the_same_content_within_one_split_is_no_leak():
    check_leakage(IMAGES, np.array(["p", "q", "r", "s"]), list("aacd"), np.array(["train", "train", "test", "val"]))


def test_very_many_leaks_are_counted():
    images = np.array([f"i{number}" for number in range(100)])
    patients = np.repeat([f"p{number}" for number in range(50)], 2)
    with pytest.raises(LeakageError, match="and 30 more of these"):
        check_leakage(images, patients, images.tolist(), np.tile(["train", "test"], 50))


def test_duplicates_are_grouped():
    assert duplicates(IMAGES, list("abba")) == [("i1", "i4"), ("i2", "i3")]


def test_groups_join_along_chains_of_duplicates():
    patients = np.array(["p", "q", "q", "r", "s"])
    assert inseparable_groups(patients, list("aabbc")).tolist() == ["p", "p", "p", "p", "s"]


def test_without_duplicates_the_groups_are_the_patients():
    patients = np.array(["q", "p", "q", "r"])
    assert inseparable_groups(patients, list("abcd")).tolist() == patients.tolist()
