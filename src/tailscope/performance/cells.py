"""What every metric of this room takes: scores and labels, one column per class, and multiplicities of resamples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_BLOCK = 64  # resamples that are walked at once; their counts, 4·64·N bytes, are all that is copied


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


def multiplicity_of(multiplicity: NDArray[np.integer], images: int) -> NDArray[np.int32]:
    """Check how often each image is drawn and return it as (R, N) int32, not copied where it is that already.

    Args:
        multiplicity: (R, N) integers below 2³¹.
        images: N.

    Raises:
        InputError: It has another shape, or holds no integers.

    Example:
        >>> multiplicity_of(np.array([[2, 0]]), 2).dtype.name
        'int32'
    """
    counts = np.asarray(multiplicity)
    if counts.ndim != 2 or counts.shape[1] != images or not np.issubdtype(counts.dtype, np.integer):
        raise InputError(f"`multiplicity` must be (R, {images}) integers; got {counts.shape} {counts.dtype}")
    return np.ascontiguousarray(counts, dtype=np.int32)


def blocks_of(resamples: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Some resamples, as many at a time as the compiled loops walk at once.

    >>> [block.size for block in blocks_of(np.arange(70))]
    [64, 6]
    """
    return [resamples[start : start + _BLOCK] for start in range(0, resamples.size, _BLOCK)]


def drawn_in(counts: NDArray[np.int32], block: NDArray[np.int64]) -> NDArray[np.int32]:
    """(N, B) counts of a block of (R, N) resamples, which thereby lie side by side in memory.

    >>> drawn_in(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int32), np.array([0, 2])).tolist()
    [[1, 5], [2, 6]]
    """
    return np.ascontiguousarray(counts[block].T)
