"""Compiled loops over the cells of a map: corners, area, and the upsampled pixels between them.

All of it runs one thread, in a fixed order, without fast-math: the same input gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection.cells import CellGrid


@njit(cache=True)
def corners(plane: NDArray[np.float32], r: int, c: int) -> tuple[np.float32, np.float32]:
    """Smallest and largest of a cell's four corners."""
    below, right = min(r + 1, plane.shape[0] - 1), min(c + 1, plane.shape[1] - 1)
    a, b, d, e = plane[r, c], plane[r, right], plane[below, c], plane[below, right]
    return min(min(a, b), min(d, e)), max(max(a, b), max(d, e))


@njit(cache=True)
def area_of(grid: CellGrid, r: int, c: int) -> int:
    area: int = (grid.row_start[r + 1] - grid.row_start[r]) * (grid.column_start[c + 1] - grid.column_start[c])
    return area


@njit(cache=True)
def largest_area(grid: CellGrid) -> int:
    rows, columns = 0, 0
    for r in range(len(grid.row_start) - 1):
        rows = max(rows, grid.row_start[r + 1] - grid.row_start[r])
    for c in range(len(grid.column_start) - 1):
        columns = max(columns, grid.column_start[c + 1] - grid.column_start[c])
    return rows * columns


@njit(cache=True)
def interpolate(plane: NDArray[np.float32], r: int, c: int, grid: CellGrid, values: NDArray[np.float32]) -> int:
    """Write the pixels of one cell, row by row; return their number."""
    below, beside = min(r + 1, plane.shape[0] - 1), min(c + 1, plane.shape[1] - 1)
    count = 0
    for y in range(grid.row_start[r], grid.row_start[r + 1]):
        down = grid.row_share[y]
        left = (1.0 - down) * plane[r, c] + down * plane[below, c]
        right = (1.0 - down) * plane[r, beside] + down * plane[below, beside]
        for x in range(grid.column_start[c], grid.column_start[c + 1]):
            across = grid.column_share[x]
            values[count] = np.float32((1.0 - across) * left + across * right)
            count += 1
    return count
