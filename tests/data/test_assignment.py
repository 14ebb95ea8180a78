"""Published and own splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.core import DataError, InputError
from tailscope.data import SplitSettings
from tailscope.data.assignment import assign_splits

N = 400
GROUPS = np.array([f"p{number:03}" for number in range(N)])
TARGETS = (np.random.default_rng(0).random((N, 2)) < [0.3, 0.1]).astype(np.float32)


def published(**counts: int) -> pd.Series:
    names = [name for name, count in counts.items() for _ in range(count)]
    return pd.Series(names + [None] * (N - len(names)), dtype=object)


def shares(split: np.ndarray) -> list[float]:
    return [float((split == name).mean()) for name in ("train", "val", "test")]


def test_without_a_published_split_everything_is_cut():
    assignment = assign_splits(published(), GROUPS, TARGETS, SplitSettings())
    assert shares(assignment.split) == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    assert "stratified by class, seed 0" in assignment.notes[0]


def test_a_whole_published_split_is_kept():
    given = published(train=200, val=100, test=100)
    assert assign_splits(given, GROUPS, TARGETS, SplitSettings()).split.tolist() == given.tolist()


def test_validation_is_cut_from_the_published_training_part():
    given = published(train=300, test=100)
    split = assign_splits(given, GROUPS, TARGETS, SplitSettings(val=0.1, test=0.2)).split
    assert (split[300:] == "test").all()
    assert (split[:300] == "val").mean() == pytest.approx(0.1 / 0.8, abs=0.01)
    assert not (split[:300] == "test").any()


def test_a_published_split_can_be_left_aside():
    split = assign_splits(published(train=200, val=100, test=100), GROUPS, TARGETS, SplitSettings(by="patient")).split
    assert shares(split) == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_an_official_split_that_lacks_a_part_is_refused():
    with pytest.raises(DataError, match="needs all of train, val, test; the source has 'test', 'train'"):
        assign_splits(published(train=300, test=100), GROUPS, TARGETS, SplitSettings(by="official"))


def test_images_outside_a_published_split_are_refused():
    with pytest.raises(DataError, match="50 of 400 images have no published split"):
        assign_splits(published(train=300, test=50), GROUPS, TARGETS, SplitSettings())


def test_a_published_split_without_training_is_refused():
    with pytest.raises(DataError, match="has only 'test', no train"):
        assign_splits(published(test=400), GROUPS, TARGETS, SplitSettings())


@pytest.mark.parametrize("wrong", [{"test": 0.0}, {"val": -0.1}, {"test": 0.6, "val": 0.4}])
def test_shares_that_leave_a_split_empty_are_refused(wrong):
    with pytest.raises(InputError, match="must be above 0 and leave a part for training"):
        SplitSettings(**wrong)


def test_an_unknown_way_to_split_is_refused():
    with pytest.raises(InputError, match="`by` must be auto, patient or official"):
        SplitSettings(by="image")  # type: ignore[arg-type]
