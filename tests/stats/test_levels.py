import numpy as np
import pytest
from scipy import stats

from tailscope.core import InputError
from tailscope.stats import MetricSamples, against_zero, arm_estimate

RNG = np.random.default_rng(8)


def cell(values, resampled, patients=25, **more):
    arms = ("control", *(f"t{number}" for number in range(1, len(values))))
    counts = {"n": 90, "patients": patients, "positive_patients": patients, "negative_patients": patients}
    fixed = {"lens": "alignment", "metric": "on_tube", "class_name": "a", "group": "head", **counts}
    return MetricSamples(**{**fixed, "arms": arms, "values": values, "resampled": resampled, **more})


def noisy(seeds=4, **more):
    return cell(RNG.normal(0.1, 0.05, (3, seeds)), RNG.normal(0.1, 0.02, (3, 300)), **more)


def test_variance_degrees_of_freedom_and_p_are_those_of_the_definition():
    samples = noisy()
    found = against_zero(samples, 2)
    seed = np.mean([np.var(row, ddof=1) for row in samples.values]) / 4
    patient = np.var(samples.resampled[2], ddof=1)
    df = (seed + patient) ** 2 / (seed**2 / 9 + patient**2 / 24)
    t = samples.values[2].mean() / np.sqrt(seed + patient)
    assert (found.variance, found.df) == pytest.approx((seed + patient, df))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), df))


def test_its_interval_is_that_of_the_estimate():
    for samples in (noisy(), noisy(patients=2), cell(np.full((2, 3), 0.2), np.full((2, 50), 0.2))):
        estimate = arm_estimate(samples, 1)
        assert against_zero(samples, 1).interval() == pytest.approx((estimate.lo, estimate.hi))


@pytest.mark.parametrize("samples", [noisy(seeds=1), noisy(patients=1), noisy(reason="no map")])
def test_without_a_variance_there_is_no_p_and_the_reason_is_that_of_the_estimate(samples):
    found, estimate = against_zero(samples, 1), arm_estimate(samples, 1)
    assert np.isnan(found.p)
    assert np.isnan(found.interval()).all()
    assert found.reason == estimate.reason != ""


def test_an_arm_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="0 to 2"):
        against_zero(noisy(), 3)
