from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import activation_thresholds, attainable_iou, unit_concept_counts
from tailscope.dissection._count_kernels import count_above, rounding_limits, row_span
from tailscope.dissection.cells import cell_grid, cell_sums

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


def golden_cases(group: str) -> list[dict[str, object]]:
    if not GOLDEN.exists():
        return []
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    return [case for case in cases if case["group"] == group]


def dyadic(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Small integers on a grid whose upsampling by 4 is exact in any arithmetic."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(-3, 6, (6, 7, 3, 4)).astype(np.float32)
    maps[:, 2] = 1
    masks = np.zeros((6, 3, 12, 16), dtype=bool)
    for n in range(6):
        for c in range(2):
            y, x = rng.integers(0, 8, 2)
            masks[n, c, y : y + 5, x : x + 6] = True
    return maps, masks


def test_counts_equal_upsample_threshold_and_count() -> None:
    maps, masks = dyadic()
    thresholds = np.array([0, 1, 1, 2.5, 3, 4, 5], dtype=np.float32)
    active = resize_bilinear(maps, (12, 16)) > thresholds[:, None, None]
    counts = unit_concept_counts(maps, thresholds, masks)
    assert counts.activated.tolist() == active.sum(axis=(0, 2, 3)).tolist()
    assert counts.concept.tolist() == masks.sum(axis=(0, 2, 3)).tolist()
    assert counts.intersection.tolist() == np.einsum("nuyx,ncyx->uc", active, masks.astype(np.int64)).tolist()
    assert counts.intersection.dtype == counts.activated.dtype == counts.concept.dtype == np.int64


@pytest.mark.parametrize(("grid", "size"), [((7, 7), (64, 64)), ((5, 9), (13, 11)), ((8, 8), (3, 5)), ((1, 1), (4, 4))])
def test_any_pair_of_grids_gives_the_counts_of_the_slow_way(grid: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((3, 4, *grid)).astype(np.float32)
    masks = rng.random((3, 2, *size)) < 0.3
    thresholds = np.full(4, 0.5, dtype=np.float32)
    upsampled = resize_bilinear(maps, size)
    assert np.abs(upsampled - 0.5).min() > 1e-5
    active = upsampled > 0.5
    counts = unit_concept_counts(maps, thresholds, masks)
    assert counts.activated.tolist() == active.sum(axis=(0, 2, 3)).tolist()
    assert counts.intersection.tolist() == np.einsum("nuyx,ncyx->uc", active, masks.astype(np.int64)).tolist()


def pixel_by_pixel(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Every pixel of every map: between its four neighbours in float64, then rounded to float32."""
    height, width = maps.shape[2:]
    cells = cell_grid((height, width), size)
    whole = np.empty((*maps.shape[:2], *size), dtype=np.float32)
    for y in range(size[0]):
        top = int(np.searchsorted(cells.row_start, y, side="right")) - 1
        for x in range(size[1]):
            left = int(np.searchsorted(cells.column_start, x, side="right")) - 1
            four = maps[:, :, [top, min(top + 1, height - 1)]][:, :, :, [left, min(left + 1, width - 1)]]
            sides = four[:, :, 0].astype(np.float64)
            sides = sides + cells.row_share[y] * (four[:, :, 1].astype(np.float64) - sides)
            whole[:, :, y, x] = sides[..., 0] + cells.column_share[x] * (sides[..., 1] - sides[..., 0])
    return whole


def kinds(grid: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Maps of every kind: plain, after a ReLU, constant, dead, tied, negative, tiny, huge, and nearly flat."""
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((3, 9, *grid)).astype(np.float32)
    maps[:, 1] = np.maximum(maps[:, 1], 0)
    maps[:, 2], maps[:, 3] = 0.1, 0
    maps[:, 4] = rng.integers(0, 3, maps[:, 4].shape)
    maps[:, 5] = -np.abs(maps[:, 5])
    maps[:, 6] *= np.float32(1e-44)
    maps[:, 7] = maps[:, 7].clip(-3, 3) * np.float32(1e38)
    maps[:, 8] = 1 + rng.integers(-1, 2, maps[:, 8].shape) * np.float32(2**-23)
    return maps


NAIVE_GRIDS = [((1, 1), (5, 4)), ((7, 7), (20, 23)), ((5, 9), (13, 11)), ((8, 8), (3, 5)), ((2, 3), (40, 30))]
NAIVE_GRIDS += [((56, 56), (60, 61)), ((1, 6), (9, 300))]


@pytest.mark.parametrize("fraction", [0.02, 0.4, None])
@pytest.mark.parametrize(("grid", "size"), NAIVE_GRIDS)
def test_every_pixel_of_every_kind_of_map_is_counted_as_the_naive_way_does(
    grid: tuple[int, int], size: tuple[int, int], fraction: float | None
) -> None:
    maps = kinds(grid, 0)
    rng = np.random.default_rng(1)
    upsampled = pixel_by_pixel(maps, size)
    if fraction is None:  # at a pixel's own value, where the last bit decides
        thresholds = upsampled[0, :, size[0] // 2, size[1] // 2].copy()
    else:
        thresholds = activation_thresholds(maps, fraction)
    masks = rng.random((3, 4, *size)) < np.array([0.0, 0.3, 1.0, 0.9])[:, None, None]
    masks[:, 3, : size[0] // 2] = False
    active = upsampled > thresholds[:, None, None]
    counts = unit_concept_counts(maps, thresholds, masks)
    intersection = np.einsum("nuyx,ncyx->uc", active, masks.astype(np.int64))
    assert counts.activated.tolist() == active.sum(axis=(0, 2, 3)).tolist()
    assert counts.concept.tolist() == masks.sum(axis=(0, 2, 3)).tolist()
    assert counts.intersection.tolist() == intersection.tolist()
    union = active.sum(axis=(0, 2, 3))[:, None] + masks.sum(axis=(0, 2, 3)) - intersection
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(counts.iou(), intersection / union)


@settings(deadline=None, max_examples=60)
@given(
    corners=st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 4),
    size=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    place=st.tuples(st.integers(0, 2**16), st.integers(0, 2**16), st.sampled_from([-1, 0, 1])),
)
def test_the_crossing_is_right_to_the_last_bit(
    corners: tuple[float, ...], size: tuple[int, int], place: tuple[int, int, int]
) -> None:
    maps = np.array(corners, dtype=np.float32).reshape(1, 1, 2, 2)
    upsampled = pixel_by_pixel(maps, size)[0, 0]
    row, column, step = place
    threshold = upsampled[row % size[0], column % size[1]]
    if step:
        with np.errstate(over="ignore", under="ignore"):
            threshold = np.nextafter(threshold, np.float32(step * np.inf))
    counts = unit_concept_counts(maps, np.array([threshold]), np.ones((1, 1, *size), dtype=bool))
    assert counts.activated.tolist() == [(upsampled > threshold).sum()]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 5))
def test_neither_the_order_of_units_and_images_nor_chunks_nor_shards_change_a_count(
    seed: int, chunk: int, cut: int
) -> None:
    maps, masks = dyadic(seed % 100)
    rng = np.random.default_rng(seed)
    thresholds = rng.integers(-1, 5, 7) + rng.choice([0.0, 0.5], 7)
    whole = unit_concept_counts(maps, thresholds, masks)
    units, images = rng.permutation(7), rng.permutation(6)
    shards = [
        unit_concept_counts(maps[part][:, units], thresholds[units], masks[part], chunk_images=chunk)
        for part in (images[:cut], images[cut:])
    ]
    found = shards[0] + shards[1]
    assert found.intersection.tolist() == whole.intersection[units].tolist()
    assert found.activated.tolist() == whole.activated[units].tolist()
    assert found.concept.tolist() == whole.concept.tolist()


def test_the_number_of_threads_changes_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.standard_normal((12, 512, 8, 8)), 0).astype(np.float32)
    masks = rng.random((12, 3, 20, 20)) < 0.3
    thresholds = activation_thresholds(maps, 0.1)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("tailscope.dissection.threads.config.NUMBA_NUM_THREADS", threads)
        found.append(unit_concept_counts(maps, thresholds, masks))
    assert {counts.intersection.tobytes() for counts in found} == {found[0].intersection.tobytes()}
    assert {counts.activated.tobytes() for counts in found} == {found[0].activated.tobytes()}


def test_each_image_is_held_against_the_masks_of_its_row_in_the_table() -> None:
    maps, masks = dyadic()
    cells = cell_grid((3, 4), (12, 16))
    bank = np.ascontiguousarray(masks[:, 0])
    table = np.array([[0, -1], [5, 5], [5, 5], [-1, -1], [2, 1], [3, 0]])
    active = pixel_by_pixel(maps, (12, 16)) > 1
    activated, inside = count_above(maps, np.ones(7, dtype=np.float32), (bank, cell_sums(bank, cells), table), cells)
    chosen = np.where(table[:, :, None, None] >= 0, bank[table], False)
    assert activated.tolist() == active.sum(axis=(2, 3)).tolist()
    assert inside.tolist() == np.einsum("nuyx,nmyx->num", active, chosen.astype(np.int64)).tolist()


def test_cells_wider_than_a_byte_holds_are_counted_in_full() -> None:
    maps = np.array([[[[0.0, 1.0]]]], dtype=np.float32)
    masks = np.ones((1, 1, 1, 1000), dtype=bool)
    masks[..., 0] = False
    counts = unit_concept_counts(maps, np.array([0.5]), masks)
    assert (counts.intersection.tolist(), counts.activated.tolist()) == ([[500]], [500])


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.1, 1e-45, -3.4028235e38])
def test_a_number_rounds_above_the_threshold_exactly_if_it_is_above_its_limit(value: float) -> None:
    threshold = np.array([value, np.nextafter(np.float32(value), np.float32(0))], dtype=np.float32)
    limit = rounding_limits(threshold)
    with np.errstate(over="ignore", under="ignore"):
        at, above = limit.astype(np.float32), np.nextafter(limit, np.inf).astype(np.float32)
    assert not (at > threshold).any()
    assert (above > threshold).all()


def test_minus_infinity_lets_every_number_through_and_the_largest_number_none() -> None:
    maps = np.full((1, 2, 2, 2), np.finfo(np.float32).max, dtype=np.float32)
    maps[:, :, 0] *= -1
    thresholds = np.array([-np.inf, np.finfo(np.float32).max], dtype=np.float32)
    assert unit_concept_counts(maps, thresholds, np.ones((1, 1, 5, 5), dtype=bool)).activated.tolist() == [25, 0]


def test_a_row_crosses_in_the_clamped_border_of_a_map_where_it_should() -> None:
    cells = cell_grid((1, 2), (1, 8))
    assert cells.column_share.tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 0, 0]
    columns = (0, 6, 4.0)
    assert row_span(0.0, 1.0, 0.0, columns, cells.column_share) == (2, 6)
    assert row_span(1.0, 0.0, 0.99, columns, cells.column_share) == (0, 2)
    assert row_span(0.0, 1.0, 0.875, columns, cells.column_share) == (6, 6)
    assert row_span(0.0, 0.0, 0.0, columns, cells.column_share) == (0, 0)
    assert row_span(1.0, 2.0, 0.0, columns, cells.column_share) == (0, 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused(bad: float) -> None:
    maps, masks = dyadic()
    maps[4, 3, 1, 1] = bad
    with pytest.raises(InputError, match="`activations` must be finite"):
        unit_concept_counts(maps, np.full(7, 1.0), masks)


def test_a_threshold_that_is_no_number_is_refused() -> None:
    maps, masks = dyadic()
    with pytest.raises(InputError, match=r"`thresholds` must be numbers; NaN at units \[2\]"):
        unit_concept_counts(maps, np.array([1, 1, np.nan, 1, 1, 1, 1]), masks)


def test_counts_depend_neither_on_chunks_nor_on_order() -> None:
    maps, masks = dyadic()
    thresholds = np.full(7, 1.0)
    whole = unit_concept_counts(maps, thresholds, masks)
    single = unit_concept_counts(maps[::-1], thresholds, masks[::-1], chunk_images=1)
    assert whole.intersection.tolist() == single.intersection.tolist()
    assert whole.activated.tolist() == single.activated.tolist()


class Counting:
    """An array that notes how many images are read at a time."""

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.array, self.shape, self.largest = array, array.shape, 0

    def __getitem__(self, index: slice) -> NDArray[np.generic]:
        part = self.array[index]
        self.largest = max(self.largest, len(part))
        return part


def test_no_more_than_one_chunk_of_maps_and_masks_is_read_at_a_time() -> None:
    maps, masks = map(Counting, dyadic())
    unit_concept_counts(maps, np.full(7, 1.0), masks, chunk_images=2)
    assert (maps.largest, masks.largest) == (2, 2)


def test_chunks_shrink_where_masks_are_large() -> None:
    maps = Counting(np.zeros((5, 1, 1, 1), dtype=np.float32))
    unit_concept_counts(maps, np.zeros(1), np.zeros((5, 4, 2048, 2048), dtype=bool))
    assert maps.largest == 2


def test_counts_of_parts_add_to_the_counts_of_the_whole() -> None:
    maps, masks = dyadic()
    thresholds = np.full(7, 1.0)
    parts = unit_concept_counts(maps[:2], thresholds, masks[:2]) + unit_concept_counts(maps[2:], thresholds, masks[2:])
    np.testing.assert_array_equal(parts.iou(), unit_concept_counts(maps, thresholds, masks).iou())


def test_a_unit_at_its_threshold_everywhere_is_not_activated() -> None:
    maps = np.full((2, 1, 7, 7), 0.1, dtype=np.float32)
    counts = unit_concept_counts(maps, np.array([0.1], dtype=np.float32), np.ones((2, 1, 64, 64), dtype=bool))
    assert counts.activated.tolist() == [0]


def test_a_full_mask_holds_every_activated_pixel_and_an_empty_one_none() -> None:
    maps, _ = dyadic()
    masks = np.zeros((6, 2, 12, 16), dtype=bool)
    masks[:, 0] = True
    counts = unit_concept_counts(maps, np.full(7, 1.0), masks)
    assert counts.intersection[:, 0].tolist() == counts.activated.tolist()
    assert counts.intersection[:, 1].tolist() == [0] * 7


def test_iou_is_undefined_where_neither_unit_nor_concept_has_a_pixel() -> None:
    maps, masks = dyadic()
    counts = unit_concept_counts(maps, np.full(7, 99.0), masks)
    assert counts.iou()[:, :2].tolist() == [[0.0, 0.0]] * 7
    assert np.isnan(counts.iou()[:, 2]).all()


def test_attainable_iou_is_the_ratio_of_the_smaller_to_the_larger_share() -> None:
    assert attainable_iou(np.array([0.001, 0.005, 0.1]), 0.005).tolist() == pytest.approx([0.2, 1.0, 0.05])
    assert np.isnan(attainable_iou(np.array([0.0]), 0.0)).all()


def test_fixed_fraction_iou_of_a_perfect_unit_stands_at_its_attainable_value() -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((10, 1, 20, 20)) < 0.05
    maps = rng.random((10, 1, 20, 20)).astype(np.float32) + 2 * masks
    counts = unit_concept_counts(maps, activation_thresholds(maps, 0.005), masks)
    assert counts.iou()[0, 0] == pytest.approx(attainable_iou(np.array(masks.mean()), 0.005), rel=1e-12)


@pytest.mark.parametrize(
    ("maps", "thresholds", "masks", "message"),
    [
        ((2, 3, 4), (3,), (2, 1, 8, 8), "`activations` must be"),
        ((2, 3, 4, 4), (2,), (2, 1, 8, 8), r"`thresholds` must be \(3,\)"),
        ((2, 3, 4, 4), (3,), (3, 1, 8, 8), r"`masks` must be \(N, C, H, W\) with N = 2"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    maps: tuple[int, ...], thresholds: tuple[int, ...], masks: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        unit_concept_counts(np.zeros(maps), np.zeros(thresholds), np.zeros(masks, dtype=bool))


def test_counts_of_different_layers_do_not_add() -> None:
    maps, masks = dyadic()
    counts = unit_concept_counts(maps, np.zeros(7), masks)
    with pytest.raises(InputError, match="do not add"):
        counts + unit_concept_counts(maps[:, :2], np.zeros(2), masks)


@pytest.mark.needs_data
@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")
@pytest.mark.parametrize("case", golden_cases("netdissect"), ids=lambda case: str(case["name"]))
def test_netdissect_variant_equals_the_golden_case(case: dict[str, dict[str, object]]) -> None:
    stored = np.load(GOLDEN / str(case["file"]))
    size = (64, 64)
    masks = np.unpackbits(stored["seg_packed"], axis=-1)[..., :64].astype(bool)
    where = {"raw": "grid", "upsampled": "upsampled"}[str(case["args"]["threshold_on"])]
    quantile = float(str(case["args"]["quantile"]))
    thresholds = activation_thresholds(stored["acts"], quantile, at=where, size=size, variant="netdissect")  # type: ignore[arg-type]
    np.testing.assert_allclose(thresholds, stored["threshold"], rtol=1e-5, atol=1e-6)
    upsampled = resize_bilinear(stored["acts"], size)
    close = np.abs(upsampled - stored["threshold"][:, None, None]) < 1e-6
    slack = close.sum(axis=(0, 2, 3))
    counts = unit_concept_counts(stored["acts"], thresholds, masks)
    tally = counts.detectors()
    assert (np.abs(counts.activated - stored["unit_area"]) <= slack).all()
    assert (np.abs(counts.intersection - stored["intersection"]) <= slack[:, None]).all()
    assert (np.abs(counts.union() - stored["union"]) <= slack[:, None]).all()
    assert counts.concept.tolist() == stored["concept_area"].tolist()
    exact = slack == 0
    np.testing.assert_allclose(counts.iou()[exact], stored["iou"][exact], rtol=1e-12)
    np.testing.assert_allclose(tally.best_iou[exact], stored["best_iou"][exact], rtol=1e-12)
    assert tally.best_concept[exact].tolist() == stored["best_concept"][exact].tolist()
    assert tally.per_concept.tolist() == stored["detectors_per_concept"].tolist()
    assert tally.per_concept.sum() == stored["num_detectors"]
    assert (tally.per_concept > 0).sum() == stored["num_unique_concepts"]
