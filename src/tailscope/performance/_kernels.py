"""Rank metrics of one class on a block of resamples: one sort, then one walk along the order for all of them at once.

A step of the order is one score that a positive has: the negatives below it, those tied with it, and its positives.
The innermost loop runs over resamples, which lie side by side in memory, so the processor takes several at a time.
Counts are integers, so ties and resamples are exact, and each resample is summed in one fixed order, whatever block it
is in.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Steps = NDArray[np.int64]
Drawn = NDArray[np.int32]


@njit(cache=True, nogil=True)
def _add_rows(counts: Rows, drawn: Drawn, rows: Rows, first: int, last: int) -> None:
    for place in range(first, last):
        row = drawn[rows[place]]
        for resample in range(counts.size):
            counts[resample] += row[resample]


@njit(cache=True, nogil=True)
def fill_rank_areas(rows: Rows, steps: Steps, drawn: Drawn, areas: Floats) -> None:
    """AUROC per resample.

    Args:
        rows: (M,) rows of the labelled images by rising score; among equal ones the negatives first.
        steps: (G + 1, 3) places in ``rows`` where the negatives below, the tied negatives and the positives of a step
            begin; the last step has no positive.
        drawn: (N, B) how often each image is in each resample.
        areas: (B,) is filled; left as it is where a resample has no positive or no negative.
    """
    size = drawn.shape[1]
    twice_won = np.zeros(size, dtype=np.int64)
    below = np.zeros(size, dtype=np.int64)
    positives = np.zeros(size, dtype=np.int64)
    tied = np.zeros(size, dtype=np.int64)
    winners = np.zeros(size, dtype=np.int64)
    for step in range(len(steps) - 1):
        _add_rows(below, drawn, rows, steps[step, 0], steps[step, 1])
        tied[:] = 0
        winners[:] = 0
        _add_rows(tied, drawn, rows, steps[step, 1], steps[step, 2])
        _add_rows(winners, drawn, rows, steps[step, 2], steps[step + 1, 0])
        for resample in range(size):
            twice_won[resample] += winners[resample] * (2 * below[resample] + tied[resample])
            below[resample] += tied[resample]
            positives[resample] += winners[resample]
    _add_rows(below, drawn, rows, steps[-1, 0], rows.size)
    for resample in range(size):
        if positives[resample] > 0 and below[resample] > 0:
            areas[resample] = twice_won[resample] / (2.0 * positives[resample] * below[resample])


@njit(cache=True, nogil=True)
def fill_step_precision(rows: Rows, steps: Steps, drawn: Drawn, precisions: Floats) -> None:
    """Average precision per resample; as :func:`fill_rank_areas`, but by falling score."""
    size = drawn.shape[1]
    total = np.zeros(size)
    passed = np.zeros(size, dtype=np.int64)
    positives = np.zeros(size, dtype=np.int64)
    found = np.zeros(size, dtype=np.int64)
    for step in range(len(steps) - 1):
        _add_rows(passed, drawn, rows, steps[step, 0], steps[step, 2])
        found[:] = 0
        _add_rows(found, drawn, rows, steps[step, 2], steps[step + 1, 0])
        for resample in range(size):
            positives[resample] += found[resample]
            # nothing is drawn up to here where the divisor is 0, so nothing was found either
            total[resample] += found[resample] * (positives[resample] / max(positives[resample] + passed[resample], 1))
    _add_rows(passed, drawn, rows, steps[-1, 0], rows.size)
    for resample in range(size):
        if positives[resample] > 0 and passed[resample] > 0:
            precisions[resample] = total[resample] / positives[resample]
