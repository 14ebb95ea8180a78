"""Is it worth acting on a prediction? Net benefit at a threshold probability, and the references without a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance.cells import columns_of
from tailscope.performance.weighted_means import resampled_sums

Floats = NDArray[np.float64]


def net_benefit(logits: ArrayLike, labels: ArrayLike, thresholds: Sequence[float]) -> Floats:
    """Net benefit per class and threshold probability, at most the prevalence, higher is better.

    TP/N − FP/N · t/(1−t), where an image is treated if σ(logit) ≥ t: true positives per image, less the false ones at
    the rate of exchange at which somebody with that threshold would be indifferent.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        thresholds: T threshold probabilities, each in (0, 1).

    Returns:
        (K, T) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: A threshold is out of range, or as :func:`tailscope.performance.cells.columns_of`.

    Source: Vickers and Elkin 2006.

    Example:
        >>> net_benefit([-9.0, 9.0, 9.0, 9.0], [0, 0, 1, 1], [0.5, 0.2]).tolist()  # 2/4 − 1/4 · 1 and 2/4 − 1/4 · 1/4
        [[0.25, 0.4375]]
    """
    once = np.ones((1, len(columns_of(logits, labels)[0])), dtype=np.int32)
    return np.asarray(resampled_net_benefit(logits, labels, thresholds, once)[0])


def resampled_net_benefit(
    logits: ArrayLike, labels: ArrayLike, thresholds: Sequence[float], multiplicity: NDArray[np.integer]
) -> Floats:
    """Net benefit of every class and threshold on every resample; as :func:`net_benefit`.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        thresholds: T threshold probabilities, each in (0, 1).
        multiplicity: (R, N) integers, how often each image is drawn.

    Returns:
        (R, K, T) float64, NaN where a resample has no positive or no negative.

    Raises:
        InputError: ``multiplicity`` does not fit, or as :func:`net_benefit`.

    Example:
        >>> resampled_net_benefit([-9.0, 9.0], [0, 1], [0.5], np.array([[1, 1], [3, 1]])).ravel().tolist()
        [0.5, 0.25]
    """
    logit, label = columns_of(logits, labels)
    chances = _chances(thresholds)
    treated = expit(logit)[:, :, None] >= chances
    worth = np.where(label == 1, 1.0, 0.0)[:, :, None] - np.where(label == 0, 1.0, 0.0)[:, :, None] * _price(chances)
    values = np.where(treated, worth, 0.0)
    images, classes = label.shape
    columns = (values.reshape(images, -1), ~np.isnan(label), label == 1)
    sums = resampled_sums(np.concatenate(columns, axis=1).astype(np.float64), multiplicity)
    gained, known, positives = np.split(sums, [classes * chances.size, classes * (chances.size + 1)], axis=1)
    usable = (positives > 0) & (positives < known)
    means = gained.reshape(len(sums), classes, chances.size) / np.maximum(known, 1)[:, :, None]
    return np.where(usable[:, :, None], means, np.nan)


def net_benefit_of_treating_all(labels: ArrayLike, thresholds: Sequence[float]) -> Floats:
    """Net benefit of treating every image: π − (1−π)·t/(1−t); that of treating none is 0.

    Args:
        labels: (N, K) or (N,), in {0, 1, NaN}.
        thresholds: T threshold probabilities, each in (0, 1).

    Returns:
        (K, T) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: As :func:`net_benefit`.

    Source: Vickers and Elkin 2006.

    Example:
        >>> net_benefit_of_treating_all([0, 0, 1, 1], [0.5, 0.2]).tolist()  # 2/4 − 2/4 and 2/4 − 2/4 · 1/4
        [[0.0, 0.375]]
    """
    return net_benefit(np.full(np.shape(labels), np.inf), labels, thresholds)


def _chances(thresholds: Sequence[float]) -> Floats:
    chances = np.asarray(thresholds, dtype=np.float64)
    if chances.ndim != 1 or not chances.size or not ((chances > 0) & (chances < 1)).all():
        raise InputError(f"`thresholds` must be one or more probabilities above 0 and below 1; got {thresholds}")
    return chances


def _price(chances: Floats) -> Floats:
    """Of a false positive, in true positives."""
    return chances / (1 - chances)
