import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve as reference

from tailscope.core import InputError
from tailscope.performance import calibration_curve, expected_calibration_error

RNG = np.random.default_rng(6)
LOGITS = RNG.normal(0, 2, 200)
LABELS = (RNG.random(200) < expit(0.5 * LOGITS - 1)).astype(float)


def test_the_curve_is_scikit_learns_where_the_bins_are_equal():
    observed, predicted = reference(LABELS, expit(LOGITS), n_bins=10, strategy="quantile")
    curve = calibration_curve(LOGITS, LABELS, bins=10)[0]
    np.testing.assert_allclose(curve.predicted, predicted, rtol=1e-12)
    np.testing.assert_allclose(curve.observed, observed, rtol=1e-12)
    assert curve.n.tolist() == [20] * 10


@pytest.mark.parametrize("bins", [1, 15, 500])
def test_the_weighted_distance_from_the_diagonal_is_the_calibration_error(bins):
    labels = np.where(RNG.random(200) < 0.1, np.nan, LABELS)
    curve = calibration_curve(LOGITS.round(1), labels, bins)[0]
    distance = np.average(np.abs(curve.predicted - curve.observed), weights=curve.n)
    assert curve.n.sum() == (~np.isnan(labels)).sum()
    assert distance == pytest.approx(expected_calibration_error(LOGITS.round(1), labels, bins)[0])


def test_tied_images_share_their_mean_label():
    curve = calibration_curve([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 1], bins=2)[0]
    assert (curve.predicted.tolist(), curve.observed.tolist()) == ([0.5, 0.5], [0.25, 0.25])


def test_a_class_with_one_label_has_no_bin():
    assert [curve.n.size for curve in calibration_curve(np.zeros((3, 2)), [[0, 1], [1, 1], [0, 1]])] == [3, 0]


def test_the_curve_needs_a_bin():
    with pytest.raises(InputError, match="`bins` must be 1 or more; got 0"):
        calibration_curve(LOGITS, LABELS, bins=0)
