"""What every alignment metric promises, over all registered names."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from tailscope.alignment import METRICS, CrossScored, cross_scores, degenerate_maps
from tailscope.alignment.localizing import NIH_LEVELS
from tailscope.core import InputError

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METRICS.names()),
    ("pointing_game", {"tolerance_px": 1.5}),
    ("ior", {"threshold": 0.4}),
    ("iobb", {"threshold": 0.4}),
    ("iou", {"threshold": 0.4}),
    ("localized_at", {"overlap": "iobb", "at": 0.25, "level": NIH_LEVELS[0]}),
]
every_metric = pytest.mark.parametrize(
    "metric", [METRICS.build(name, **settings) for name, settings in SETTINGS], ids=lambda metric: str(metric)
)
DEGENERATE = {
    "zero": np.zeros((6, 7)),
    "constant": np.full((6, 7), 0.3),
    "negative": np.linspace(-2, 0, 42).reshape(6, 7),
    "nan": np.where(np.eye(6, 7) > 0, np.nan, 1.0),
    "infinite": np.where(np.eye(6, 7) > 0, np.inf, 1.0),
    "rounding": np.full((6, 7), 0.3) + 1e-8 * np.eye(6, 7),
}


def test_the_registry_holds_the_documented_metrics():
    expected = ("iobb", "ior", "iou", "iou_at_area", "localized_at", "mass_inside", "pixel_ap", "pointing_game")
    assert METRICS.names() == expected


@every_metric
def test_values_lie_in_the_declared_range(metric, rng):
    saliency = rng.normal(size=(200, 6, 7)).clip(min=rng.choice([-9.0, 0.0], size=(200, 1, 1)))
    values = metric(saliency, rng.random((200, 6, 7)) < rng.random((200, 1, 1)))
    low, high = metric.range
    values = values[~np.isnan(values)]
    assert values.size > 150
    assert (values >= low).all()
    assert (values <= high + 1e-12).all()


@every_metric
def test_a_perfect_map_beats_the_inverted_map(metric):
    masks = np.zeros((3, 6, 7), dtype=bool)
    masks[0, 1:3, 1:3], masks[1, 5, 6], masks[2, :3] = True, True, True
    assert metric.higher_is_better
    perfect = metric(masks.astype(float), masks)
    assert (perfect > metric((~masks).astype(float), masks)).all()
    np.testing.assert_allclose(perfect, metric.range[1])


@every_metric
def test_a_batch_equals_its_pairs_one_by_one(metric, maps, masks):
    together = metric(maps, masks)
    assert together.shape == (5,)
    assert together.dtype == np.float64
    assert together.tolist() == [float(metric(a, b)) for a, b in zip(maps, masks, strict=True)]
    reference = metric.reference(maps, masks)
    alone = [float(metric.reference(a, b)) for a, b in zip(maps, masks, strict=True)]
    np.testing.assert_array_equal(reference, alone)


@every_metric
def test_one_pair_gives_a_number_and_leading_axes_are_kept(metric, maps, masks):
    assert metric(maps[0], masks[0]).shape == ()
    assert metric(maps[:4].reshape(2, 2, 6, 7), masks[0]).shape == (2, 2)
    assert metric(maps[:0], masks[:0]).shape == (0,)


@every_metric
def test_an_empty_annotation_gives_nan_and_never_zero(metric, maps):
    empty = np.zeros((6, 7), dtype=bool)
    for saliency in (maps[0], np.zeros((6, 7))):
        assert np.isnan(metric(saliency, empty))
        assert np.isnan(metric.reference(saliency, empty))


@every_metric
def test_a_full_annotation_is_scored(metric, maps):
    assert not np.isnan(metric(maps[0], np.ones((6, 7), dtype=bool)))


@every_metric
@pytest.mark.parametrize("factor", [0.25, 3.7, 1e-20, 1e12])
def test_a_positive_factor_changes_nothing(metric, maps, masks, factor):
    np.testing.assert_allclose(metric(factor * maps, masks), metric(maps, masks), rtol=1e-12)


@every_metric
@pytest.mark.parametrize("kind", DEGENERATE)
def test_a_degenerate_map_counts_as_uniform_with_excess_zero(metric, masks, kind):
    assert degenerate_maps(DEGENERATE[kind])
    saliency = np.broadcast_to(DEGENERATE[kind], masks.shape)
    values = metric(saliency, masks)
    np.testing.assert_array_equal(values, metric(np.ones_like(saliency), masks))
    np.testing.assert_allclose(values - metric.reference(saliency, masks), 0, atol=1e-14)


@every_metric
def test_the_analytic_reference_is_known_for_every_pair_and_the_empirical_one_for_none(metric, maps, masks):
    known = ~np.isnan(metric.reference(maps, masks))
    assert known.all() if metric.reference_kind == "analytic" else not known.any()


@every_metric
def test_single_and_double_precision_agree(metric, maps, masks):
    single = maps.astype(np.float32)
    np.testing.assert_array_equal(metric(single, masks), metric(single.astype(np.float64), masks))
    np.testing.assert_allclose(metric(single, masks), metric(maps, masks), rtol=1e-5)


@every_metric
def test_inputs_are_not_changed(metric, maps, masks):
    maps[0, 0, 0] = np.nan
    before = maps.copy(), masks.copy()
    maps.flags.writeable = masks.flags.writeable = False
    metric(maps, masks)
    metric.reference(maps, masks)
    cross_scores(metric, maps, masks)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(masks, before[1])


@every_metric
def test_crossing_equals_scoring_each_map_on_each_mask(metric, maps, masks):
    maps[1], masks[2] = 0.0, False
    crossed = cross_scores(metric, maps, masks)
    expected = [[float(metric(saliency, mask)) for mask in masks] for saliency in maps]
    np.testing.assert_allclose(crossed, expected, rtol=1e-13)


@every_metric
def test_the_attainable_value_is_perfect_on_a_fine_grid_and_falls_on_a_coarse_one(metric):
    mask = np.zeros((16, 16), dtype=bool)
    mask[3:6, 9:13] = True
    fine, coarse, single = (metric.attainable(mask, grid) for grid in ((16, 16), (4, 4), (1, 1)))
    assert fine == pytest.approx(metric.range[1])
    assert metric.range[0] <= single < fine
    assert single <= coarse <= fine
    assert np.isnan(metric.attainable(np.zeros((4, 4), dtype=bool), (2, 2)))


@every_metric
def test_a_metric_is_a_record_that_can_be_sent_to_another_process(metric):
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert set(dataclasses.asdict(metric)) <= {
        "tolerance_px",
        "variant",
        "top_k",
        "threshold",
        "overlap",
        "at",
        "level",
    }


@every_metric
def test_arrays_that_do_not_fit_are_refused(metric):
    saliency, mask = np.ones((2, 3)), np.ones((2, 3), dtype=bool)
    with pytest.raises(InputError, match=r"`saliency` must be floating; got int64"):
        metric(np.ones((2, 3), dtype=np.int64), mask)
    with pytest.raises(InputError, match=r"`mask` must be bool; got float64"):
        metric(saliency, saliency)
    with pytest.raises(InputError, match=r"same \(H, W\).*got \(2, 3\) and \(3, 2\); resize"):
        metric(saliency, mask.T)
    with pytest.raises(InputError, match=r"leading axes of `saliency` \(2, 2, 3\) and `mask` \(4, 2, 3\)"):
        metric(np.ones((2, 2, 3)), np.ones((4, 2, 3), dtype=bool))


def test_only_metrics_with_an_empirical_reference_need_a_fast_crossing():
    for name in METRICS.names():
        metric = METRICS.build(name)
        assert metric.reference_kind == "analytic" or isinstance(metric, CrossScored)
