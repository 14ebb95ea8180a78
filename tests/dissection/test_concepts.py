from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import concept_counts
from tailscope.dissection._region_kernels import rolled, runs_of
from tailscope.dissection.cards import _upsampled
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.concepts import ConceptCounts, mask_shifts

EIGHT = np.ones((3, 3), dtype=bool)
ALONE = np.array([0])


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


def numbers(counts: ConceptCounts) -> list[list[float]]:
    return [values.tolist() for values in vars(counts).values()]


def upsampled(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Half-pixel bilinear in float64 by its own formula, rounded once."""
    sides = []
    for source, target in zip(maps.shape[-2:], size, strict=True):
        weights = resize_bilinear(np.eye(source, dtype=np.float32), (target, source)).astype(np.float64)
        sides.append(weights / weights.sum(axis=1, keepdims=True))
    return np.einsum("Yy,...yx,Xx->...YX", sides[0], maps.astype(np.float64), sides[1]).astype(np.float32)


def test_counts_equal_labelled_regions_and_their_mean_over_other_patients_masks() -> None:
    maps, thresholds, masks, patients = draw()
    active = resize_bilinear(maps, (16, 16)) > thresholds[:, None, None]
    counts = concept_counts(maps, thresholds, masks, patients)
    for n in range(9):
        others = [regions(active[n], masks[m]) for m in range(9) if patients[m] != patients[n]]
        assert (counts.units[n], counts.components[n]) == regions(active[n], masks[n])
        assert counts.null_units[n] == pytest.approx(np.mean([units for units, _ in others]))
        assert counts.null_components[n] == pytest.approx(np.mean([parts for _, parts in others]))


def test_shifted_counts_are_the_mean_over_the_rolled_own_mask() -> None:
    maps, thresholds, masks, patients = draw()
    shifts = mask_shifts("mass", np.arange(9).astype(str), (16, 16), 0, 7)
    active = resize_bilinear(maps, (16, 16)) > thresholds[:, None, None]
    counts = concept_counts(maps, thresholds, masks, patients, shifts)
    for n in range(9):
        moved = [regions(active[n], np.roll(masks[n], tuple(shift), axis=(0, 1))) for shift in shifts[n]]
        assert counts.shifted_units[n] == pytest.approx(np.mean([units for units, _ in moved]))
        assert counts.shifted_components[n] == pytest.approx(np.mean([parts for _, parts in moved]))


@pytest.mark.parametrize(
    ("grid", "size"), [((7, 7), (56, 56)), ((3, 5), (19, 32)), ((6, 4), (5, 9)), ((1, 1), (6, 5)), ((14, 14), (9, 9))]
)
def test_regions_are_those_of_scipy_on_any_grid(grid: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    maps = np.maximum(rng.standard_normal((6, 8, *grid)), -0.5).astype(np.float32)
    thresholds = np.quantile(maps, 0.7, axis=(0, 2, 3), method="lower").astype(np.float32)  # values that occur
    masks = rng.random((6, *size)) < np.array([0.0, 0.1, 0.5, 0.8, 0.95, 1.0])[:, None, None]
    active = upsampled(maps, size) > thresholds[:, None, None]
    counts = concept_counts(maps, thresholds, masks, np.zeros(6, dtype=np.int64))
    expected = [regions(*pair) for pair in zip(active, masks, strict=True)]
    assert list(zip(counts.units.tolist(), counts.components.tolist(), strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 24), width=st.integers(1, 30), share=st.floats(0.05, 0.98))
def test_components_of_any_pixels_in_any_mask_are_eight_connected_labels(
    seed: int, height: int, width: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    active, mask = rng.random((1, height, width)) < share, rng.random((height, width)) < 0.85
    shifts = mask_shifts("mass", np.array([str(seed)]), (height, width), 0, 2)
    counts = concept_counts(active[None].astype(np.float32), np.array([0.5]), mask[None], ALONE, shifts)
    assert (counts.units[0], counts.components[0]) == regions(active, mask)
    moved = [regions(active, np.roll(mask, tuple(shift), axis=(0, 1)))[1] for shift in shifts[0]]
    assert counts.shifted_components[0] == pytest.approx(np.mean(moved) if moved else np.nan, nan_ok=True)


@pytest.mark.parametrize("size", [(14, 33), (28, 28), (9, 2)])
def test_maps_that_differ_in_their_last_bits_are_cut_where_their_rounded_pixels_are(size: tuple[int, int]) -> None:
    one = np.float32(1)
    levels = np.array([np.nextafter(one, np.float32(0)), one, np.nextafter(one, np.float32(2))])
    maps = levels[np.random.default_rng(4).integers(0, 3, (1, 200, 4, 5))]
    whole = np.ones((1, *size), dtype=bool)
    active = _upsampled(maps[0], cell_grid((4, 5), size)) > one
    counts = concept_counts(maps, np.full(200, one), whole, ALONE)
    assert (counts.units[0], counts.components[0]) == regions(active, whole[0])


def test_a_rolled_mask_that_closes_over_the_border_is_one_run_again() -> None:
    mask = np.array([[[True, True, False, False, True]]])
    runs = rolled(runs_of(mask), 0, np.array([[0, 1], [0, 3], [0, 4]]))
    rows = [runs.spans[runs.first[s, 0] : runs.first[s, 1]].tolist() for s in range(3)]
    assert rows == [[[0, 3]], [[2, 5]], [[0, 1], [3, 5]]]


def test_the_order_of_the_images_does_not_matter() -> None:
    maps, thresholds, masks, patients = draw()
    shifts = mask_shifts("mass", np.arange(9).astype(str), (16, 16), 0, 3)
    there = concept_counts(maps, thresholds, masks, patients, shifts)
    back = concept_counts(maps[::-1], thresholds, masks[::-1], patients[::-1], shifts[::-1])
    assert numbers(there) == [values[::-1] for values in numbers(back)]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_does_not_matter(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps, thresholds, masks, patients = draw()
    shifts = mask_shifts("mass", np.arange(9).astype(str), (16, 16), 0, 3)
    usual = concept_counts(maps, thresholds, masks, patients, shifts)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
    assert numbers(concept_counts(maps, thresholds, masks, patients, shifts)) == numbers(usual)


def test_counts_of_blocks_of_units_add() -> None:
    maps, thresholds, masks, patients = draw()
    shifts = mask_shifts("mass", np.arange(9).astype(str), (16, 16), 0, 4)
    first = concept_counts(maps[:, :2], thresholds[:2], masks, patients, shifts)
    whole = first + concept_counts(maps[:, 2:], thresholds[2:], masks, patients, shifts)
    for ours, expected in zip(
        numbers(whole), numbers(concept_counts(maps, thresholds, masks, patients, shifts)), strict=True
    ):
        assert ours == pytest.approx(expected)


def test_a_constant_unit_is_never_counted() -> None:
    maps, thresholds, masks, patients = draw()
    dead = concept_counts(maps[:, 5:], thresholds[5:], masks, patients)
    assert dead.units.sum() == dead.components.sum() == dead.null_units.sum() == 0


def test_a_hole_is_no_component() -> None:
    ring = np.ones((1, 1, 5, 5), dtype=np.float32)
    ring[0, 0, 2, 2] = 0
    counts = concept_counts(ring, np.array([0.5]), np.ones((1, 5, 5), dtype=bool), ALONE)
    assert (counts.units.tolist(), counts.components.tolist()) == ([1], [1])


def test_pixels_that_meet_at_a_corner_are_one_component_but_not_over_the_border() -> None:
    diagonal = np.eye(4, dtype=np.float32)[None, None]
    ends = np.zeros((1, 1, 4, 4), dtype=np.float32)
    ends[..., 0, 0] = ends[..., 0, 3] = 1
    whole = np.ones((1, 4, 4), dtype=bool)
    assert concept_counts(diagonal, np.array([0.5]), whole, ALONE).components.tolist() == [1]
    assert concept_counts(ends, np.array([0.5]), whole, ALONE).components.tolist() == [2]


def test_an_empty_mask_holds_nothing_and_counts_among_the_others() -> None:
    maps = np.ones((2, 1, 2, 2), dtype=np.float32)
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 1:3, 1:3] = True
    counts = concept_counts(maps, np.array([0.5]), masks, np.array([0, 1]))
    assert (counts.units.tolist(), counts.null_units.tolist()) == ([1, 0], [0.0, 1.0])


def test_one_patient_alone_has_no_null() -> None:
    maps, thresholds, masks, _ = draw()
    counts = concept_counts(maps, thresholds, masks, np.zeros(9, dtype=np.int64))
    assert np.isnan(counts.null_units).all()
    assert np.isnan(counts.null_components).all()


def test_without_shifts_there_is_no_second_null() -> None:
    counts = concept_counts(*draw())
    assert np.isnan(counts.shifted_units).all()
    assert np.isnan(counts.shifted_components).all()


def test_shifts_differ_from_each_other_and_from_zero() -> None:
    shifts = mask_shifts("mass", np.array(["a", "b"]), (5, 4), 0, 30)
    assert shifts.shape == (2, 19, 2)
    for image in shifts:
        assert {tuple(shift) for shift in image.tolist()} == {(y, x) for y in range(5) for x in range(4)} - {(0, 0)}


def test_shifts_depend_on_class_and_id_and_not_on_the_other_images() -> None:
    both = mask_shifts("mass", np.array(["a", "b"]), (16, 16), 0)
    assert mask_shifts("mass", np.array(["b"]), (16, 16), 0)[0].tolist() == both[1].tolist()
    assert both[0].tolist() != both[1].tolist()
    for other in (
        mask_shifts("nodule", np.array(["a"]), (16, 16), 0),
        mask_shifts("mass", np.array(["a"]), (16, 16), 1),
    ):
        assert other[0].tolist() != both[0].tolist()


def test_a_mask_of_one_pixel_cannot_be_shifted() -> None:
    assert mask_shifts("mass", np.array(["a"]), (1, 1), 0).shape == (1, 0, 2)


def test_a_negative_number_of_shifts_is_refused() -> None:
    with pytest.raises(InputError, match="`count`"):
        mask_shifts("mass", np.array(["a"]), (4, 4), 0, -1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"thresholds": np.zeros(5)}, "`thresholds` \\(U,\\)"),
        ({"masks": np.zeros((8, 16, 16), dtype=bool)}, "`masks` \\(n, H, W\\)"),
        ({"patients": np.zeros(8, dtype=np.int64)}, "`patients` \\(9,\\)"),
        ({"shifts": np.zeros((9, 2), dtype=np.int64)}, "`shifts` \\(9, S, 2\\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(changed: dict[str, NDArray[np.generic]], message: str) -> None:
    maps, thresholds, masks, patients = draw()
    given_arrays = {"maps": maps, "thresholds": thresholds, "masks": masks, "patients": patients}
    with pytest.raises(InputError, match=message):
        concept_counts(**(given_arrays | changed))
