from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import attainable_iou, iou_matched, unit_concept_counts
from tailscope.dissection._order_kernels import exact_order_key, upsampled_order_keys
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.matched import matched_negatives
from tailscope.dissection.thresholds import activation_thresholds


def boxes(count: int, size: int = 16, seed: int = 0) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    masks = np.zeros((2 * count, size, size), dtype=bool)
    for n in range(count):
        y, x = rng.integers(0, size - 6, 2)
        masks[n, y : y + 5, x : x + 4] = True
    return masks


@pytest.mark.parametrize("kind", ["signed", "relu", "sparse", "integers"])
def test_threshold_is_the_order_statistic_of_the_upsampled_values(kind: str) -> None:
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((10, 6, 4, 4)).astype(np.float32)
    if kind == "integers":
        maps = rng.integers(-2, 3, maps.shape).astype(np.float32)
    if kind in ("relu", "sparse"):
        maps = np.maximum(maps - (0 if kind == "relu" else 2), 0)
    masks = boxes(5)
    found = iou_matched(maps, masks)
    values = resize_bilinear(maps, (16, 16))
    pixels = int(masks.sum())
    for unit in range(6):
        ordered = np.sort(values[:, unit].ravel())
        assert found.threshold[unit] == pytest.approx(ordered[-1 - pixels], rel=1e-6, abs=1e-9)
        active = values[:, unit] > ordered[-1 - pixels]
        assert active.sum() <= pixels
        expected = (active & masks).sum() / (active | masks).sum()
        assert found.value[unit] == pytest.approx(expected, abs=2 / pixels)


@pytest.mark.parametrize("pixels", [0, 1, 17, 500, 3000, 8 * 20 * 20 - 1])
@pytest.mark.parametrize("floor", [-9.0, 0.0, 1.5])
def test_guessed_bracket_and_plain_radix_search_agree(pixels: int, floor: float) -> None:
    maps = np.maximum(np.random.default_rng(2).standard_normal((4, 8, 5, 5)), floor).astype(np.float32)
    cells = cell_grid((5, 5), (20, 20))
    plain = [exact_order_key(unit, pixels, cells) for unit in maps]
    assert upsampled_order_keys(maps, pixels, cells).tolist() == plain


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_unit_that_equals_the_mask_scores_one_whatever_the_size_of_the_concept(count: int) -> None:
    masks = boxes(12)
    masks[count:] = False
    maps = np.random.default_rng(3).random((24, 3, 16, 16)).astype(np.float32)
    maps[:, 1] += 2 * masks
    found = iou_matched(maps, masks)
    assert found.value[1] == 1.0
    assert found.value[[0, 2]].max() < 0.5


def test_a_random_unit_scores_near_phi_over_two_minus_phi() -> None:
    rng = np.random.default_rng(4)
    masks = rng.random((40, 32, 32)) < 0.2
    maps = rng.random((40, 8, 32, 32)).astype(np.float32)
    share = masks.mean()
    np.testing.assert_allclose(iou_matched(maps, masks).value, share / (2 - share), atol=0.01)


def test_fixed_fraction_cannot_see_the_perfect_unit_that_matched_scores_one() -> None:
    masks = boxes(12)
    maps = np.random.default_rng(5).random((24, 1, 16, 16)).astype(np.float32) + 2 * masks[:, None]
    fixed = unit_concept_counts(maps, activation_thresholds(maps, 0.005), masks[:, None]).iou()[0, 0]
    assert fixed == pytest.approx(attainable_iou(np.array(masks.mean()), 0.005), abs=0.01)
    assert fixed < 0.2
    assert iou_matched(maps, masks).value.tolist() == [1.0]


def test_a_constant_unit_scores_zero() -> None:
    assert iou_matched(np.full((24, 1, 7, 7), 0.3, dtype=np.float32), boxes(12)).value.tolist() == [0.0]


def test_a_concept_on_every_pixel_is_met_by_every_unit() -> None:
    found = iou_matched(np.ones((2, 1, 2, 2), dtype=np.float32), np.ones((2, 4, 4), dtype=bool))
    assert found.value.tolist() == [1.0]
    assert found.threshold.tolist() == [-np.inf]


def test_a_concept_without_a_pixel_has_no_value() -> None:
    found = iou_matched(np.ones((2, 1, 2, 2), dtype=np.float32), np.zeros((2, 4, 4), dtype=bool))
    assert np.isnan(found.value).all()


def test_the_order_of_the_images_does_not_matter() -> None:
    masks = boxes(12)
    maps = np.random.default_rng(6).standard_normal((24, 4, 4, 4)).astype(np.float32)
    back, there = iou_matched(maps[::-1], masks[::-1]), iou_matched(maps, masks)
    assert back.value.tolist() == there.value.tolist()
    assert back.threshold.tolist() == there.threshold.tolist()


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="`maps` must be finite"):
        iou_matched(np.full((2, 1, 2, 2), np.nan), np.ones((2, 4, 4), dtype=bool))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="expected `maps`"):
        iou_matched(np.ones((2, 1, 2, 2)), np.ones((3, 4, 4), dtype=bool))


def test_negatives_are_as_many_as_positives_and_follow_the_ids_not_the_rows() -> None:
    ids = np.array([f"i{n:02d}" for n in range(20)])
    positives, negatives = np.arange(4), np.arange(4, 20)
    drawn = matched_negatives("mass", positives, negatives, ids, 3)
    back = matched_negatives("mass", 19 - positives, 19 - negatives, ids[::-1], 3)
    assert len(drawn) == 4
    assert set(drawn) <= set(negatives)
    assert ids[drawn].tolist() == ids[::-1][back].tolist()


def test_another_class_or_seed_draws_other_negatives() -> None:
    ids = np.array([f"i{n:03d}" for n in range(200)])
    positives, negatives = np.arange(20), np.arange(20, 200)
    drawn = [matched_negatives(name, positives, negatives, ids, seed) for name, seed in (("a", 0), ("b", 0), ("a", 1))]
    assert drawn[0].tolist() != drawn[1].tolist()
    assert drawn[0].tolist() != drawn[2].tolist()
