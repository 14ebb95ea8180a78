"""Compiled loops that hold every activation against every mask: runs of activated pixels times row prefix sums.

Each function is one thread's work, in a fixed order, without fast-math: the same input gives the same bits everywhere.
They give up Python's lock, so that several threads can each count images of their own. In the inner loops no array is
sliced and none stands in a tuple: each would count references, which costs more than the work itself.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import corners, row_ends
from tailscope.dissection._count_kernels import row_span
from tailscope.dissection.cells import CellGrid

_OFF, _FULL, _MIXED = 0, 1, 2


@njit(cache=True, nogil=True, error_model="numpy")
def _add_run(runs: NDArray[np.int64], count: int, start: int, end: int) -> int:
    """Append the pixels from ``start`` up to ``end``, joined to the run before where they touch; the new count."""
    if start == end:
        return count
    if count > 0 and runs[count - 1, 1] == start:
        runs[count - 1, 1] = end
        return count
    runs[count, 0], runs[count, 1] = start, end
    return count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _cell_states(plane: NDArray[np.float32], r: int, threshold: np.float32, states: NDArray[np.int64]) -> bool:
    """Whether each cell of a row has no, all or some pixels activated; return whether any has."""
    some = False
    for c in range(plane.shape[1]):
        low, high = corners(plane, r, c)
        if not high > threshold:
            states[c] = _OFF
            continue
        states[c] = _FULL if low > threshold else _MIXED
        some = True
    return some


@njit(cache=True, nogil=True, error_model="numpy")
def _row_runs(
    plane: NDArray[np.float32],
    place: tuple[int, float, float],
    states: NDArray[np.int64],
    column_start: NDArray[np.int64],
    column_share: NDArray[np.float64],
    runs: NDArray[np.int64],
) -> int:
    """Write one pixel row's runs above the limit, left to right; return their number.

    ``place``: the row of cells, how far down in it the pixel row lies, and the limit.
    """
    r, down, limit = place
    per_cell, count = len(column_share) / plane.shape[1], 0
    for c in range(plane.shape[1]):
        start, end = column_start[c], column_start[c + 1]
        if states[c] == _OFF or start == end:
            continue
        if states[c] == _MIXED:
            left, right = row_ends(plane, r, c, down)
            start, end = row_span(left, right, limit, (start, end, per_cell), column_share)
        count = _add_run(runs, count, start, end)
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def count_runs(
    maps: NDArray[np.float32],
    levels: tuple[NDArray[np.float32], NDArray[np.float64]],
    prefixes: NDArray[np.unsignedinteger],
    grid: CellGrid,
    counts: tuple[NDArray[np.int64], NDArray[np.int32]],
    images: tuple[int, int],
) -> None:
    """Upsampled pixels above the threshold, per image, and how many of them lie in every mask, in place.

    Args:
        maps: (n, U, h, w) float32, finite.
        levels: Thresholds (U,) float32, and their :func:`rounding_limits` (U,) float64.
        prefixes: (H, W+1, P) sums of each mask's row.
        grid: From :func:`tailscope.dissection.cells.cell_grid`.
        counts: (n, U) int64 and (n, U, P) int32, written.
        images: First image to count, and the one after the last.
    """
    activated, inside = counts
    row_start, row_share, column_start, column_share = grid
    sums = prefixes.ravel()
    # Unsigned places: a sign that might be negative would keep the innermost loop from using vectors.
    row, column = np.uintp(prefixes.shape[1] * prefixes.shape[2]), np.uintp(prefixes.shape[2])
    states = np.empty(maps.shape[3], np.int64)
    runs = np.empty((prefixes.shape[1], 2), np.int64)
    own = np.empty(inside.shape[2], np.int32)
    for n in range(images[0], images[1]):
        for u in range(maps.shape[1]):
            plane, threshold, limit, pixels = maps[n, u], levels[0][u], levels[1][u], 0
            own[:] = 0
            for r in range(maps.shape[2]):
                if not _cell_states(plane, r, threshold, states):
                    continue
                for y in range(row_start[r], row_start[r + 1]):
                    count = _row_runs(plane, (r, row_share[y], limit), states, column_start, column_share, runs)
                    line = np.uintp(y) * row
                    for k in range(count):
                        pixels += runs[k, 1] - runs[k, 0]
                        before, after = line + np.uintp(runs[k, 0]) * column, line + np.uintp(runs[k, 1]) * column
                        for m in range(len(own)):
                            own[m] += np.int32(sums[after + np.uintp(m)]) - np.int32(sums[before + np.uintp(m)])
            activated[n, u] = pixels
            inside[n, u] = own


@njit(cache=True, nogil=True, error_model="numpy")
def add_pooled(
    inside: NDArray[np.int32], holders: NDArray[np.int32], units: tuple[int, int], pooled: NDArray[np.int64]
) -> None:
    """Pool the pixels inside the masks over the images that hold them, in place.

    Args:
        inside: (n, U, P) int32 pixels of each image's activation inside each mask.
        holders: (R, P) image that holds each mask.
        units: First unit, and the one after the last.
        pooled: (U, R) int64, added to.
    """
    images, masks = inside.shape[0], inside.shape[2]
    places = holders * masks + np.arange(masks)
    own = np.empty(images * masks, np.int32)
    for u in range(units[0], units[1]):
        for n in range(images):
            for m in range(masks):
                own[n * masks + m] = inside[n, u, m]
        for r in range(len(places)):
            total = 0
            for m in range(masks):
                total += own[places[r, m]]
            pooled[u, r] += total
