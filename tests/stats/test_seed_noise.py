import numpy as np
import pytest

from tailscope.core import InputError
from tailscope.stats import seed_scatter

RNG = np.random.default_rng(3)


def covariance(values, floor=0.0):
    rows = seed_scatter(values, floor)
    return rows.T @ rows


def test_without_a_floor_it_is_the_covariance_within_arms_pooled_and_divided_by_the_seeds():
    values = RNG.normal(0, 1, (3, 4, 5)) @ RNG.normal(0, 1, (5, 5))
    pooled = np.mean([np.cov(arm, rowvar=False) for arm in values], axis=0)
    assert covariance(values) == pytest.approx(pooled / 4)


def test_what_lifts_an_arm_over_all_seeds_is_no_noise():
    values = RNG.normal(0, 1, (3, 4, 2))
    assert covariance(values + np.array([0.0, 5.0, -2.0])[:, None, None]) == pytest.approx(covariance(values))


def test_the_floor_lifts_small_variances_and_keeps_the_correlation():
    values = RNG.normal(0, 1, (3, 4, 2)) @ np.array([[1.0, 0.05], [0.0, 0.1]])
    bare, floored = covariance(values), covariance(values, 0.5)
    assert floored[0, 0] == pytest.approx(bare[0, 0])
    assert floored[1, 1] == pytest.approx(0.5 / 4)
    assert floored[0, 1] / np.sqrt(floored[1, 1]) == pytest.approx(bare[0, 1] / np.sqrt(bare[1, 1]))


def test_a_class_without_seed_noise_gets_the_floor_alone():
    values = RNG.normal(0, 1, (2, 3, 2))
    values[:, :, 1] = 0.8 + 1e-16
    assert covariance(values, 0.3)[1] == pytest.approx([0.0, 0.1])
    assert covariance(values)[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("wrong", [np.zeros((2, 1, 3)), np.zeros((2, 3)), np.full((2, 2, 2), np.nan)])
def test_one_seed_or_a_missing_value_is_refused(wrong):
    with pytest.raises(InputError, match="`values` must be"):
        seed_scatter(wrong)
