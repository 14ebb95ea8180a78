"""Compiled loops over activated regions: which units have one inside a mask, and in how many parts.

All of it runs one thread, in a fixed order, without fast-math: the same input gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import corners, largest_area
from tailscope.dissection._count_kernels import count_mixed
from tailscope.dissection.cells import CellGrid


@njit(cache=True)
def _draw_active(
    plane: NDArray[np.float32],
    threshold: np.float32,
    grid: CellGrid,
    active: NDArray[np.bool_],
) -> tuple[int, int, int, int]:
    """Mark the pixels above the threshold; return the box around their cells (top, bottom, left, right)."""
    values = np.empty(largest_area(grid), np.float32)
    hits = np.empty((len(values), 2), np.int64)
    top, bottom, left, right = active.shape[0], 0, active.shape[1], 0
    for r in range(plane.shape[0]):
        for c in range(plane.shape[1]):
            if not corners(plane, r, c)[1] > threshold:
                continue
            for p in range(count_mixed(plane, (r, c, threshold), grid, values, hits)):
                y, x = hits[p, 0], hits[p, 1]
                active[y, x] = True
                top, bottom = min(top, y), max(bottom, y + 1)
                left, right = min(left, x), max(right, x + 1)
    return top, bottom, left, right


@njit(cache=True)
def _root(parents: NDArray[np.int64], label: int) -> int:
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@njit(cache=True)
def _join(around: tuple[int, int, int, int], parents: NDArray[np.int64]) -> tuple[int, int]:
    """Merge the labels around a pixel; return the label that stays (0: none) and the number of merges."""
    kept, merges = 0, 0
    for label in around:
        if label == 0:
            continue
        root = _root(parents, label)
        if kept == 0:
            kept = root
        elif root != kept:
            parents[root] = kept
            merges += 1
    return kept, merges


@njit(cache=True)
def count_components(
    active: NDArray[np.bool_], mask: NDArray[np.bool_], box: tuple[int, int, int, int], parents: NDArray[np.int64]
) -> int:
    """8-connected components of active ∧ mask within a box (top, bottom, left, right): labels given less merges.

    Args:
        active: (H, W) bool.
        mask: (H, W) bool.
        box: Nothing outside it is looked at.
        parents: (H·W + 1,) int64 scratch, overwritten.
    """
    top, bottom, left, right = box
    rows = np.zeros((2, active.shape[1] + 2), np.int64)
    given, merged = 0, 0
    for y in range(top, bottom):
        above, here = rows[y % 2], rows[(y + 1) % 2]
        for x in range(left, right):
            here[x + 1] = 0
            if not (active[y, x] and mask[y, x]):
                continue
            kept, merges = _join((here[x], above[x], above[x + 1], above[x + 2]), parents)
            merged += merges
            if kept == 0:
                given += 1
                parents[given] = given
                kept = given
            here[x + 1] = kept
    return given - merged


@njit(cache=True)
def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(B, 4): top, bottom, left, right of each mask; an empty mask has an empty box."""
    boxes = np.empty((len(masks), 4), np.int64)
    for b in range(len(masks)):
        boxes[b] = np.array([masks.shape[1], 0, masks.shape[2], 0])
        for y in range(masks.shape[1]):
            for x in range(masks.shape[2]):
                if masks[b, y, x]:
                    boxes[b, 0], boxes[b, 1] = min(boxes[b, 0], y), max(boxes[b, 1], y + 1)
                    boxes[b, 2], boxes[b, 3] = min(boxes[b, 2], x), max(boxes[b, 3], x + 1)
    return boxes


@njit(cache=True)
def count_concept_pairs(
    maps: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    masks: NDArray[np.bool_],
    patients: NDArray[np.int64],
    grid: CellGrid,
) -> NDArray[np.int64]:
    """Units and components inside the image's own mask, and summed over the masks of all other patients.

    Args:
        maps: (n, U, h, w) float32, finite.
        thresholds: (U,) float32.
        masks: (n, H, W) bool, the image's own.
        patients: (n,) int64 codes.
        grid: From :func:`tailscope.dissection.cells.cell_grid`.

    Returns:
        (n, 4) int64: own units, own components, units over others, components over others.
    """
    counts = np.zeros((len(maps), 4), np.int64)
    boxes = _boxes(masks)
    active = np.zeros(masks.shape[1:], np.bool_)
    parents = np.zeros(active.size + 1, np.int64)
    for n in range(len(maps)):
        for u in range(maps.shape[1]):
            top, bottom, left, right = _draw_active(maps[n, u], thresholds[u], grid, active)
            if bottom == 0:
                continue
            for m in range(len(masks)):
                if m != n and patients[m] == patients[n]:
                    continue
                a, b = max(top, boxes[m, 0]), min(bottom, boxes[m, 1])
                c, d = max(left, boxes[m, 2]), min(right, boxes[m, 3])
                if a >= b or c >= d:
                    continue
                found = count_components(active, masks[m], (a, b, c, d), parents)
                first = 0 if m == n else 2
                counts[n, first] += min(found, 1)
                counts[n, first + 1] += found
            active[top:bottom, left:right] = False
    return counts
