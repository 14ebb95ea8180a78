import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from sklearn import metrics

from tailscope.core import InputError
from tailscope.performance import brier, calibration_line, expected_calibration_error, log_loss

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(0, 2, 200)
LABELS = (RNG.random(200) < expit(0.5 * LOGITS - 1)).astype(float)


def test_brier_equals_scikit_learn():
    assert brier(LOGITS, LABELS)[0] == pytest.approx(metrics.brier_score_loss(LABELS, expit(LOGITS)))


def test_log_loss_equals_scikit_learn():
    assert log_loss(LOGITS, LABELS)[0] == pytest.approx(metrics.log_loss(LABELS, expit(LOGITS)))


def test_log_loss_is_finite_for_large_logits():
    assert log_loss([1000.0, -1000.0], [0, 1]).tolist() == [1000.0]


def test_calibration_error_equals_a_slow_loop_over_equal_mass_bins():
    risk = expit(LOGITS)
    order = np.argsort(risk)
    expected = 0.0
    for part in np.array_split(order, 15):
        expected += len(part) / len(order) * abs(risk[part].mean() - LABELS[part].mean())
    assert expected_calibration_error(LOGITS, LABELS)[0] == pytest.approx(expected)


def test_calibration_error_does_not_depend_on_the_order_of_tied_images():
    logits = RNG.integers(-2, 3, 100).astype(float)
    labels = (RNG.random(100) < 0.4).astype(float)
    shuffled = RNG.permutation(100)
    first = expected_calibration_error(logits, labels)
    np.testing.assert_allclose(expected_calibration_error(logits[shuffled], labels[shuffled]), first, atol=1e-12)


def test_calibration_error_needs_a_bin():
    with pytest.raises(InputError, match="`bins` must be 1 or more; got 0"):
        expected_calibration_error(LOGITS, LABELS, bins=0)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_calibration_line_equals_statsmodels(scale):
    line = calibration_line(scale * LOGITS, LABELS)[0]
    fitted = sm.Logit(LABELS, sm.add_constant(scale * LOGITS)).fit(disp=0)
    assert (line.intercept, line.slope) == pytest.approx(tuple(fitted.params), rel=1e-6)


def test_the_calibration_line_solves_its_equations_in_spite_of_an_outlier():
    logits = np.append(LOGITS, 500.0)
    labels = np.append(LABELS, 0.0)
    line = calibration_line(logits, labels)[0]
    risk = expit(line.intercept + line.slope * logits)
    assert abs((risk - labels).sum()) < 1e-6


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        ([1.0, 2.0, 3.0], [0, 1, 1], "positives and negatives are separated"),
        ([3.0, 2.0, 1.0], [0, 1, 1], "positives and negatives are separated"),
        ([1.0, 1.0], [0, 1], "positives and negatives are separated"),
        ([1.0, 2.0], [0, 0], "no positive image"),
        ([1.0, 2.0], [1, 1], "no negative image"),
        ([1.0, np.inf, 0.0], [0, 1, 1], "a logit is infinite"),
    ],
)
def test_a_line_that_cannot_be_fitted_says_why(logits, labels, reason):
    line = calibration_line(logits, labels)[0]
    assert np.isnan(line.slope)
    assert line.reason == reason
