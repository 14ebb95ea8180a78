import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance import (
    calibration_line,
    expected_calibration_error,
    resampled_calibration_error,
    resampled_calibration_line,
)

RNG = np.random.default_rng(5)
IMAGES, RESAMPLES = 120, 70
LOGITS = RNG.normal(-1, 1.5, (IMAGES, 3))
LOGITS[:, 1] = LOGITS[:, 1].round()  # ties
LABELS = (RNG.random((IMAGES, 3)) < expit(0.7 * LOGITS - 0.5)).astype(float)
LABELS[RNG.random((IMAGES, 3)) < 0.1] = np.nan
DRAWS = RNG.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=RESAMPLES)


def copies_of(resample):
    return np.repeat(np.arange(IMAGES), DRAWS[resample])


@pytest.mark.parametrize("bins", [1, 7, 15, 1000])
def test_the_resampled_error_is_that_of_the_copies(bins):
    found = resampled_calibration_error(LOGITS, LABELS, DRAWS, bins)
    for resample in range(RESAMPLES):
        rows = copies_of(resample)
        expected = expected_calibration_error(LOGITS[rows], LABELS[rows], bins)
        np.testing.assert_allclose(found[resample], expected, atol=1e-12)


def test_the_resampled_error_does_not_depend_on_the_order_of_the_images():
    shuffled = RNG.permutation(IMAGES)
    found = resampled_calibration_error(LOGITS[shuffled], LABELS[shuffled], DRAWS[:, shuffled])
    np.testing.assert_allclose(found, resampled_calibration_error(LOGITS, LABELS, DRAWS), atol=1e-12)


def test_a_resample_without_both_labels_has_no_error():
    found = resampled_calibration_error([0.0, 1.0, 2.0], [0, 1, 1], np.array([[0, 1, 2], [3, 0, 0], [1, 1, 1]]))
    assert np.isnan(found.ravel()).tolist() == [True, True, False]


def test_the_error_needs_a_bin():
    with pytest.raises(InputError, match="`bins` must be 1 or more; got 0"):
        resampled_calibration_error(LOGITS, LABELS, DRAWS, bins=0)


def test_the_resampled_line_is_that_of_the_copies():
    intercept, slope = resampled_calibration_line(LOGITS, LABELS, DRAWS)
    for resample in range(RESAMPLES):
        rows = copies_of(resample)
        lines = calibration_line(LOGITS[rows], LABELS[rows])
        np.testing.assert_allclose(slope[resample], [line.slope for line in lines], rtol=1e-6)
        np.testing.assert_allclose(intercept[resample], [line.intercept for line in lines], rtol=1e-6, atol=1e-6)


def test_the_resampled_line_is_statsmodels_with_frequencies():
    known = ~np.isnan(LABELS[:, 0])
    intercept, slope = resampled_calibration_line(LOGITS, LABELS, DRAWS[:3])
    for resample in range(3):
        model = sm.GLM(
            LABELS[known, 0],
            sm.add_constant(LOGITS[known, 0]),
            family=sm.families.Binomial(),
            freq_weights=DRAWS[resample, known],
        )
        assert (intercept[resample, 0], slope[resample, 0]) == pytest.approx(tuple(model.fit().params), rel=1e-6)


def test_with_few_positives_every_line_that_exists_is_found():
    logits = np.append(RNG.normal(0, 1, 200), [1.0, 2.5, 0.2])
    labels = np.append(np.zeros(200), np.ones(3))
    draws = RNG.multinomial(203, np.full(203, 1 / 203), size=200)
    intercept, slope = resampled_calibration_line(logits, labels, draws)
    missing = 0
    for resample, counts in enumerate(draws):
        rows = np.repeat(np.arange(203), counts)
        line = calibration_line(logits[rows], labels[rows])[0]
        missing += bool(line.reason)
        expected = (line.intercept, line.slope)
        np.testing.assert_allclose((intercept[resample, 0], slope[resample, 0]), expected, rtol=1e-5, atol=1e-6)
    assert 0 < missing < 50


def test_an_outlier_that_throws_newton_off_is_fitted_step_by_step():
    logits, labels = np.append(LOGITS[:, 0], 500.0), np.append(np.nan_to_num(LABELS[:, 0]), 0.0)
    draws = np.ones((2, IMAGES + 1), dtype=np.int32)
    draws[0, -1] = 0
    intercept, slope = resampled_calibration_line(logits, labels, draws)
    lines = [calibration_line(logits[:-1], labels[:-1])[0], calibration_line(logits, labels)[0]]
    np.testing.assert_allclose(slope.ravel(), [line.slope for line in lines], rtol=1e-5)
    np.testing.assert_allclose(intercept.ravel(), [line.intercept for line in lines], rtol=1e-5)


def test_a_separated_class_has_no_line_on_any_resample():
    found = resampled_calibration_line([1.0, 2.0, 3.0], [0, 1, 1], np.ones((4, 3), dtype=int))
    assert np.isnan(found).all()


def test_the_numbers_do_not_depend_on_threads(monkeypatch):
    from tailscope.performance import resampled_calibration

    alone = resampled_calibration_line(LOGITS, LABELS, DRAWS), resampled_calibration_error(LOGITS, LABELS, DRAWS)
    monkeypatch.setattr(resampled_calibration, "_threads", lambda _: 3)
    beside = resampled_calibration_line(LOGITS, LABELS, DRAWS), resampled_calibration_error(LOGITS, LABELS, DRAWS)
    np.testing.assert_array_equal(np.stack(alone[0]), np.stack(beside[0]))
    np.testing.assert_array_equal(alone[1], beside[1])
