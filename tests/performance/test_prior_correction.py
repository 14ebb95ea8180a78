import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance import brier, calibration_line, meant_logits, moved_prior, platt_scaled

RNG = np.random.default_rng(8)
LOGITS = np.linspace(-4, 4, 9)


def test_cross_entropy_means_what_it_says():
    risk = expit(LOGITS)
    np.testing.assert_allclose(meant_logits(risk, risk - 1, LOGITS), LOGITS, atol=1e-12)


def test_a_weight_on_positives_is_a_shift_by_its_logarithm():
    risk = expit(LOGITS)
    np.testing.assert_allclose(meant_logits(risk, 5 * (risk - 1), LOGITS), LOGITS - np.log(5), atol=1e-12)


def test_a_weight_on_both_sides_changes_nothing():
    risk = expit(LOGITS)
    np.testing.assert_allclose(meant_logits(7 * risk, 7 * (risk - 1), LOGITS), LOGITS, atol=1e-12)


@pytest.mark.parametrize("chance", [0.02, 0.3, 0.9])
def test_the_minimum_of_the_expected_focal_loss_means_the_chance_it_was_made_with(chance):
    def losses(x):  # focal with γ = 2, α = ¼
        p = expit(x)
        return -0.75 * p**2 * np.log1p(-p), -0.25 * (1 - p) ** 2 * np.log(p)

    def expected(x):
        negative, positive = losses(x)
        return chance * positive + (1 - chance) * negative

    best = minimize_scalar(expected, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10}).x
    step = 1e-5
    slopes = [(up - down) / (2 * step) for up, down in zip(losses(best + step), losses(best - step), strict=True)]
    assert expit(best) != pytest.approx(chance, abs=0.01)
    assert expit(meant_logits(*slopes, best)) == pytest.approx(chance, abs=1e-5)


def test_where_a_side_does_not_pull_the_chance_is_zero_or_one_and_where_neither_does_the_logit_stays():
    assert meant_logits([0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [5.0, 5.0, 5.0]).tolist() == [-np.inf, np.inf, 5.0]


def test_slopes_of_another_shape_are_refused():
    with pytest.raises(InputError, match="one shape"):
        meant_logits([0.0], [0.0, 1.0], [0.0])


def test_moving_the_prior_is_bayes_rule():
    likelihood_ratio, before, after = 3.0, 0.5, 0.1
    logit = np.log(likelihood_ratio * before / (1 - before))
    expected = likelihood_ratio * after / (likelihood_ratio * after + (1 - after))
    assert expit(moved_prior([[logit]], [before], [after]))[0, 0] == pytest.approx(expected)


def test_moving_the_prior_of_a_balanced_training_makes_the_probabilities_right_again():
    evidence = RNG.normal(0, 1, 20_000)
    labels = (RNG.random(20_000) < expit(2 * evidence + np.log(1 / 9))).astype(float)
    balanced = (2 * evidence)[:, None]
    moved = moved_prior(balanced, [0.5], [0.1])
    assert calibration_line(moved, labels[:, None])[0].intercept == pytest.approx(0, abs=0.1)
    assert brier(moved, labels[:, None])[0] < brier(balanced, labels[:, None])[0]


@pytest.mark.parametrize("prevalence", [[0.0], [1.0], [np.nan], [0.1, 0.2]])
def test_a_prevalence_that_is_none_is_refused(prevalence):
    with pytest.raises(InputError, match="one per class"):
        moved_prior([[0.0]], prevalence, [0.5])


def test_platt_scaling_puts_the_split_it_was_fitted_on_right():
    logits = RNG.normal(0, 3, (300, 1))
    labels = (RNG.random((300, 1)) < expit(0.4 * logits - 1)).astype(float)
    scaled, reasons = platt_scaled(logits, logits, labels)
    line = calibration_line(scaled, labels)[0]
    assert reasons == ("",)
    assert (line.intercept, line.slope) == pytest.approx((0, 1), abs=1e-6)


def test_a_class_that_cannot_be_scaled_says_why():
    scaled, reasons = platt_scaled([[1.0]], [[0.0], [1.0]], [[0], [0]])
    assert np.isnan(scaled).all()
    assert reasons == ("no positive image",)
