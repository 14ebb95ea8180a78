from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment.pairing import Frames, degenerate_maps, informative


def slowly(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """One map by the definition: over the power of two above its magnitude, or uniform."""
    if not np.isfinite(values).all() or values.max() <= 0:
        return np.ones_like(values), True
    scaled = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
    if scaled.max() - scaled.min() <= 1e-6 * np.abs(scaled).max():
        return np.ones_like(values), True
    return scaled, False


@pytest.mark.parametrize("factor", [1.0, 3e-310, 1e-200, 1e200, 1.5e308, 2.0**-1070])
def test_maps_of_any_magnitude_are_brought_below_one_exactly(rng, factor):
    maps = np.concatenate([rng.random((4, 30)), rng.uniform(-1, 1, (4, 30)), -rng.random((2, 30))]) * factor
    maps[0, 3], maps[1] = np.nan, 0.3 * factor
    maps[2, 4] = -np.inf
    found, degenerate = informative(maps)
    for row, values in enumerate(maps):
        expected, blank = slowly(values)
        assert degenerate[row] == blank
        np.testing.assert_array_equal(found[row], expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_pixels_are_ranked_by_falling_value_and_equal_ones_by_place(rng, kind):
    noise = rng.normal(size=(20, 7, 9))
    maps = np.concatenate([noise, noise.clip(0), noise.round(), np.exp(9 * noise)]).astype(kind)
    frames = Frames.of(maps)
    order = frames.ranking[0]
    np.testing.assert_array_equal(order, np.argsort(-frames.maps, axis=1, kind="stable"))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_group_of_ties_reaches_a_millionth_of_the_range_below_its_largest_value(kind):
    values = np.array([[[1.0, 1.0 - 6e-7, 1.0 - 1.2e-6, 0.0, 0.0]]], dtype=kind)
    assert Frames.of(values).ranking[1].tolist() == [[2, 3, 5, 0, 0]]


def test_part_of_the_frames_is_the_same_as_frames_of_that_part(maps):
    frames, rows = Frames.of(maps), np.array([0, 3])
    part, alone = frames.take(rows), Frames.of(maps[rows])
    np.testing.assert_array_equal(part.maps, alone.maps)
    np.testing.assert_array_equal(part.ranking[0], alone.ranking[0])
    assert frames.take(rows) is part
    assert frames.take(np.arange(5)) is frames


def test_degenerate_maps_keep_their_leading_axes(maps):
    stacked = np.stack([maps, np.zeros_like(maps)])
    assert degenerate_maps(stacked).tolist() == [[False] * 5, [True] * 5]
    assert degenerate_maps(np.zeros((2, 2))).shape == ()
