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
def owners(starts: Integers, pixels: Pixels, size: int) -> tuple[Integers, Pixels]:
    """Turn the pixels of each mask into the masks of each of ``size`` pixels, in the same form."""
    turned = np.zeros(size + 1, dtype=np.int64)
    for pixel in pixels:
        turned[pixel + 1] += 1
    turned = np.cumsum(turned)
    free = turned[:-1].copy()
    masks = np.zeros(pixels.size, dtype=np.int32)
    for mask in range(starts.size - 1):
        for at in range(starts[mask], starts[mask + 1]):
            masks[free[pixels[at]]] = mask
            free[pixels[at]] += 1
    return turned, masks


@njit(cache=True)
def grouped_precision(order: Integers, ends: Integers, starts: Integers, masks: Pixels, count: int) -> Floats:
    """Average precision of one ranking for ``count`` masks at once; tied pixels enter together.

    Args:
        order: (P,) pixels by falling value.
        ends: (G,) from :func:`tie_groups`.
        starts: (P + 1,) from :func:`owners`.
        masks: From :func:`owners`.
        count: N.

    Returns:
        (N,) Σ over the pixels of each mask of the precision down to the pixel's group; divide by |B|.
    """
    found = np.zeros(count)
    total = np.zeros(count)
    begin = 0
    for end in ends:
        for pixel in order[begin:end]:
            for at in range(starts[pixel], starts[pixel + 1]):
                found[masks[at]] += 1.0
        for pixel in order[begin:end]:
            for at in range(starts[pixel], starts[pixel + 1]):
                total[masks[at]] += found[masks[at]] / end
        begin = end
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
