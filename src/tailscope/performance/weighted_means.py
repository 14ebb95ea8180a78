"""Metrics that are means over images, on resamples: Brier score, log loss, sensitivity and specificity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from tailscope.performance._calibration_kernels import add_products
from tailscope.performance.cells import blocks_of, columns_of, drawn_in, multiplicity_of
from tailscope.performance.operating_point import limits_of

Floats = NDArray[np.float64]


def resampled_brier(logits: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer]) -> Floats:
    """Brier score of every class on every resample, in [0, 1], lower is better.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        multiplicity: (R, N) integers, how often each image is drawn.

    Returns:
        (R, K) float64, NaN where a resample has no positive or no negative.

    Raises:
        InputError: ``multiplicity`` does not fit, or as :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> resampled_brier([0.0, 0.0, 9e9], [0, 1, 1], np.array([[1, 1, 0], [1, 0, 1]])).tolist()
        [[0.25], [0.125]]
    """
    logit, label = columns_of(logits, labels)
    return _means((expit(logit) - label) ** 2, label, multiplicity)


def resampled_log_loss(logits: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer]) -> Floats:
    """Log loss of every class on every resample in nats, lower is better; as :func:`resampled_brier`.

    Raises:
        InputError: As :func:`resampled_brier`.

    Example:
        >>> resampled_log_loss([0.0, 0.0], [0, 1], np.array([[3, 1]])).round(4).tolist()  # log 2
        [[0.6931]]
    """
    logit, label = columns_of(logits, labels)
    return _means(np.logaddexp(0.0, np.where(label == 1, -logit, logit)), label, multiplicity)


def resampled_sensitivity(
    scores: ArrayLike, labels: ArrayLike, thresholds: ArrayLike, multiplicity: NDArray[np.integer]
) -> Floats:
    """Share of positives above the class's threshold on every resample, in [0, 1], higher is better.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        thresholds: (K,), e.g. from the validation split; NaN for a class without one.
        multiplicity: (R, N) integers, how often each image is drawn.

    Returns:
        (R, K) float64, NaN where a resample has no positive, or the class no threshold.

    Raises:
        InputError: ``multiplicity`` does not fit, there is not one threshold per class, or as
            :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> resampled_sensitivity([0.1, 0.4, 0.9], [0, 1, 1], [0.5], np.array([[1, 1, 1], [0, 1, 3]])).tolist()
        [[0.5], [0.75]]
    """
    score, label = columns_of(scores, labels)
    limits = limits_of(thresholds, score.shape[1])
    return _shares(score > limits, label == 1, limits, multiplicity)


def resampled_specificity(
    scores: ArrayLike, labels: ArrayLike, thresholds: ArrayLike, multiplicity: NDArray[np.integer]
) -> Floats:
    """Share of negatives not above the class's threshold on every resample; as :func:`resampled_sensitivity`.

    Returns:
        (R, K) float64, NaN where a resample has no negative, or the class no threshold.

    Raises:
        InputError: As :func:`resampled_sensitivity`.

    Example:
        >>> resampled_specificity([0.1, 0.4, 0.9], [0, 0, 1], [0.2], np.array([[1, 1, 1], [3, 1, 0]])).tolist()
        [[0.5], [0.75]]
    """
    score, label = columns_of(scores, labels)
    limits = limits_of(thresholds, score.shape[1])
    return _shares(score <= limits, label == 0, limits, multiplicity)


def resampled_sums(values: Floats, multiplicity: NDArray[np.integer]) -> Floats:
    """Sum of each column over every resample, each image as often as it is drawn.

    Args:
        values: (N, J), finite.
        multiplicity: (R, N) integers.

    Returns:
        (R, J) float64.

    Raises:
        InputError: ``multiplicity`` does not fit.

    Example:
        >>> resampled_sums(np.array([[1.0], [10.0]]), np.array([[2, 1], [0, 3]])).tolist()
        [[12.0], [30.0]]
    """
    counts = multiplicity_of(multiplicity, len(values))
    sums = np.zeros((len(counts), values.shape[1]))
    for block in blocks_of(np.arange(len(counts))):
        found = np.zeros((values.shape[1], block.size))
        add_products(values, drawn_in(counts, block), found)
        sums[block] = found.T
    return sums


def _means(values: Floats, label: Floats, multiplicity: NDArray[np.integer]) -> Floats:
    """Over the labelled images; an infinite value makes the mean infinite where its image is drawn."""
    known = ~np.isnan(label)
    infinite = known & np.isinf(values)
    columns = (np.where(known & ~infinite, values, 0.0), 1.0 * known, label == 1, infinite)
    total, images, positives, beyond = _sums(columns, multiplicity)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(beyond > 0, np.inf, total / images)
    return np.where((positives > 0) & (positives < images), means, np.nan)


def _shares(
    is_right: NDArray[np.bool_], side: NDArray[np.bool_], limits: Floats, multiplicity: NDArray[np.integer]
) -> Floats:
    right, images = _sums((is_right & side, side), multiplicity)
    usable = (images > 0) & ~np.isnan(limits)
    return np.where(usable, right / np.maximum(images, 1), np.nan)


def _sums(columns: tuple[NDArray[np.generic], ...], multiplicity: NDArray[np.integer]) -> list[Floats]:
    """(R, K) sums of several (N, K) values."""
    values = np.concatenate(columns, axis=1).astype(np.float64)
    return np.split(resampled_sums(values, multiplicity), len(columns), axis=1)
