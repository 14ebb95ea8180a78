from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tailscope.dissection import derangements
from tailscope.dissection.derangement import mask_holders


@pytest.mark.parametrize("patients", [[0, 1, 2, 3], [0, 0, 1, 1, 2], [5, 5, 5, 7, 8, 9], [1, 1, 2, 2]])
def test_no_mask_goes_to_its_own_patient(patients: list[int]) -> None:
    codes = np.array(patients)
    orders = derangements(codes, 50, np.random.default_rng(0))
    assert orders is not None
    assert (codes[orders] != codes).all()
    assert np.sort(orders, axis=1).tolist() == [list(range(len(codes)))] * 50


@pytest.mark.parametrize("patients", [[0, 1, 2, 3], [0, 0, 1, 2, 3]])
def test_all_derangements_are_drawn_about_equally_often(patients: list[int]) -> None:
    codes = np.array(patients)
    possible = [order for order in permutations(range(len(codes))) if (codes[list(order)] != codes).all()]
    orders = derangements(codes, 4000, np.random.default_rng(1))
    assert orders is not None
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == len(possible)
    expected = 4000 / len(possible)
    assert ((counts - expected) ** 2 / expected).sum() < 3 * len(possible)


@pytest.mark.parametrize("patients", [[], [0], [0, 0], [0, 0, 1]])
def test_a_patient_with_more_than_half_of_the_images_cannot_be_deranged(patients: list[int]) -> None:
    assert derangements(np.array(patients, dtype=np.int64), 3, np.random.default_rng(0)) is None


def test_every_mask_is_held_by_the_image_that_its_order_gives_it_to() -> None:
    own = np.array([-1, 1, -1, 0, 2, -1])
    orders = derangements(np.arange(6), 30, np.random.default_rng(2))
    assert orders is not None
    for order, holders in zip(orders, mask_holders(orders, own), strict=True):
        worn = own[order]
        assert [int(np.flatnonzero(worn == mask)[0]) for mask in range(3)] == holders.tolist()
