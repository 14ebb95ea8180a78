"""Rank metrics of one class on many resamples: one sort, then one walk along the order per resample.

Counts are integers, so ties and resamples are exact, and each resample is summed in one fixed order.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Multiplicity = NDArray[np.integer]


@njit(cache=True)
def resampled_rank_sum(rows: Rows, positive: Flags, starts_tie: Flags, multiplicity: Multiplicity) -> Floats:
    """AUROC per resample.

    Args:
        rows: (M,) rows of the labelled images by rising score.
        positive: (M,) labels in that order.
        starts_tie: (M,) whether the score is another than the one before.
        multiplicity: (R, N).

    Returns:
        (R,), NaN where a resample has no positive or no negative.
    """
    areas = np.full(multiplicity.shape[0], np.nan)
    for resample in range(multiplicity.shape[0]):
        twice_won = 0
        below = 0
        tied_positives = 0
        tied_negatives = 0
        positives = 0
        for rank in range(rows.size):
            if starts_tie[rank]:
                twice_won += tied_positives * (2 * below + tied_negatives)
                below += tied_negatives
                positives += tied_positives
                tied_positives = 0
                tied_negatives = 0
            count = int(multiplicity[resample, rows[rank]])
            if positive[rank]:
                tied_positives += count
            else:
                tied_negatives += count
        twice_won += tied_positives * (2 * below + tied_negatives)
        below += tied_negatives
        positives += tied_positives
        if positives > 0 and below > 0:
            areas[resample] = twice_won / (2.0 * positives * below)
    return areas


@njit(cache=True)
def resampled_step_precision(rows: Rows, positive: Flags, starts_tie: Flags, multiplicity: Multiplicity) -> Floats:
    """Average precision per resample; as :func:`resampled_rank_sum`, but by falling score."""
    precisions = np.full(multiplicity.shape[0], np.nan)
    for resample in range(multiplicity.shape[0]):
        found = 0
        drawn = 0
        tied_positives = 0
        tied = 0
        total = 0.0
        for rank in range(rows.size):
            if starts_tie[rank]:
                found += tied_positives
                drawn += tied
                if tied_positives > 0:
                    total += tied_positives * (found / drawn)
                tied_positives = 0
                tied = 0
            count = int(multiplicity[resample, rows[rank]])
            tied += count
            if positive[rank]:
                tied_positives += count
        found += tied_positives
        drawn += tied
        if tied_positives > 0:
            total += tied_positives * (found / drawn)
        if found > 0 and drawn > found:
            precisions[resample] = total / found
    return precisions
