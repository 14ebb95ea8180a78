"""Compiled loops over a map and its cells: corners, area, the upsampled pixels between them, the values above a level.

All of it runs in a fixed order, without fast-math: the same input gives the same bits everywhere. Nothing here starts
a thread, and all of it lets go of the interpreter's lock. Where a loop is hot, arrays are neither sliced nor taken out
of tuples in it: each time their references are counted, which costs more than the work.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection.cells import CellGrid


@njit(cache=True, nogil=True)
def between(first: float, second: float, share: float) -> float:
    """The value a share of the way from the first to the second, in float64.

    Rounding keeps the order of what it rounds, so this form never turns back where the share grows, and with a share
    of at most 1 - 2**-24 (shares are float32 below 1) it never leaves the range of its two ends.
    """
    start = np.float64(first)
    return start + share * (np.float64(second) - start)


@njit(cache=True, nogil=True)
def corners(plane: NDArray[np.float32], r: int, c: int) -> tuple[np.float32, np.float32]:
    """Smallest and largest of a cell's four corners."""
    below, right = min(r + 1, plane.shape[0] - 1), min(c + 1, plane.shape[1] - 1)
    a, b, d, e = plane[r, c], plane[r, right], plane[below, c], plane[below, right]
    return min(min(a, b), min(d, e)), max(max(a, b), max(d, e))


@njit(cache=True, nogil=True)
def row_ends(plane: NDArray[np.float32], r: int, c: int, down: float) -> tuple[float, float]:
    """Values at the left and right end of a pixel row of a cell, ``down`` of the way to the next row of the map."""
    below, beside = min(r + 1, plane.shape[0] - 1), min(c + 1, plane.shape[1] - 1)
    return between(plane[r, c], plane[below, c], down), between(plane[r, beside], plane[below, beside], down)


@njit(cache=True, nogil=True)
def area_of(grid: CellGrid, r: int, c: int) -> int:
    area: int = (grid.row_start[r + 1] - grid.row_start[r]) * (grid.column_start[c + 1] - grid.column_start[c])
    return area


@njit(cache=True, nogil=True)
def largest_area(grid: CellGrid) -> int:
    rows, columns = 0, 0
    for r in range(len(grid.row_start) - 1):
        rows = max(rows, grid.row_start[r + 1] - grid.row_start[r])
    for c in range(len(grid.column_start) - 1):
        columns = max(columns, grid.column_start[c + 1] - grid.column_start[c])
    return rows * columns


@njit(cache=True, nogil=True)
def interpolate(plane: NDArray[np.float32], r: int, c: int, grid: CellGrid, values: NDArray[np.float32]) -> int:
    """Write the pixels of one cell, row by row; return their number."""
    row_share, column_share = grid.row_share, grid.column_share
    first, last = grid.column_start[c], grid.column_start[c + 1]
    count = 0
    for y in range(grid.row_start[r], grid.row_start[r + 1]):
        left, right = row_ends(plane, r, c, row_share[y])
        for x in range(first, last):
            values[count] = np.float32(between(left, right, column_share[x]))
            count += 1
    return count


@njit(cache=True, nogil=True)
def scan(
    values: NDArray[np.float32],
    n: int,
    units: tuple[int, int],
    levels: NDArray[np.float32],
    above: NDArray[np.int64],
) -> int:
    """Count the values of an image, (N, U, m), above the level of each unit; return how many are not finite."""
    broken = 0
    for u in range(units[0], units[1]):
        level, count = levels[u], 0
        for i in range(values.shape[2]):
            count += values[n, u, i] > level
            broken += values[n, u, i] - values[n, u, i] != 0
        above[u] = count
    return broken
