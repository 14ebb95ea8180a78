"""Scores and labels as every metric of this room takes them: one column per class, unknown labels left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def columns_of(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Check scores and labels and return both as (N, K) float64.

    Args:
        scores: (N, K), or (N,) for one class.
        labels: Same shape, in {0, 1, NaN}.

    Raises:
        InputError: Shapes differ, a label is something else, or a labelled image has a NaN score.

    Example:
        >>> columns_of([0.1, 0.9], [0, 1])[0].shape
        (2, 1)
    """
    score = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.float64)
    if score.shape != label.shape or score.ndim not in (1, 2):
        raise InputError(f"`scores` and `labels` must both be (N, K) or (N,); got {score.shape} and {label.shape}")
    known = ~np.isnan(label)
    if not np.isin(label[known], (0.0, 1.0)).all():
        raise InputError(f"`labels` must be 0, 1 or NaN; got {np.setdiff1d(label[known], (0.0, 1.0))[:5].tolist()}")
    if np.isnan(score[known]).any():
        raise InputError("`scores` must be numbers where the label is known; got NaN: leave that run out")
    return (score[:, None], label[:, None]) if score.ndim == 1 else (score, label)


def per_class(scores: ArrayLike, labels: ArrayLike, metric: Callable[[Floats, Flags], float]) -> Floats:
    """Apply a metric to the labelled images of every class that has a positive and a negative.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        metric: Scores (M,) and labels (M,) bool to a number.

    Returns:
        (K,) float64; NaN for a class without a positive or without a negative.
    """
    score, label = columns_of(scores, labels)
    values = np.full(score.shape[1], np.nan)
    for number in range(score.shape[1]):
        known = ~np.isnan(label[:, number])
        positive = label[known, number] == 1
        if positive.any() and not positive.all():
            values[number] = metric(score[known, number], positive)
    return values
