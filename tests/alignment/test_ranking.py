from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score

from tailscope.alignment import METRICS


def enumerated_iou(saliency: np.ndarray, mask: np.ndarray) -> float:
    """Mean IoU over every way to choose among exactly tied pixels at the cut."""
    values, members = saliency.ravel(), set(np.flatnonzero(mask))
    cut = np.sort(values)[::-1][len(members) - 1]
    above = set(np.flatnonzero(values > cut))
    tied = np.flatnonzero(values == cut)
    chosen = [above | set(choice) for choice in combinations(tied, len(members) - len(above))]
    return float(np.mean([len(top & members) / len(top | members) for top in chosen]))


@pytest.mark.parametrize("levels", [2, 3, 5, 100])
def test_the_iou_at_area_is_the_mean_over_all_choices_among_ties(rng, levels):
    metric = METRICS.build("iou_at_area")
    for _ in range(30):
        saliency = rng.integers(0, levels, size=(3, 4)).astype(float)
        mask = rng.random((3, 4)) < 0.4
        if mask.any() and saliency.max() > 0 and saliency.min() < saliency.max():
            assert float(metric(saliency, mask)) == pytest.approx(enumerated_iou(saliency, mask), rel=1e-12)


def test_the_expectation_over_many_ties_equals_the_hypergeometric_sum(rng):
    saliency = np.zeros((100, 100))
    saliency[:3, :10] = rng.random((3, 10)) + 1
    mask = np.zeros((100, 100), dtype=bool)
    mask[2:60, 5:70] = True
    area, sure, tied = mask.sum(), mask[:3, :10].sum(), 10_000 - 30
    draws = np.arange(area)
    chance = hypergeom(tied, area - sure, area - 30).pmf(draws)
    expected = (chance * (sure + draws) / (2 * area - sure - draws)).sum()
    assert float(METRICS.build("iou_at_area")(saliency, mask)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_the_pixel_ap_equals_scikit_learn_with_grouped_ties(rng, levels):
    metric = METRICS.build("pixel_ap")
    for _ in range(20):
        saliency = rng.integers(0, levels, size=(8, 9)).astype(float)
        mask = rng.random((8, 9)) < 0.3
        expected = average_precision_score(mask.ravel(), saliency.ravel())
        assert float(metric(saliency, mask)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["iou_at_area", "pixel_ap"])
def test_values_within_a_millionth_of_the_range_are_tied(name):
    metric = METRICS.build(name)
    mask = np.array([[True, False, False, False]])
    near = np.array([[1.0 - 5e-7, 1.0, 0.0, 0.0]])
    assert float(metric(near, mask)) == pytest.approx(0.5)
    assert float(metric(near - np.array([[2e-6, 0, 0, 0]]), mask)) == {"iou_at_area": 0.0, "pixel_ap": 0.5}[name]
    assert float(metric(near + np.array([[3e-6, 0, 0, 0]]), mask)) == 1


@pytest.mark.parametrize("name", ["iou_at_area", "pixel_ap"])
def test_an_increasing_change_of_the_map_changes_nothing(name, maps, masks):
    metric = METRICS.build(name)
    np.testing.assert_allclose(metric(np.exp(maps), masks), metric(maps, masks), rtol=1e-12)


def test_the_uniform_map_scores_the_area_share_in_pixel_ap(masks):
    np.testing.assert_allclose(METRICS.build("pixel_ap")(np.ones((6, 7)), masks), masks.mean(axis=(1, 2)))


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_the_iou_at_area_of_many_masks_of_any_size_equals_the_plain_ranking_where_nothing_is_tied(rng, share):
    maps, masks = rng.random((4, 16, 20)), rng.random((60, 16, 20)) < share * rng.random((60, 1, 1))
    crossed = METRICS.build("iou_at_area").cross(maps, masks)
    for saliency, row in zip(maps, crossed, strict=True):
        rank = np.argsort(np.argsort(-saliency.ravel())).reshape(16, 20)
        for mask, value in zip(masks, row, strict=True):
            top = rank < mask.sum()
            expected = (top & mask).sum() / (top | mask).sum() if mask.any() else np.nan
            np.testing.assert_allclose(value, expected, rtol=1e-13)
