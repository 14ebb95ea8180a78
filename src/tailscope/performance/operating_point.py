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
    if not 0 < specificity <= 1:
        raise InputError(f"`specificity` must be above 0 and at most 1; got {specificity}")

    def chosen(score: Floats, positive: NDArray[np.bool_]) -> float:
        negatives = np.sort(score[~positive])
        return float(negatives[max(math.ceil(specificity * negatives.size - _ROUNDING), 1) - 1])

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
    threshold = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if threshold.shape != (score.shape[1],):
        raise InputError(f"`thresholds` must have one number per class, ({score.shape[1]},); got {threshold.shape}")
    positive = label == 1
    found = ((score > threshold) & positive).sum(axis=0)
    usable = positive.any(axis=0) & ~np.isnan(threshold)
    return np.where(usable, found / np.maximum(positive.sum(axis=0), 1), np.nan)


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
