"""Compiled loop over the pixels of masks: how many lie in each cell."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def sum_cells(
    masks: NDArray[np.bool_],
    used: NDArray[np.int64],
    row_start: NDArray[np.int64],
    column_start: NDArray[np.int64],
    sums: NDArray[np.int32],
) -> None:
    """Add the pixels of each cell.

    Args:
        masks: (B, H, W) bool.
        used: Which of the masks are looked at.
        row_start: (h+1,) first pixel row of each cell.
        column_start: (w+1,).
        sums: (B, h, w) int32, added to.
    """
    for b in used:
        for r in range(len(row_start) - 1):
            for y in range(row_start[r], row_start[r + 1]):
                for c in range(len(column_start) - 1):
                    count = 0
                    for x in range(column_start[c], column_start[c + 1]):
                        count += masks[b, y, x]
                    sums[b, r, c] += count
