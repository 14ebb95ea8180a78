"""AUROC and average precision, on the test set and on resamples of it; both higher is better, in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import config
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError, side_by_side
from tailscope.performance._kernels import fill_rank_areas, fill_step_precision
from tailscope.performance.cells import columns_of

Floats = NDArray[np.float64]
_Order = tuple[NDArray[np.int64], NDArray[np.int64]]
_Kernel = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], Floats], None]
_BLOCK = 64  # resamples that are walked at once; their counts, 4·64·N bytes per thread, are all that is copied
_WORTH_A_THREAD = 50_000  # images × classes


def auroc(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Area under the ROC curve per class, in [0, 1], higher is better; ties count half.

    Args:
        scores: (N, K) or (N,), any monotone score.
        labels: Same shape, in {0, 1, NaN}; NaN is left out.

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: As :func:`tailscope.performance.cells.columns_of`.

    Source: Hanley and McNeil 1982, the Mann-Whitney form.

    Example:
        >>> auroc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]).tolist()
        [0.875]
    """
    return resampled_auroc(scores, labels, _once(scores)).ravel()


def average_precision(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Average precision per class, in (0, 1], higher is better: step-wise, tied scores are one step.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: As :func:`tailscope.performance.cells.columns_of`.

    Source: scikit-learn's definition, Σ (R_n − R_{n−1}) P_n.

    Example:
        >>> average_precision([0.9, 0.8, 0.7], [1, 0, 1]).round(4).tolist()
        [0.8333]
    """
    return resampled_average_precision(scores, labels, _once(scores)).ravel()


def resampled_auroc(scores: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer]) -> Floats:
    """AUROC of every class on every resample, in [0, 1], higher is better; exact, ties included.

    Runs on ``NUMBA_NUM_THREADS`` threads; the numbers do not depend on how many.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        multiplicity: (R, N) integers below 2³¹, how often each image is drawn; no more than 64 resamples per thread
            are copied at a time.

    Returns:
        (R, K) float64, NaN where a resample has no positive or no negative.

    Raises:
        InputError: ``multiplicity`` does not fit, or as :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> import numpy as np
        >>> resampled_auroc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], np.array([[1, 1, 1, 1], [0, 2, 2, 0]])).tolist()
        [[0.875], [0.5]]
    """
    return _resampled(scores, labels, multiplicity, fill_rank_areas, 1.0)


def resampled_average_precision(scores: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer]) -> Floats:
    """Average precision of every class on every resample; arguments as :func:`resampled_auroc`.

    Raises:
        InputError: As :func:`resampled_auroc`.

    Example:
        >>> import numpy as np
        >>> resampled_average_precision([0.9, 0.8, 0.7], [1, 0, 1], np.array([[1, 1, 0]])).tolist()
        [[1.0]]
    """
    return _resampled(scores, labels, multiplicity, fill_step_precision, -1.0)


def expected_random_ap(n_pos: ArrayLike, n: ArrayLike) -> Floats:
    """Expected AP of a random ranking, π̃ = [H_N + (n⁺−1)(N−H_N)/(N−1)]/N.

    Args:
        n_pos: n⁺, number of positives (any shape).
        n: N, number of labelled images (same shape).

    Returns:
        Same shape, float64; NaN where n⁺ < 1 or n⁺ > N, 1 where n⁺ = N.

    Source: METHODS section 3; Bestgen 2015.

    Example:
        >>> expected_random_ap([1, 2], [2, 2]).tolist()  # one positive of two: (1 + 1/2) / 2
        [0.75, 1.0]
    """
    positives, total = np.broadcast_arrays(np.asarray(n_pos, dtype=np.float64), np.asarray(n, dtype=np.float64))
    harmonic = np.array([np.sum(1.0 / np.arange(1, int(count) + 1)) for count in total.ravel()]).reshape(total.shape)
    rest = (positives - 1) * (total - harmonic) / np.maximum(total - 1, 1)
    valid = (positives >= 1) & (positives <= total)
    return np.where(valid, (harmonic + rest) / np.maximum(total, 1), np.nan)


def ap_gain(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """AP above chance per class, (AP−π̃)/(1−π̃): 0 for an uninformed ranking on average, 1 for a perfect one.

    Args:
        scores: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.

    Returns:
        (K,) float64, NaN for a class without a positive or without a negative.

    Raises:
        InputError: As :func:`tailscope.performance.cells.columns_of`.

    Example:
        >>> ap_gain([0.1, 0.9], [0, 1]).tolist(), ap_gain([0.9, 0.1], [0, 1]).tolist()
        ([1.0], [-1.0])
    """
    label = columns_of(scores, labels)[1]
    known = (~np.isnan(label)).sum(axis=0)
    precision = average_precision(scores, labels)
    gains = np.full(precision.shape, np.nan)
    estimable = ~np.isnan(precision)
    chance = expected_random_ap(np.nansum(label, axis=0), known)[estimable]
    gains[estimable] = (precision[estimable] - chance) / (1 - chance)
    return gains


def _resampled(
    scores: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer], kernel: _Kernel, sign: float
) -> Floats:
    score, label = columns_of(scores, labels)
    counts = np.asarray(multiplicity)
    if counts.ndim != 2 or counts.shape[1] != len(score) or not np.issubdtype(counts.dtype, np.integer):
        raise InputError(f"`multiplicity` must be (R, {len(score)}) integers; got {counts.shape} {counts.dtype}")
    threads = min(int(vars(config)["NUMBA_NUM_THREADS"]), score.size // _WORTH_A_THREAD)
    columns = range(score.shape[1])
    orders = side_by_side(lambda number: _ordered(sign * score[:, number], label[:, number]), columns, threads)
    values = np.full((score.shape[1], len(counts)), np.nan)

    def walk(start: int) -> None:
        drawn = np.ascontiguousarray(counts[start : start + _BLOCK].T, dtype=np.int32)
        for (rows, steps), found in zip(orders, values[:, start : start + _BLOCK], strict=True):
            kernel(rows, steps, drawn, found)

    starts = range(0, len(counts), _BLOCK)
    side_by_side(walk, starts, min(threads, len(starts)))
    return np.ascontiguousarray(values.T)


def _ordered(keys: Floats, label: Floats) -> _Order:
    """The labelled rows of one class by rising key, and where the steps of that order begin."""
    rows = np.flatnonzero(~np.isnan(label))
    positive = label[rows] == 1
    order = np.lexsort((positive, keys[rows]))
    rows, positive = rows[order], positive[order]
    keys = keys[rows]
    leads = positive.copy()  # the first positive of each score
    leads[1:] &= ~positive[:-1] | (keys[1:] != keys[:-1])
    first = np.flatnonzero(leads)
    steps = np.full((first.size + 1, 3), rows.size)
    steps[0, 0] = 0
    steps[1:, 0] = np.searchsorted(keys, keys[first], side="right")
    steps[:-1, 1] = np.searchsorted(keys, keys[first], side="left")
    steps[:-1, 2] = first
    return rows, steps


def _once(scores: ArrayLike) -> NDArray[np.int16]:
    return np.ones((1, np.shape(scores)[0] if np.ndim(scores) else 0), dtype=np.int16)
