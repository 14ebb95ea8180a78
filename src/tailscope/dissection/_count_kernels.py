"""Compiled loops that count the upsampled pixels above a threshold, in all and inside masks.

All of it runs one thread, in a fixed order, without fast-math: the same input gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import area_of, corners, interpolate, largest_area
from tailscope.dissection.cells import CellGrid


@njit(cache=True)
def count_mixed(
    plane: NDArray[np.float32],
    place: tuple[int, int, np.float32],
    grid: CellGrid,
    values: NDArray[np.float32],
    hits: NDArray[np.int64],
) -> int:
    """Find the pixels of a cell above the threshold: their (row, column) go to ``hits``; return their number."""
    r, c, threshold = place
    interpolate(plane, r, c, grid, values)
    p, count = 0, 0
    for y in range(grid.row_start[r], grid.row_start[r + 1]):
        for x in range(grid.column_start[c], grid.column_start[c + 1]):
            if values[p] > threshold:
                hits[count, 0], hits[count, 1] = y, x
                count += 1
            p += 1
    return count


@njit(cache=True)
def _count_inside(bank: NDArray[np.bool_], which: int, hits: NDArray[np.int64], count: int) -> int:
    inside = 0
    for p in range(count):
        if bank[which, hits[p, 0], hits[p, 1]]:
            inside += 1
    return inside


@njit(cache=True)
def _gather_sums(sums: NDArray[np.int32], table: NDArray[np.int64], local: NDArray[np.int32]) -> None:
    """Pixels per cell of one image's masks, (h, w, M), so that the masks of a cell lie side by side."""
    for m in range(len(table)):
        for r in range(local.shape[0]):
            for c in range(local.shape[1]):
                local[r, c, m] = sums[table[m], r, c] if table[m] >= 0 else 0


@njit(cache=True)
def _add_cell(
    bank: NDArray[np.bool_],
    masks: tuple[NDArray[np.int64], NDArray[np.int32]],
    hits: NDArray[np.int64],
    counted: tuple[int, int],
    inside: NDArray[np.int64],
) -> None:
    """Add one cell's pixels inside each mask; ``counted``: pixels hit, and all pixels of the cell."""
    table, pixels = masks
    count, area = counted
    for m in range(len(table)):
        if pixels[m] == 0:
            continue
        if count == area:
            inside[m] += pixels[m]
        elif pixels[m] == area:
            inside[m] += count
        else:
            inside[m] += _count_inside(bank, table[m], hits, count)


@njit(cache=True)
def count_above(
    maps: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    masks: tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]],
    grid: CellGrid,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upsampled pixels above the threshold, per image, and how many of them lie in each of its masks.

    Args:
        maps: (n, U, h, w) float32, finite.
        thresholds: (U,) float32.
        masks: The masks (B, H, W) bool, their pixels per cell (B, h, w) int32, and which of them each image is held
            against, (n, M) int64; -1 is the empty mask.
        grid: From :func:`tailscope.dissection.cells.cell_grid`.

    Returns:
        (n, U) and (n, U, M) int64.
    """
    bank, sums, table = masks
    activated = np.zeros(maps.shape[:2], np.int64)
    inside = np.zeros((maps.shape[0], maps.shape[1], table.shape[1]), np.int64)
    values = np.empty(largest_area(grid), np.float32)
    hits = np.empty((len(values), 2), np.int64)
    local = np.empty((maps.shape[2], maps.shape[3], table.shape[1]), np.int32)
    for n in range(maps.shape[0]):
        _gather_sums(sums, table[n], local)
        for u in range(maps.shape[1]):
            plane = maps[n, u]
            for r in range(maps.shape[2]):
                for c in range(maps.shape[3]):
                    low, high = corners(plane, r, c)
                    area = area_of(grid, r, c)
                    if not high > thresholds[u] or area == 0:
                        continue
                    count = area
                    if not low > thresholds[u]:
                        count = count_mixed(plane, (r, c, thresholds[u]), grid, values, hits)
                    if count > 0:
                        activated[n, u] += count
                        _add_cell(bank, (table[n], local[r, c]), hits, (count, area), inside[n, u])
    return activated, inside
