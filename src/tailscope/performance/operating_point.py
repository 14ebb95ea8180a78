"""Thresholds chosen on one split and what they find on another."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError
from tailscope.performance.cells import columns_of, per_class

Floats = NDArray[np.float64]
_ROUNDING = 1e-9  # 0.95 · 20 must be 19, whatever binary fractions make of it


def threshold_at_specificity(scores: ArrayLike, labels: ArrayLike, specificity: float = 0.95) -> Floats:
    """Smallest score t per class such that at least a share ``specificity`` of the negatives is at or below t.

    An image is called positive if its score is above t.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        specificity: In (0, 1].

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: ``specificity`` is out of range, or as :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> threshold_at_specificity([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], 0.5).tolist()
        [0.1]
    """
    _require_share("specificity", specificity)
    return per_class(scores, labels, lambda score, positive: _holding(np.sort(score[~positive]), specificity))


def threshold_at_sensitivity(scores: ArrayLike, labels: ArrayLike, sensitivity: float = 0.90) -> Floats:
    """Largest number t per class such that at least a share ``sensitivity`` of the positives is above t.

    It is the number just below the score of the last positive that must be found, so that "above t" finds it.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        sensitivity: In (0, 1].

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: ``sensitivity`` is out of range, or as :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> threshold_at_sensitivity([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], 0.5).round(9).tolist()
        [0.9]
    """
    _require_share("sensitivity", sensitivity)

    def chosen(score: Floats, positive: NDArray[np.bool_]) -> float:
        return float(np.nextafter(-_holding(np.sort(-score[positive]), sensitivity), -np.inf))

    return per_class(scores, labels, chosen)


def sensitivity_at_threshold(scores: ArrayLike, labels: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Share of positives with a score above the class's threshold, in [0, 1], higher is better.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        thresholds: (K,), e.g. from the validation split.

    Returns:
        (K,) float64, NaN for a class without a positive, or whose threshold is NaN.

    Raises:
        InputError: There is not one threshold per class, or as :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> sensitivity_at_threshold([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], [0.5]).tolist()
        [0.5]
    """
    score, label = columns_of(scores, labels)
    limits = limits_of(thresholds, score.shape[1])
    return _share(score > limits, label == 1, limits)


def specificity_at_threshold(scores: ArrayLike, labels: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Share of negatives with a score not above the class's threshold, in [0, 1], higher is better.

    Arguments and errors as :func:`sensitivity_at_threshold`.

    Returns:
        (K,) float64, NaN for a class without a negative, or whose threshold is NaN.

    Raises:
        InputError: As :func:`sensitivity_at_threshold`.

    Example:
        >>> specificity_at_threshold([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], [0.1]).tolist()
        [0.5]
    """
    score, label = columns_of(scores, labels)
    limits = limits_of(thresholds, score.shape[1])
    return _share(score <= limits, label == 0, limits)


def sensitivity_at_specificity(scores: ArrayLike, labels: ArrayLike, specificity: float = 0.95) -> Floats:
    """Sensitivity at the threshold that gives ``specificity`` on these same scores.

    Arguments, returns and errors as :func:`threshold_at_specificity`. For a claim, choose the threshold on validation.

    Raises:
        InputError: As :func:`threshold_at_specificity`.

    Example:
        >>> sensitivity_at_specificity([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], 1.0).tolist()
        [1.0]
    """
    return sensitivity_at_threshold(scores, labels, threshold_at_specificity(scores, labels, specificity))


def specificity_at_sensitivity(scores: ArrayLike, labels: ArrayLike, sensitivity: float = 0.90) -> Floats:
    """Specificity at the threshold that gives ``sensitivity`` on these same scores.

    Arguments, returns and errors as :func:`threshold_at_sensitivity`. For a claim, choose the threshold on validation.

    Raises:
        InputError: As :func:`threshold_at_sensitivity`.

    Example:
        >>> specificity_at_sensitivity([0.1, 0.2, 0.3, 0.15], [0, 0, 1, 1], 1.0).tolist()
        [0.5]
    """
    return specificity_at_threshold(scores, labels, threshold_at_sensitivity(scores, labels, sensitivity))


def limits_of(thresholds: ArrayLike, classes: int) -> Floats:
    """Check thresholds and return them as (K,) float64.

    Raises:
        InputError: There is not one per class.

    Example:
        >>> limits_of(0.5, 1).tolist()
        [0.5]
    """
    limits = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if limits.shape != (classes,):
        raise InputError(f"`thresholds` must have one number per class, ({classes},); got {limits.shape}")
    return limits


def _require_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise InputError(f"`{name}` must be above 0 and at most 1; got {value}")


def _holding(ascending: Floats, share: float) -> float:
    """The smallest of some numbers with at least this share of them at or below it."""
    return float(ascending[max(math.ceil(share * ascending.size - _ROUNDING), 1) - 1])


def _share(is_right: NDArray[np.bool_], side: NDArray[np.bool_], limits: Floats) -> Floats:
    usable = side.any(axis=0) & ~np.isnan(limits)
    return np.where(usable, (is_right & side).sum(axis=0) / np.maximum(side.sum(axis=0), 1), np.nan)
