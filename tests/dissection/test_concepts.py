from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import resize_bilinear
from tailscope.dissection import concept_counts
from tailscope.dissection._region_kernels import count_components

EIGHT = np.ones((3, 3), dtype=bool)


def draw() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    maps = rng.integers(-2, 4, (9, 6, 4, 4)).astype(np.float32)
    maps[:, 5] = 2
    masks = np.zeros((9, 16, 16), dtype=bool)
    for mask in masks:
        for _ in range(2):
            y, x = rng.integers(0, 11, 2)
            mask[y : y + 5, x : x + 4] = True
    return maps, np.array([0, 1, 2, 0.5, 5, 2], dtype=np.float32), masks, np.array([0, 0, 1, 2, 3, 3, 3, 4, 5])


def regions(active: NDArray[np.bool_], mask: NDArray[np.bool_]) -> tuple[int, int]:
    found = [ndimage.label(unit & mask, structure=EIGHT)[1] for unit in active]
    return sum(count > 0 for count in found), sum(found)


def test_counts_equal_labelled_regions_and_their_mean_over_other_patients_masks() -> None:
    maps, thresholds, masks, patients = draw()
    active = resize_bilinear(maps, (16, 16)) > thresholds[:, None, None]
    counts = concept_counts(maps, thresholds, masks, patients)
    for n in range(9):
        others = [regions(active[n], masks[m]) for m in range(9) if patients[m] != patients[n]]
        assert (counts.units[n], counts.components[n]) == regions(active[n], masks[n])
        assert counts.null_units[n] == pytest.approx(np.mean([units for units, _ in others]))
        assert counts.null_components[n] == pytest.approx(np.mean([parts for _, parts in others]))


def test_components_equal_eight_connected_labels_on_random_pixels() -> None:
    rng = np.random.default_rng(1)
    parents = np.zeros(24 * 30 + 1, dtype=np.int64)
    for density in (0.1, 0.3, 0.45, 0.6, 0.9):
        active, mask = rng.random((24, 30)) < density, rng.random((24, 30)) < 0.9
        expected = ndimage.label(active & mask, structure=EIGHT)[1]
        assert count_components(active, mask, (0, 24, 0, 30), parents) == expected
        cut = ndimage.label((active & mask)[3:20, 5:27], structure=EIGHT)[1]
        assert count_components(active, mask, (3, 20, 5, 27), parents) == cut


def test_the_order_of_the_images_does_not_matter() -> None:
    maps, thresholds, masks, patients = draw()
    there = concept_counts(maps, thresholds, masks, patients)
    back = concept_counts(maps[::-1], thresholds, masks[::-1], patients[::-1])
    assert back.components[::-1].tolist() == there.components.tolist()
    assert back.null_components[::-1].tolist() == there.null_components.tolist()


def test_counts_of_blocks_of_units_add() -> None:
    maps, thresholds, masks, patients = draw()
    first = concept_counts(maps[:, :2], thresholds[:2], masks, patients)
    whole = first + concept_counts(maps[:, 2:], thresholds[2:], masks, patients)
    assert whole.components.tolist() == concept_counts(maps, thresholds, masks, patients).components.tolist()


def test_a_constant_unit_is_never_counted() -> None:
    maps, thresholds, masks, patients = draw()
    dead = concept_counts(maps[:, 5:], thresholds[5:], masks, patients)
    assert dead.units.sum() == dead.components.sum() == dead.null_units.sum() == 0


def test_a_hole_is_no_component() -> None:
    ring = np.ones((1, 1, 5, 5), dtype=np.float32)
    ring[0, 0, 2, 2] = 0
    counts = concept_counts(ring, np.array([0.5]), np.ones((1, 5, 5), dtype=bool), np.array([0]))
    assert (counts.units.tolist(), counts.components.tolist()) == ([1], [1])


def test_one_patient_alone_has_no_null() -> None:
    maps, thresholds, masks, _ = draw()
    counts = concept_counts(maps, thresholds, masks, np.zeros(9, dtype=np.int64))
    assert np.isnan(counts.null_units).all()
    assert np.isnan(counts.null_components).all()
