import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tailscope.core import InputError
from tailscope.performance import (
    sensitivity_at_specificity,
    sensitivity_at_threshold,
    specificity_at_sensitivity,
    specificity_at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
)

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.95])
def test_sensitivity_equals_the_best_point_of_the_roc_curve(specificity):
    scores = RNG.integers(0, 30, 100) / 30
    labels = (RNG.random(100) < 0.4).astype(float)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = true[1 - false >= specificity - 1e-12].max()
    assert sensitivity_at_specificity(scores, labels, specificity)[0] == pytest.approx(expected)


def test_the_threshold_keeps_exactly_19_of_20_negatives():
    scores = np.append(np.arange(20.0), 30.0)
    assert threshold_at_specificity(scores, np.append(np.zeros(20), 1.0), 0.95).tolist() == [18.0]


def test_a_class_without_threshold_or_positive_is_not_estimable():
    found = sensitivity_at_threshold([[1.0, 1.0]], [[1, 0]], [np.nan, 0.5])
    assert np.isnan(found).all()


@pytest.mark.parametrize("specificity", [0.0, 1.1])
def test_a_specificity_out_of_range_is_refused(specificity):
    with pytest.raises(InputError, match="`specificity` must be above 0"):
        threshold_at_specificity([0.1, 0.2], [0, 1], specificity)


def test_one_threshold_per_class_is_required():
    with pytest.raises(InputError, match="one number per class"):
        sensitivity_at_threshold([0.1, 0.2], [0, 1], [0.1, 0.2])


@pytest.mark.parametrize("sensitivity", [0.5, 0.9, 1.0])
def test_specificity_equals_the_best_point_of_the_roc_curve(sensitivity):
    scores = RNG.integers(0, 30, 100) / 30
    labels = (RNG.random(100) < 0.4).astype(float)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    expected = (1 - false)[true >= sensitivity - 1e-12].max()
    assert specificity_at_sensitivity(scores, labels, sensitivity)[0] == pytest.approx(expected)


def test_the_threshold_finds_exactly_9_of_10_positives_and_no_larger_one_does():
    scores, labels = np.append(np.arange(10.0), -1.0), np.append(np.ones(10), 0.0)
    limit = threshold_at_sensitivity(scores, labels, 0.9)
    assert sensitivity_at_threshold(scores, labels, limit).tolist() == [0.9]
    assert sensitivity_at_threshold(scores, labels, np.nextafter(limit, np.inf)).tolist() == [0.8]


def test_specificity_counts_negatives_at_the_threshold_as_called_rightly():
    scores, labels = [0.1, 0.5, 0.9, 0.5], [0, 0, 0, 1]
    assert specificity_at_threshold(scores, labels, [0.5])[0] == pytest.approx(2 / 3)


def test_a_class_without_threshold_or_negative_has_no_specificity():
    found = specificity_at_threshold([[1.0, 1.0]], [[0, 1]], [np.nan, 0.5])
    assert np.isnan(found).all()


def test_a_sensitivity_out_of_range_is_refused():
    with pytest.raises(InputError, match="`sensitivity` must be above 0"):
        threshold_at_sensitivity([0.1, 0.2], [0, 1], 0.0)
