from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment import METRICS


def test_mass_inside_equals_the_loop_over_pixels(maps, masks):
    metric = METRICS.build("mass_inside")
    for saliency, mask in zip(maps, masks, strict=True):
        inside = whole = 0.0
        for value, member in zip(saliency.ravel(), mask.ravel(), strict=True):
            whole += max(value, 0.0)
            inside += max(value, 0.0) * bool(member)
        assert float(metric(saliency, mask)) == pytest.approx(inside / whole, rel=1e-14)


def test_the_reference_of_mass_inside_is_the_area_share(maps, masks):
    np.testing.assert_allclose(METRICS.build("mass_inside").reference(maps, masks), masks.mean(axis=(1, 2)))


def test_mass_inside_survives_values_that_would_overflow_in_the_sum():
    saliency = np.array([[1e308, 1e308], [1e308, 0.0]])
    mask = np.array([[True, False], [False, False]])
    assert float(METRICS.build("mass_inside")(saliency, mask)) == pytest.approx(1 / 3)
