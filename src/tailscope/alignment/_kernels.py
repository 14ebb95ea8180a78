"""Counting over pixels, map by map; every sum has one fixed order, so results do not depend on batches or threads."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pixels = NDArray[np.int32]


@njit(cache=True)
def inside_sums(maps: Floats, starts: Integers, pixels: Pixels) -> Floats:
    """(M, P) maps and N masks as pixel lists to the (M, N) sums of each map inside each mask."""
    sums = np.zeros((maps.shape[0], starts.size - 1))
    for row in range(maps.shape[0]):
        for mask in range(starts.size - 1):
            total = 0.0
            for at in range(starts[mask], starts[mask + 1]):
                total += maps[row, pixels[at]]
            sums[row, mask] = total
    return sums


@njit(cache=True)
def tie_groups(values: Floats, order: Integers, tolerance: float) -> tuple[Pixels, Integers]:
    """Group tied pixels from the top: a group holds all values down to ``tolerance`` below its largest.

    Args:
        values: (P,).
        order: (P,) pixels by falling value.
        tolerance: Absolute.

    Returns:
        group: (P,) int32, the group of each pixel, 0 for the largest values.
        ends: (G,) int64, how many pixels stand in groups up to and with each.
    """
    group = np.zeros(order.size, dtype=np.int32)
    ends = np.zeros(order.size, dtype=np.int64)
    count = 0
    top = values[order[0]]
    for rank in range(order.size):
        if values[order[rank]] < top - tolerance:
            ends[count] = rank
            count += 1
            top = values[order[rank]]
        group[order[rank]] = count
    ends[count] = order.size
    return group, ends[: count + 1]


@njit(cache=True)
def grouped_precision(order: Integers, ends: Integers, members: NDArray[np.uint8]) -> Floats:
    """Average precision of one ranking for N masks at once; tied pixels enter together.

    Args:
        order: (P,) pixels by falling value.
        ends: (G,) from :func:`tie_groups`.
        members: (P, N) uint8, 1 where the pixel lies in the mask.

    Returns:
        (N,) Σ over groups of (pixels inside the group and the mask)·(precision down to the group); divide by |B|.
    """
    found = np.zeros(members.shape[1])
    fresh = np.zeros(members.shape[1])
    total = np.zeros(members.shape[1])
    start = 0
    for end in ends:
        fresh[:] = 0.0
        for rank in range(start, end):
            row = members[order[rank]]
            for mask in range(row.size):
                fresh[mask] += row[mask]
        for mask in range(found.size):
            found[mask] += fresh[mask]
            total[mask] += fresh[mask] * found[mask] / end
        start = end
    return total


@njit(cache=True)
def top_area_ious(group: Pixels, ends: Integers, starts: Integers, pixels: Pixels) -> Floats:
    """Expected IoU of the |B| largest pixels of one map with B, for N masks; NaN for an empty mask."""
    values = np.full(starts.size - 1, np.nan)
    for mask in range(starts.size - 1):
        area = starts[mask + 1] - starts[mask]
        if area == 0:
            continue
        cut = np.searchsorted(ends, area)
        above = ends[cut - 1] if cut > 0 else 0
        sure, tied = 0, 0
        for at in range(starts[mask], starts[mask + 1]):
            sure += group[pixels[at]] < cut
            tied += group[pixels[at]] == cut
        values[mask] = expected_iou(area, sure, area - above, tied, ends[cut] - above)
    return values


@njit(cache=True)
def expected_iou(area: int, sure: int, draws: int, marked: int, tied: int) -> float:
    """Mean IoU of two sets of ``area`` pixels that share ``sure`` and a hypergeometric number of pixels more.

    Args:
        area: |B|.
        sure: Pixels of B above the cut.
        draws: Pixels still to be drawn at the cut.
        marked: Tied pixels that lie in B.
        tied: All tied pixels.
    """
    low, high = max(0, draws - (tied - marked)), min(draws, marked)
    mode = min(max(((draws + 1) * (marked + 1)) // (tied + 2), low), high)
    weight = 1.0  # relative to the mode, where nothing underflows that matters
    weights, total = 0.0, 0.0
    for hits in range(mode, high + 1):
        weights += weight
        total += weight * (sure + hits) / (2 * area - sure - hits)
        weight *= (marked - hits) * (draws - hits) / ((hits + 1.0) * (tied - marked - draws + hits + 1))
    weight = 1.0
    for hits in range(mode, low, -1):
        weight *= hits * (tied - marked - draws + hits) / ((marked - hits + 1.0) * (draws - hits + 1.0))
        weights += weight
        total += weight * (sure + hits - 1) / (2 * area - sure - hits + 1)
    return total / weights
