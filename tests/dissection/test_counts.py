from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import activation_thresholds, attainable_iou, unit_concept_counts

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
