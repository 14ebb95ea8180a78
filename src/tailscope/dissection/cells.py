"""The cells of a layer's grid, as the mask grid sees them through half-pixel bilinear upsampling."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection._sum_kernels import sum_cells


class CellGrid(NamedTuple):
    """Which pixels lie in which cell, and how far along it; a cell (r, c) spans the values r, r+1 and c, c+1.

    Every pixel of a cell is a convex combination of the cell's four corners. So a cell whose corners all lie below a
    threshold needs no pixel, and one whose corners all lie above it is counted whole.

    Attributes:
        row_start: (h+1,) int64; cell row r holds the pixel rows ``row_start[r]`` up to ``row_start[r+1]``.
        row_share: (H,) float64 in [0, 1); weight of the lower of the two values.
        column_start: (w+1,) int64.
        column_share: (W,) float64.
    """

    row_start: NDArray[np.int64]
    row_share: NDArray[np.float64]
    column_start: NDArray[np.int64]
    column_share: NDArray[np.float64]


@lru_cache(maxsize=32)
def cell_grid(grid: tuple[int, int], size: tuple[int, int]) -> CellGrid:
    """The cells of a ``grid`` (h, w) upsampled to ``size`` (H, W).

    The geometry is read off :func:`tailscope.core.resize_bilinear` itself. The kernels interpolate in float64 and round
    once to float32: then a plateau stays a plateau, no pixel leaves the range of its corners, and the result is the
    same on every machine (it differs from the float32 matrix product by at most the last bits).

    Raises:
        InputError: A side is smaller than 1.

    Example:
        >>> cells = cell_grid((1, 2), (1, 4))
        >>> cells.column_start.tolist(), cells.column_share.tolist()
        ([0, 3, 4], [0.0, 0.25, 0.75, 0.0])
    """
    if min(*grid, *size) < 1:
        raise InputError(f"grids must have sides of 1 or more; got {grid} and {size}")
    row_start, row_share = _axis(grid[0], size[0])
    column_start, column_share = _axis(grid[1], size[1])
    return CellGrid(row_start, row_share, column_start, column_share)


def cell_sums(masks: NDArray[np.bool_], cells: CellGrid) -> NDArray[np.int32]:
    """(B, H, W) bool to (B, h, w) int32: mask pixels per cell.

    >>> cell_sums(np.array([[[True, True, False, True]]]), cell_grid((1, 2), (1, 4))).tolist()
    [[[2, 1]]]
    """
    count, height, width = masks.shape
    sums = np.zeros((count, len(cells.row_start) - 1, len(cells.column_start) - 1), dtype=np.int32)
    used = np.flatnonzero(masks.reshape(count, height * width).any(axis=1))  # most (image, class) pairs have none
    ready = np.require(masks, requirements=["C", "W"])  # one kind of array, so one compilation
    sum_cells(ready, used, cells.row_start, cells.column_start, sums)
    return sums


def _axis(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    weights = resize_bilinear(np.eye(source, dtype=np.float32), (target, source))
    low = np.argmax(weights > 0, axis=1)
    padded = np.concatenate([weights, np.zeros((target, 1), dtype=np.float32)], axis=1)
    share = padded[np.arange(target), low + 1].astype(np.float64)
    start = np.searchsorted(low, np.arange(source + 1)).astype(np.int64)
    start.flags.writeable = share.flags.writeable = False
    return start, share
