"""From what a network says under its own loss and its own draws to the probability that it thereby means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError
from tailscope.performance.calibration import calibration_line

Floats = NDArray[np.float64]


def meant_logits(negative_slope: ArrayLike, positive_slope: ArrayLike, logits: ArrayLike) -> Floats:
    """Log-odds of η = g₀/(g₀−g₁), the probability for which a logit is the minimum of the expected loss.

    Where η is the chance of a positive, the expected loss η·ℓ(x,1) + (1−η)·ℓ(x,0) has its minimum where
    η·g₁ + (1−η)·g₀ = 0. Plain cross-entropy has g₀ = σ(x) and g₁ = σ(x)−1, hence η = σ(x).

    Args:
        negative_slope: g₀ = ∂ℓ(x,0)/∂x at each logit, any shape; 0 or more, what is below counts as 0.
        positive_slope: g₁ = ∂ℓ(x,1)/∂x, same shape; 0 or less, what is above counts as 0.
        logits: x, same shape; kept where both slopes are 0, because the loss says nothing there.

    Returns:
        Same shape, float64; −∞ where only g₀ is 0 (η = 0), ∞ where only g₁ is 0 (η = 1).

    Raises:
        InputError: The shapes differ.

    Source: METHODS section 3.

    Example:
        >>> meant_logits([0.5], [-1.5], [0.0]).round(4).tolist()  # positives weigh three times: x − log 3
        [-1.0986]
    """
    down, up, logit = (np.asarray(one, dtype=np.float64) for one in (negative_slope, positive_slope, logits))
    if not down.shape == up.shape == logit.shape:
        raise InputError(f"slopes and `logits` must have one shape; got {down.shape}, {up.shape} and {logit.shape}")
    down, up = np.maximum(down, 0), np.maximum(-up, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(down) - np.log(up)
    return np.where((down == 0) & (up == 0), logit, odds)


def moved_prior(logits: ArrayLike, from_prevalence: ArrayLike, to_prevalence: ArrayLike) -> Floats:
    """Logits moved from one prevalence to another: x − log(odds of the first / odds of the second).

    It is Bayes' rule if the two populations differ in nothing but the prevalence, e.g. draws and images.

    Args:
        logits: (N, K).
        from_prevalence: (K,) in (0, 1).
        to_prevalence: (K,) in (0, 1).

    Returns:
        (N, K) float64.

    Raises:
        InputError: A prevalence is not between 0 and 1, or there is not one per class.

    Source: Saerens, Latinne and Decaestecker 2002, equation 2.4; METHODS section 3.

    Example:
        >>> moved_prior([[0.0]], [0.5], [0.1]).round(4).tolist()  # −log 9
        [[-2.1972]]
    """
    logit = np.asarray(logits, dtype=np.float64)
    before, after = (np.asarray(one, dtype=np.float64) for one in (from_prevalence, to_prevalence))
    for name, prevalence in (("from_prevalence", before), ("to_prevalence", after)):
        if prevalence.shape != logit.shape[1:] or not ((prevalence > 0) & (prevalence < 1)).all():
            raise InputError(
                f"`{name}` must be {logit.shape[1:]} numbers above 0 and below 1, one per class; got {prevalence}"
            )
    return np.asarray(logit - (_log_odds(before) - _log_odds(after)))


def platt_scaled(logits: ArrayLike, val_logits: ArrayLike, val_labels: ArrayLike) -> tuple[Floats, tuple[str, ...]]:
    """Logits on the calibration line of another split: intercept + slope·x per class.

    Args:
        logits: (N, K).
        val_logits: (V, K) of the split on which the line is fitted.
        val_labels: (V, K) in {0, 1, NaN}.

    Returns:
        (N, K) float64, NaN for a class whose line cannot be fitted, and K reasons, empty where it can.

    Raises:
        InputError: As :func:`tailscope.performance.calibration_line`.

    Source: Platt 1999, without his softened labels.

    Example:
        >>> scaled, reasons = platt_scaled([[1.0]], [[-1.0], [1.0]], [[0], [1]])
        >>> reasons
        ('positives and negatives are separated',)
    """
    lines = calibration_line(val_logits, val_labels)
    slope, intercept = np.array([line.slope for line in lines]), np.array([line.intercept for line in lines])
    scaled = intercept + slope * np.asarray(logits, dtype=np.float64)
    return np.asarray(scaled), tuple(line.reason for line in lines)


def _log_odds(prevalence: Floats) -> Floats:
    return np.asarray(np.log(prevalence) - np.log1p(-prevalence))
