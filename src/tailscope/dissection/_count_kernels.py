"""Compiled loops that count the upsampled pixels above a threshold, in all and inside masks.

A map without a value above the threshold needs no pixels. A cell whose corners agree is counted from the masks' sums
per cell. In any other cell a pixel row crosses the threshold once at most, so each mask needs two look-ups per row.
Counts are integers of single images, so neither blocks nor threads change them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection._cell_kernels import between, scan
from tailscope.dissection.cells import CellGrid
from tailscope.dissection.threads import in_blocks

_MAPS_AT_ONCE = 16  # the references to arrays are counted once for so many
_VALUES_PER_BLOCK = 2**16  # below it, a thread costs more than it saves

Masks = tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]]
_Laid = tuple[NDArray[np.integer], NDArray[np.int32], NDArray[np.int64]]
_Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


@njit(cache=True, nogil=True)
def _sum_rows(
    bank: NDArray[np.bool_], filled: NDArray[np.int64], grid: CellGrid, block: tuple[int, int], out: NDArray[np.integer]
) -> None:
    """Pixels of each mask left of each column, within the cell: column x of cell c stands at x + c."""
    for b in range(block[0], block[1]):
        for y in range(bank.shape[1]):
            for c in range(len(grid.column_start) - 1):
                total = 0
                for x in range(grid.column_start[c], grid.column_start[c + 1]):
                    out[b, y, x + c] = total
                    total += bank[filled[b], y, x]
                out[b, y, grid.column_start[c + 1] + c] = total


@njit(cache=True, nogil=True)
def _list_masks(
    sums: NDArray[np.int32], row: NDArray[np.int64], starts: NDArray[np.int64], listed: NDArray[np.int64]
) -> None:
    """List, cell by cell, the masks of an image that have pixels there: (place in the row, mask, pixels)."""
    starts[:] = 0
    for m in range(len(row)):
        if row[m] >= 0:
            for cell in range(sums.shape[1]):
                starts[cell + 1] += sums[row[m], cell] > 0
    for cell in range(sums.shape[1]):
        starts[cell + 1] += starts[cell]
    for m in range(len(row)):
        if row[m] >= 0:
            for cell in range(sums.shape[1]):
                if sums[row[m], cell] > 0:
                    i = starts[cell]
                    listed[i, 0], listed[i, 1], listed[i, 2] = m, row[m], sums[row[m], cell]
                    starts[cell] += 1
    for cell in range(sums.shape[1], 0, -1):  # each start has moved to the next one
        starts[cell] = starts[cell - 1]
    starts[0] = 0


@njit(cache=True, nogil=True)
def _list_cells(
    maps: NDArray[np.float32],
    n: int,
    units: NDArray[np.int64],
    thresholds: NDArray[np.float32],
    grid: CellGrid,
    cells: NDArray[np.int64],
) -> int:
    """List the cells of some maps with a corner above the threshold; return their number.

    Written are the unit, row, column, and how many corners are above.
    """
    row_start, column_start = grid.row_start, grid.column_start
    height, width = maps.shape[2:]
    number = 0
    for u in units:
        threshold = thresholds[u]
        for r in range(height):
            below = min(r + 1, height - 1)
            before = int(maps[n, u, r, 0] > threshold) + int(maps[n, u, below, 0] > threshold)
            for c in range(width):
                beside = min(c + 1, width - 1)
                after = int(maps[n, u, r, beside] > threshold) + int(maps[n, u, below, beside] > threshold)
                area = (row_start[r + 1] - row_start[r]) * (column_start[c + 1] - column_start[c])
                if before + after > 0 and area > 0:
                    cells[number, 0], cells[number, 1], cells[number, 2] = u, r, c
                    cells[number, 3] = before + after
                    number += 1
                before = after
    return number


@njit(cache=True, nogil=True)
def row_span(
    left: float, right: float, limit: float, columns: tuple[int, int, float], share: NDArray[np.float64]
) -> tuple[int, int]:
    """Pixel columns [from, to) of one row of a cell whose values are above the limit.

    Solved for the crossing, then corrected with the very expression that :func:`interpolate` evaluates. The solution
    counts back from the last column: before the first value of the map, pixels stand closer than on average.

    Args:
        left: Value at the left end.
        right: Value at the right end.
        limit: From :func:`rounding_limits`.
        columns: The cell's first pixel column, the one after its last, and how many a cell has on average.
        share: (W,) from :func:`tailscope.dissection.cells.cell_grid`.
    """
    start, stop, per_cell = columns
    rises = right > limit
    if (left > limit) == rises:
        return (start, stop) if rises else (start, start)
    beyond = (limit - left) / (right - left) - share[stop - 1]
    x = min(max(stop - 1 + math.ceil(beyond * per_cell), start), stop)
    while x > start and (between(left, right, share[x - 1]) > limit) == rises:
        x -= 1
    while x < stop and (between(left, right, share[x]) > limit) != rises:
        x += 1
    return (x, stop) if rises else (start, x)


@njit(cache=True, nogil=True)
def _span_cells(
    maps: NDArray[np.float32],
    n: int,
    limits: NDArray[np.float64],
    grid: CellGrid,
    cells: NDArray[np.int64],
    spans: NDArray[np.int64],
) -> None:
    """Count the pixels of the listed cells above the limit, into the list.

    Where corners disagree, ``spans`` gets the columns [from, to) of each pixel row, from the row that is listed
    behind the count.
    """
    row_start, row_share, column_start, share = grid
    used = 0
    for i in range(len(cells)):
        u, r, c = cells[i, 0], cells[i, 1], cells[i, 2]
        columns = (column_start[c], column_start[c + 1], len(share) / maps.shape[3])
        cells[i, 4], cells[i, 5] = 0, used
        if cells[i, 3] == 4:
            cells[i, 4] = (row_start[r + 1] - row_start[r]) * (columns[1] - columns[0])
            continue
        below, beside = min(r + 1, maps.shape[2] - 1), min(c + 1, maps.shape[3] - 1)
        for y in range(row_start[r], row_start[r + 1]):
            left = between(maps[n, u, r, c], maps[n, u, below, c], row_share[y])
            right = between(maps[n, u, r, beside], maps[n, u, below, beside], row_share[y])
            spans[used, 0], spans[used, 1] = row_span(left, right, limits[u], columns, share)
            cells[i, 4] += spans[used, 1] - spans[used, 0]
            used += 1


@njit(cache=True, nogil=True)
def _add_cells(
    masks: tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.int64]],
    grid: CellGrid,
    cells: NDArray[np.int64],
    spans: NDArray[np.int64],
    row: int,
    out: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Add the pixels of the listed cells, in all and inside each of their masks, to a row of ``out``."""
    row_sums, starts, listed = masks
    activated, inside = out
    row_start, column_start = grid.row_start, grid.column_start
    for i in range(len(cells)):
        u, r, c, count, used = cells[i, 0], cells[i, 1], cells[i, 2], cells[i, 4], cells[i, 5]
        activated[row, u] += count
        top, bottom = row_start[r], row_start[r + 1]
        area = (bottom - top) * (column_start[c + 1] - column_start[c])
        place = r * (len(column_start) - 1) + c
        for j in range(starts[place], starts[place + 1]):
            m, b, pixels = listed[j, 0], listed[j, 1], listed[j, 2]
            if count == area:
                inside[row, u, m] += pixels
            elif pixels == area:
                inside[row, u, m] += count
            elif count > 0:
                found = np.int64(0)
                for y in range(bottom - top):
                    start, end = spans[used + y, 0] + c, spans[used + y, 1] + c
                    found += np.int64(row_sums[b, top + y, end]) - np.int64(row_sums[b, top + y, start])
                inside[row, u, m] += found


@njit(cache=True, nogil=True)
def _count_images(
    maps: NDArray[np.float32],
    levels: tuple[NDArray[np.float32], NDArray[np.float64]],
    laid: tuple[NDArray[np.integer], NDArray[np.int32], NDArray[np.int64]],
    grid: CellGrid,
    block: tuple[int, int, bool],
    out: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> bool:
    """Count a block of images, each on its own row of ``out`` or all on the first; False if a value is not finite."""
    first, last, pooled = block
    thresholds, limits = levels
    row_sums, sums, table = laid
    size = maps.shape[2] * maps.shape[3]
    flat = maps.reshape(maps.shape[0], maps.shape[1], size)
    above, starts = np.empty(maps.shape[1], np.int64), np.zeros(size + 1, np.int64)
    listed = np.empty((size * table.shape[1], 3), np.int64)
    cells = np.empty((_MAPS_AT_ONCE * size, 6), np.int64)
    spans = np.empty((_MAPS_AT_ONCE * len(grid.row_share) * maps.shape[3], 2), np.int64)
    for n in range(first, last):
        if n == first or (table[n] != table[n - 1]).any():
            _list_masks(sums, table[n], starts, listed)
        if scan(flat, n, (0, maps.shape[1]), thresholds, above) > 0:
            return False
        hot = np.flatnonzero(above)
        for start in range(0, len(hot), _MAPS_AT_ONCE):
            some = cells[: _list_cells(maps, n, hot[start : start + _MAPS_AT_ONCE], thresholds, grid, cells)]
            _span_cells(maps, n, limits, grid, some, spans)
            _add_cells((row_sums, starts, listed), grid, some, spans, 0 if pooled else n, out)
    return True


def rounding_limits(thresholds: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest float64 that, rounded to float32, is not above the threshold.

    >>> limit = rounding_limits(np.array([1.0], dtype=np.float32))
    >>> limit > 1, limit.astype(np.float32) > 1, np.nextafter(limit, 2).astype(np.float32) > 1
    (array([ True]), array([False]), array([ True]))
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        after = np.nextafter(thresholds, np.float32(np.inf)).astype(np.float64)
        middle = (thresholds.astype(np.float64) + after) / 2
        return np.where(middle.astype(np.float32) > thresholds, np.nextafter(middle, -np.inf), middle)


def count_above(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: Masks, grid: CellGrid
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

    Raises:
        InputError: A value is not finite.
    """
    count, units = maps.shape[:2]
    out = np.zeros((count, units), np.int64), np.zeros((count, units, masks[2].shape[1]), np.int64)
    _count(maps, thresholds, masks, grid, out)
    return out


def pooled_above(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: Masks, grid: CellGrid
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """:func:`count_above`, summed over the images: (U,) and (U, M) int64."""
    activated, inside = zip(*_count(maps, thresholds, masks, grid, None), strict=True)
    return np.sum(activated, axis=0)[0], np.sum(inside, axis=0)[0]


def _count(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: Masks, grid: CellGrid, out: _Counts | None
) -> list[_Counts]:
    maps = np.require(maps, requirements=["C", "W"])  # one kind of array, so one compilation
    levels, laid = (thresholds, rounding_limits(thresholds)), _lay_out(masks, grid)
    shape = (1, maps.shape[1])

    def work(first: int, last: int) -> _Counts:
        mine = out or (np.zeros(shape, np.int64), np.zeros((*shape, laid[2].shape[1]), np.int64))
        if not _count_images(maps, levels, laid, grid, (first, last, out is None), mine):
            raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")
        return mine

    if not len(maps):
        return []
    return in_blocks(work, len(maps), -(-_VALUES_PER_BLOCK // max(maps[0].size, 1)))


def _lay_out(masks: Masks, grid: CellGrid) -> _Laid:
    """Row sums within cells, and sums per cell, of the masks that are not empty; and the table of which is which."""
    bank, sums, table = masks
    cells = sums.reshape(len(sums), sums.shape[1] * sums.shape[2])
    filled = np.flatnonzero(cells.any(axis=1))
    place = np.full(len(bank) + 1, -1)  # index -1, the empty mask, finds the last
    place[filled] = np.arange(len(filled))
    kind = np.promote_types(np.uint16, np.min_scalar_type(int(np.diff(grid.column_start).max())))
    shape = (len(filled), len(grid.row_share), len(grid.column_share) + sums.shape[2])
    row_sums = np.empty(shape, dtype=kind)
    ready = np.require(bank, requirements=["C", "W"])
    if len(filled):
        in_blocks(lambda first, last: _sum_rows(ready, filled, grid, (first, last), row_sums), len(filled), 4)
    return row_sums, np.ascontiguousarray(cells[filled]), np.ascontiguousarray(place[table])
