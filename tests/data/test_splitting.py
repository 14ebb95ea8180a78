"""Dealing patients to splits."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.data.splitting import deal

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def long_tailed(seed: int, patients: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Patients with 1 to 9 images; classes from 40 % of images down to 3 patients."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"p{number:03}" for number in range(patients)], rng.integers(1, 10, patients))
    targets = (rng.random((len(groups), 4)) < [0.4, 0.1, 0.03, 0]).astype(np.float32)
    for patient in ("p007", "p070", "p123"):
        targets[np.flatnonzero(groups == patient)[0], 3] = 1
    return groups, targets


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_stands_in_one_split(seed):
    groups, targets = long_tailed(seed)
    split = deal(groups, targets, SHARES, seed)
    assert all(len(set(split[groups == patient])) == 1 for patient in np.unique(groups))


@pytest.mark.parametrize("seed", range(5))
def test_every_split_gets_its_share_of_images_and_of_every_class(seed):
    groups, targets = long_tailed(seed)
    split = deal(groups, targets, SHARES, seed)
    for name, share in SHARES.items():
        assert (split == name).mean() == pytest.approx(share, abs=0.02)
        held = targets[split == name].sum(axis=0) / targets.sum(axis=0)
        assert held[:3] == pytest.approx([share] * 3, abs=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_three_patients_is_in_every_split(seed):
    groups, targets = long_tailed(seed)
    split = deal(groups, targets, SHARES, seed)
    assert {str(name) for name in split[targets[:, 3] == 1]} == set(SHARES)


def test_entangled_rare_classes_are_all_in_every_split():
    groups = np.array(list("abcde"))
    targets = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    split = deal(groups, targets, SHARES, 0)
    assert all({str(name) for name in split[targets[:, column] == 1]} == set(SHARES) for column in range(2))


def test_the_order_of_rows_does_not_matter():
    groups, targets = long_tailed(0)
    order = np.random.default_rng(1).permutation(len(groups))
    assert np.array_equal(deal(groups, targets, SHARES, 3)[order], deal(groups[order], targets[order], SHARES, 3))


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    groups, targets = long_tailed(0)
    first = deal(groups, targets, SHARES, 0)
    assert np.array_equal(first, deal(groups, targets, SHARES, 0))
    assert not np.array_equal(first, deal(groups, targets, SHARES, 1))


def test_unknown_targets_count_as_neither():
    groups, targets = long_tailed(0)
    unknown = targets.copy()
    unknown[targets == 0] = np.nan
    assert np.array_equal(deal(groups, targets, SHARES, 0), deal(groups, unknown, SHARES, 0))
