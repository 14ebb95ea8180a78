"""Do predicted probabilities mean what they say? Brier score, log loss, calibration error and calibration line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance.calibration_curve import binned
from tailscope.performance.cells import columns_of, per_class

Floats = NDArray[np.float64]
_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class CalibrationLine:
    """Logit of the observed risk = intercept + slope · predicted logit; 0 and 1 for a calibrated model.

    Args:
        slope: Below 1 where the model is too sure of itself; NaN where it cannot be fitted.
        intercept: In logits; NaN where it cannot be fitted.
        reason: Why it cannot be fitted; else empty.
    """

    slope: float
    intercept: float
    reason: str = ""


def brier(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Mean squared error of the probability σ(logit) per class, in [0, 1], lower is better.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: As :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> brier([0.0, 0.0], [0, 1]).tolist()
        [0.25]
    """
    return per_class(logits, labels, lambda logit, positive: float(np.mean((expit(logit) - positive) ** 2)))


def log_loss(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Mean binary cross-entropy per class in nats, lower is better; arguments as :func:`brier`.

    Raises:
        InputError: As :func:`brier`.

    Example:
        >>> log_loss([0.0, 0.0], [0, 1]).round(4).tolist()  # log 2
        [0.6931]
    """
    return per_class(
        logits, labels, lambda logit, positive: float(np.mean(np.logaddexp(0.0, np.where(positive, -logit, logit))))
    )


def expected_calibration_error(logits: ArrayLike, labels: ArrayLike, bins: int = 15) -> Floats:
    """Mean distance of predicted and observed risk over equal-mass bins per class, in [0, 1], lower is better.

    Images of equal probability share their mean label before they are binned, so the value does not depend on the order
    of the images.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        bins: Number of bins; fewer where there are fewer images.

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: ``bins`` is below 1, or as :func:`brier`.

    Source: Naeini et al. 2015; equal-mass bins as Nixon et al. 2019.

    Example:
        >>> expected_calibration_error([0.0, 0.0], [0, 1]).tolist()
        [0.0]
    """
    if bins < 1:
        raise InputError(f"`bins` must be 1 or more; got {bins}")
    return per_class(logits, labels, lambda logit, positive: _binned_error(expit(logit), positive, bins))


def calibration_line(logits: ArrayLike, labels: ArrayLike) -> tuple[CalibrationLine, ...]:
    """Slope and intercept of the labels' logistic regression on the logit, per class.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.

    Returns:
        K lines; NaN with a reason without a positive or a negative, or where the two do not overlap (the maximum
        likelihood estimate is infinite).

    Raises:
        InputError: As :func:`brier`.

    Source: Cox 1958, fitted by Newton's method with step halving.

    Example:
        >>> calibration_line([-1.0, 1.0], [0, 1])[0].reason
        'positives and negatives are separated'
    """
    logit, label = columns_of(logits, labels)
    return tuple(
        _line(logit[known, number], label[known, number])
        for number in range(logit.shape[1])
        for known in [~np.isnan(label[:, number])]
    )


def _binned_error(risk: Floats, positive: NDArray[np.bool_], bins: int) -> float:
    gaps = [predicted - observed for predicted, observed in binned(risk, positive, bins)]
    return float(sum(abs(gap.sum()) for gap in gaps) / risk.size)


def _line(logit: Floats, label: Floats) -> CalibrationLine:
    positives, negatives = logit[label == 1], logit[label == 0]
    if not positives.size or not negatives.size:
        return CalibrationLine(np.nan, np.nan, f"no {'negative' if positives.size else 'positive'} image")
    if not np.isfinite(logit).all():
        return CalibrationLine(np.nan, np.nan, "a logit is infinite")
    if positives.min() >= negatives.max() or negatives.min() >= positives.max():
        return CalibrationLine(np.nan, np.nan, "positives and negatives are separated")
    centre, scale = float(logit.mean()), float(logit.std())
    intercept, slope = _newton((logit - centre) / scale, label)
    return CalibrationLine(slope / scale, intercept - slope * centre / scale)


def _newton(predictor: Floats, label: Floats) -> tuple[float, float]:
    design = np.stack([np.ones_like(predictor), predictor], axis=1)
    weights = np.zeros(2)
    loss = _cross_entropy(design @ weights, label)
    for _ in range(_STEPS):
        risk = expit(design @ weights)
        slope = design.T @ (risk - label)
        step = np.linalg.solve((design * (risk * (1 - risk))[:, None]).T @ design, slope)
        size = 1.0
        while (new := _cross_entropy(design @ (weights - size * step), label)) > loss + 1e-12 * loss and size > 1e-6:
            size /= 2
        weights, loss = weights - size * step, new
        if np.abs(size * step).max() < _TOLERANCE:
            break
    return float(weights[0]), float(weights[1])


def _cross_entropy(logit: Floats, label: Floats) -> float:
    return float(np.sum(np.logaddexp(0.0, np.where(label == 1, -logit, logit))))
