from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment import METRICS, REFERENCE_MAPS
from tailscope.core import InputError


@pytest.mark.parametrize("name", REFERENCE_MAPS.names())
def test_a_reference_map_has_the_size_asked_for_and_repeats_itself(name):
    first, second = (REFERENCE_MAPS.build(name)((4, 6)) for _ in range(2))
    assert first.shape == (4, 6)
    assert first.dtype == np.float64
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    np.testing.assert_array_equal(first, second)


def test_the_registry_holds_the_three_reference_maps():
    assert REFERENCE_MAPS.names() == ("centre_gaussian", "random", "uniform")


@pytest.mark.parametrize("name", METRICS.names())
def test_the_uniform_map_has_excess_zero(name, masks):
    metric, saliency = METRICS.build(name), REFERENCE_MAPS.build("uniform")((6, 7))
    np.testing.assert_allclose(metric(saliency, masks) - metric.reference(saliency, masks), 0, atol=1e-14)


def test_the_centre_gaussian_is_symmetric_and_falls_from_the_centre():
    hill = REFERENCE_MAPS.build("centre_gaussian")((5, 8))
    np.testing.assert_allclose(hill, hill[::-1, ::-1])
    assert np.unravel_index(hill.argmax(), hill.shape) in [(2, 3), (2, 4)]
    assert hill[0, 0] == hill.min()


def test_the_random_map_depends_on_its_seed():
    one, two = (REFERENCE_MAPS.build("random", seed=seed)((4, 6)) for seed in (0, 1))
    assert (one != two).all()


def test_a_hill_without_width_is_refused():
    with pytest.raises(InputError, match="`width` must be above 0; got 0"):
        REFERENCE_MAPS.build("centre_gaussian", width=0)
