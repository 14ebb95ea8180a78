from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment import METRICS
from tailscope.core import InputError


def slow(name: str, saliency: np.ndarray, mask: np.ndarray, threshold: float | None) -> float:
    low, high = min(saliency.ravel()), max(saliency.ravel())
    inside = whole = area = 0.0
    for value, member in zip(saliency.ravel(), mask.ravel(), strict=True):
        scaled = (value - low) / (high - low)
        level = scaled if threshold is None else float(scaled >= threshold)
        inside, whole, area = inside + level * bool(member), whole + level, area + bool(member)
    return inside / {"ior": whole, "iobb": area, "iou": area + whole - inside}[name]


@pytest.mark.parametrize("name", ["ior", "iobb", "iou"])
@pytest.mark.parametrize("threshold", [None, 0.25, 0.5, 0.75])
def test_the_overlap_equals_the_loop_over_pixels(maps, masks, name, threshold):
    metric = METRICS.build(name, threshold=threshold)
    expected = [slow(name, saliency, mask, threshold) for saliency, mask in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(metric(maps, masks), expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["ior", "iobb"])
def test_the_analytic_reference_is_what_a_uniformly_placed_map_scores_on_average(maps, masks, name):
    metric = METRICS.build(name)
    shifts = [np.roll(maps[0], (rows, columns), axis=(0, 1)) for rows, columns in np.ndindex(6, 7)]
    average = metric(np.array(shifts), masks[0]).mean()
    assert float(metric.reference(maps[0], masks[0])) == pytest.approx(average, rel=1e-12)


def test_an_offset_does_not_change_a_scaled_map(maps, masks):
    for name in ("ior", "iobb", "iou"):
        np.testing.assert_allclose(METRICS.build(name)(maps + 5, masks), METRICS.build(name)(maps, masks), rtol=1e-12)


def test_a_degenerate_map_has_the_level_of_a_map_drawn_evenly_from_zero_to_one():
    mask = np.array([[True, False, False, False]])
    flat = np.zeros((1, 4))
    assert float(METRICS.build("iobb")(flat, mask)) == 0.5
    assert float(METRICS.build("iobb", threshold=0.8)(flat, mask)) == pytest.approx(0.2)
    assert float(METRICS.build("ior", threshold=0.8)(flat, mask)) == pytest.approx(0.25)
    assert float(METRICS.build("iou")(flat, mask)) == pytest.approx(0.5 / (1 + 2 - 0.5))


@pytest.mark.parametrize("name", ["ior", "iobb", "iou"])
def test_as_published_takes_the_map_as_it_is_and_scores_zero_where_undefined(name):
    metric = METRICS.build(name, variant="as_published")
    mask = np.array([[True, False]])
    assert float(metric(np.array([[0.5, 0.5]]), mask)) == pytest.approx({"ior": 0.5, "iobb": 0.5, "iou": 1 / 3}[name])
    assert float(metric(np.zeros((1, 2)), mask)) == 0
    assert float(metric(np.ones((1, 2)), ~mask & mask)) == 0
    assert metric.cross(np.zeros((1, 1, 2)), np.array([mask, ~mask & mask])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["ior", "iobb", "iou"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_as_published_refuses_a_map_outside_zero_to_one(name, value):
    with pytest.raises(InputError, match=r"`saliency` must lie in \[0, 1\]; scale it"):
        METRICS.build(name, variant="as_published")(np.array([[value, 0.0]]), np.array([[True, False]]))


def test_as_published_has_no_reference_of_its_own_for_the_union():
    metric = METRICS.build("iou", variant="as_published")
    assert np.isnan(metric.reference(np.zeros((1, 2)), np.array([[True, False]])))


@pytest.mark.parametrize("name", ["ior", "iobb", "iou"])
def test_settings_out_of_range_are_refused(name):
    for threshold in (0, 1, -0.5, float("nan")):
        with pytest.raises(InputError, match=r"`threshold` must lie in \(0, 1\), or be None"):
            METRICS.build(name, threshold=threshold)
    with pytest.raises(InputError, match="`variant` must be corrected or as_published; got 'old'"):
        METRICS.build(name, variant="old")


@pytest.mark.parametrize("name", ["ior", "iobb", "iou"])
@pytest.mark.parametrize("settings", [{}, {"threshold": 0.4}, {"variant": "as_published"}])
def test_a_map_on_many_masks_scores_the_same_as_on_each_alone(rng, name, settings):
    maps, masks = rng.random((3, 9, 13)), rng.random((40, 9, 13)) < rng.random((40, 1, 1))
    masks[3] = False
    metric = METRICS.build(name, **settings)
    alone = [[float(metric(saliency, mask)) for mask in masks] for saliency in maps]
    np.testing.assert_array_equal(metric.cross(maps, masks), alone)


def test_as_published_gives_nan_for_a_map_with_nan():
    metric = METRICS.build("iou", variant="as_published")
    assert np.isnan(metric(np.array([[np.nan, 0.5]]), np.array([[True, False]])))
