import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from tailscope.core import InputError
from tailscope.performance import sensitivity_at_threshold, specificity_at_threshold
from tailscope.performance.weighted_means import (
    resampled_brier,
    resampled_log_loss,
    resampled_sensitivity,
    resampled_specificity,
    resampled_sums,
)

RNG = np.random.default_rng(3)
IMAGES, RESAMPLES = 60, 70
LOGITS = RNG.normal(0, 2, (IMAGES, 3))
LABELS = (RNG.random((IMAGES, 3)) < [0.5, 0.2, 0.05]).astype(float)
LABELS[RNG.random((IMAGES, 3)) < 0.1] = np.nan
LIMITS = np.array([0.3, -0.5, 1.0])
DRAWS = RNG.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=RESAMPLES)


def expanded(metric):
    """A metric of scores and labels on the copies of every resample; NaN without both labels."""
    found = np.full((RESAMPLES, 3), np.nan)
    for resample, counts in enumerate(DRAWS):
        copies = np.repeat(np.arange(IMAGES), counts)
        for number in range(3):
            score, label = LOGITS[copies, number], LABELS[copies, number]
            known = ~np.isnan(label)
            if 0 < label[known].sum() < known.sum():
                found[resample, number] = metric(score[known], label[known], number)
    return found


def test_resampled_brier_is_scikit_learns_on_the_copies():
    expected = expanded(lambda score, label, _: metrics.brier_score_loss(label, expit(score)))
    assert np.isnan(expected).any()
    np.testing.assert_allclose(resampled_brier(LOGITS, LABELS, DRAWS), expected, rtol=1e-12)


def test_resampled_log_loss_is_scikit_learns_on_the_copies():
    expected = expanded(lambda score, label, _: metrics.log_loss(label, expit(score)))
    np.testing.assert_allclose(resampled_log_loss(LOGITS, LABELS, DRAWS), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("resampled", "plain"),
    [(resampled_sensitivity, sensitivity_at_threshold), (resampled_specificity, specificity_at_threshold)],
)
def test_resampled_shares_are_those_of_the_copies(resampled, plain):
    found = resampled(LOGITS, LABELS, LIMITS, DRAWS)
    for resample in range(0, RESAMPLES, 10):
        copies = np.repeat(np.arange(IMAGES), DRAWS[resample])
        np.testing.assert_allclose(found[resample], plain(LOGITS[copies], LABELS[copies], LIMITS), rtol=1e-12)


def test_an_infinite_loss_is_infinite_only_where_its_image_is_drawn():
    found = resampled_log_loss([-np.inf, 0.0, 0.0], [1, 1, 0], np.array([[1, 1, 1], [0, 1, 1]]))
    assert found.ravel().tolist() == [np.inf, np.log(2)]


def test_a_class_without_threshold_has_no_share():
    found = resampled_sensitivity(LOGITS, LABELS, [0.0, np.nan, 0.0], DRAWS)
    assert np.isnan(found).all(axis=0).tolist() == [False, True, False]


def test_one_resample_does_not_depend_on_the_others():
    alone = np.concatenate([resampled_brier(LOGITS, LABELS, DRAWS[number : number + 1]) for number in range(70)])
    np.testing.assert_array_equal(resampled_brier(LOGITS, LABELS, DRAWS)[:70], alone)


@pytest.mark.parametrize("draws", [np.ones((2, 3), dtype=int), np.ones((2, 2)), np.ones(2, dtype=int)])
def test_multiplicities_that_do_not_fit_are_refused(draws):
    with pytest.raises(InputError, match=r"`multiplicity` must be \(R, 2\) integers"):
        resampled_sums(np.ones((2, 1)), draws)
