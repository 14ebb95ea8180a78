from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment import METRICS
from tailscope.core import InputError, resize_bilinear


def within(mask: np.ndarray, row: int, column: int, tolerance: float) -> bool:
    return any((r - row) ** 2 + (c - column) ** 2 <= tolerance**2 for r, c in np.argwhere(mask))


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2, 5])
def test_a_unique_maximum_hits_within_the_tolerance(masks, tolerance):
    mask = masks[0] & (np.add.outer(np.arange(6), np.arange(7)) < 4)
    metric = METRICS.build("pointing_game", tolerance_px=tolerance)
    for row, column in np.ndindex(6, 7):
        saliency = np.zeros((6, 7))
        saliency[row, column] = 1.0
        assert bool(metric(saliency, mask)) == within(mask, row, column, tolerance)


@pytest.mark.parametrize("tolerance", [0, 1.5])
def test_the_reference_is_the_mean_over_all_places_of_the_maximum(masks, tolerance):
    metric = METRICS.build("pointing_game", tolerance_px=tolerance)
    everywhere = np.eye(42).reshape(42, 6, 7)
    assert float(metric.reference(everywhere[0], masks[1])) == pytest.approx(metric(everywhere, masks[1]).mean())


def test_tied_maxima_give_the_share_of_them_that_hits():
    saliency = np.array([[1.0, 1.0 - 5e-7, 1.0 - 2e-6, 0.0]])
    metric = METRICS.build("pointing_game")
    assert float(metric(saliency, np.array([[True, False, False, False]]))) == 0.5
    assert float(metric(saliency, np.array([[False, False, True, False]]))) == 0.0


@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (3, 3), (6, 6)])
def test_a_map_counts_once_wherever_its_peak_lies_on_the_grid(cell):
    coarse = np.zeros((7, 7))
    coarse[cell] = 1.0
    saliency = resize_bilinear(coarse, (56, 56))
    rows, columns = slice(cell[0] * 8, cell[0] * 8 + 8), slice(cell[1] * 8, cell[1] * 8 + 8)
    mask = np.zeros((56, 56), dtype=bool)
    mask[rows, columns] = True
    metric = METRICS.build("pointing_game")
    assert [float(metric(saliency, mask)), float(metric(saliency, ~mask))] == [1.0, 0.0]


def test_torchray_needs_a_distance_below_the_tolerance():
    mask = np.array([[True, False, False]])
    second = np.array([[0.0, 1.0, 0.0]])
    build = METRICS.build
    assert float(build("pointing_game", tolerance_px=1)(second, mask)) == 1
    assert float(build("pointing_game", tolerance_px=1, variant="torchray")(second, mask)) == 0
    assert float(build("pointing_game", variant="torchray")(np.array([[1.0, 0.0, 0.0]]), mask)) == 0
    assert np.isnan(build("pointing_game", variant="torchray")(second, np.zeros((1, 3), dtype=bool)))


def test_as_published_counts_pixels_and_drops_maps_without_a_positive_value():
    metric = METRICS.build("pointing_game", variant="as_published", top_k=2)
    mask = np.array([[True, True, False]])
    hits, total = metric.counts(np.array([[[3.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]]), mask)
    assert (hits.tolist(), total.tolist()) == ([2, 0], [3, 0])
    values = metric(np.array([[[3.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]]), mask)
    assert values[0] == pytest.approx(2 / 3)
    assert np.isnan(values[1])
    assert float(metric.reference(np.ones((1, 3)), mask)) == pytest.approx(2 / 3)


def test_counting_more_pixels_than_the_map_has_is_refused():
    metric = METRICS.build("pointing_game", variant="as_published", top_k=3)
    with pytest.raises(InputError, match="`top_k` is 3; the map has 2 pixels"):
        metric(np.ones((1, 2)), np.ones((1, 2), dtype=bool))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "original"}, "`variant` must be corrected, torchray or as_published; got 'original'"),
        ({"tolerance_px": -1}, "`tolerance_px` must be 0 or more and finite; got -1"),
        ({"tolerance_px": float("nan")}, "`tolerance_px` must be 0 or more and finite; got nan"),
        ({"top_k": 0, "variant": "as_published"}, "`top_k` must be 1 or more; got 0"),
        ({"top_k": 2}, "`top_k` belongs to the variant as_published"),
        ({"tolerance_px": 3, "variant": "as_published"}, "`tolerance_px` to the others"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        METRICS.build("pointing_game", **settings)
