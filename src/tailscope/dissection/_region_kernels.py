"""Compiled loops over activated regions: which units have one inside a mask, and in how many parts.

Regions and masks are runs: stretches of pixels, row by row, so the work goes with their outlines and not with their
areas. Every function runs one thread, in a fixed order, without fast-math, and lets go of the interpreter's lock: the
same input gives the same integers everywhere, and slices of the images may run side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import between
from tailscope.dissection.cells import CellGrid

Box = tuple[int, int, int, int]


class Runs(NamedTuple):
    """Masks as maximal runs of pixels; those of mask b in row y are ``spans[first[b, y]:first[b, y + 1]]``.

    Attributes:
        first: (B, H+1) int64.
        spans: (R, 2) int32, first column and the one after the last.
        boxes: (B, 4) int64: top, bottom, left, right; an empty mask has an empty box.
        width: W.
    """

    first: NDArray[np.int64]
    spans: NDArray[np.int32]
    boxes: NDArray[np.int64]
    width: int


class _Scratch(NamedTuple):
    """What one image's work overwrites: activated runs by row, parts inside a mask, and values along a pixel row."""

    first: NDArray[np.int64]
    spans: NDArray[np.int32]
    parts: NDArray[np.int32]
    parents: NDArray[np.int64]
    edges: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _extend(spans: NDArray[np.int32], row: tuple[int, int], start: int, end: int) -> int:
    """Add the pixels from ``start`` to ``end`` to a row's runs (first, next); return the new next."""
    begin, count = row
    if count > begin and spans[count - 1, 1] == start:
        spans[count - 1, 1] = end
        return count
    spans[count, 0], spans[count, 1] = start, end
    return count + 1


@njit(cache=True, nogil=True)
def _widen(box: NDArray[np.int64], y: int, start: int, end: int) -> None:
    box[0], box[1] = min(box[0], y), max(box[1], y + 1)
    box[2], box[3] = min(box[2], start), max(box[3], end)


@njit(cache=True, nogil=True)
def _room(count: int, height: int, width: int, spans: int) -> Runs:
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, 0], boxes[:, 2] = height, width
    return Runs(np.zeros((count, height + 1), np.int64), np.empty((spans, 2), np.int32), boxes, width)


@njit(cache=True, nogil=True)
def _starts(masks: NDArray[np.bool_]) -> int:
    count = 0
    for b in range(masks.shape[0]):
        for y in range(masks.shape[1]):
            before = False
            for x in range(masks.shape[2]):
                count += masks[b, y, x] and not before
                before = masks[b, y, x]
    return count


@njit(cache=True, nogil=True)
def runs_of(masks: NDArray[np.bool_]) -> Runs:
    """The runs of (B, H, W) bool masks."""
    height, width = masks.shape[1], masks.shape[2]
    runs = _room(masks.shape[0], height, width, _starts(masks))
    count = 0
    for b in range(masks.shape[0]):
        for y in range(height):
            begin = count
            for x in range(width):
                if masks[b, y, x]:
                    count = _extend(runs.spans, (begin, count), x, x + 1)
            runs.first[b, y], runs.first[b, y + 1] = begin, count
            if count > begin:
                _widen(runs.boxes[b], y, runs.spans[begin, 0], runs.spans[count - 1, 1])
    return runs


@njit(cache=True, nogil=True)
def rolled(masks: Runs, b: int, shifts: NDArray[np.int64]) -> Runs:
    """Mask b, rolled over the borders by S shifts (down, right), each from 0 to the side."""
    height, width = masks.first.shape[1] - 1, masks.width
    runs = _room(len(shifts), height, width, 2 * len(shifts) * (masks.first[b, height] - masks.first[b, 0]))
    count = 0
    for s in range(len(shifts)):
        for y in range(height):
            begin, source = count, (y - shifts[s, 0]) % height
            row = masks.spans[masks.first[b, source] : masks.first[b, source + 1]]
            count = _roll_row(row, shifts[s, 1] % width, (begin, width), runs.spans)
            runs.first[s, y], runs.first[s, y + 1] = begin, count
            if count > begin:
                _widen(runs.boxes[s], y, runs.spans[begin, 0], runs.spans[count - 1, 1])
    return runs


@njit(cache=True, nogil=True)
def _roll_row(row: NDArray[np.int32], right: int, place: tuple[int, int], spans: NDArray[np.int32]) -> int:
    """Write a row's runs moved right, those that come back in on the left first; return the next free place."""
    begin, width = place
    count, cut = begin, width - right
    for i in range(len(row)):
        if row[i, 1] > cut:
            count = _extend(spans, (begin, count), max(row[i, 0], cut) - cut, row[i, 1] - cut)
    for i in range(len(row)):
        if row[i, 0] < cut:
            count = _extend(spans, (begin, count), row[i, 0] + right, min(row[i, 1], cut) + right)
    return count


@njit(cache=True, nogil=True)
def _reach(plane: NDArray[np.float32], threshold: np.float32, grid: CellGrid, within: Box) -> Box:
    """The pixels of all cells with a corner above the threshold, as a box cut to ``within``."""
    box = np.array([plane.shape[0], 0, plane.shape[1], 0])
    for r in range(plane.shape[0]):
        for c in range(plane.shape[1]):
            if plane[r, c] > threshold:
                _widen(box, r, c, c + 1)
    return (
        max(within[0], grid.row_start[max(box[0] - 1, 0)]),
        min(within[1], grid.row_start[box[1]]),
        max(within[2], grid.column_start[max(box[2] - 1, 0)]),
        min(within[3], grid.column_start[box[3]]),
    )


@njit(cache=True, nogil=True)
def _draw(plane: NDArray[np.float32], limits: NDArray[np.float32], grid: CellGrid, box: Box, scratch: _Scratch) -> int:
    """Write the activated runs in a box; return their number."""
    count, last = 0, plane.shape[1] - 1
    for r in range(plane.shape[0]):
        below = min(r + 1, plane.shape[0] - 1)
        for y in range(max(grid.row_start[r], box[0]), min(grid.row_start[r + 1], box[1])):
            down = grid.row_share[y]
            for c in range(last + 1):
                scratch.edges[c] = between(plane[r, c], plane[below, c], down)
            scratch.edges[last + 1] = scratch.edges[last]
            scratch.first[y] = count
            count = _draw_row(scratch.edges, limits, grid, (count, box[2], box[3]), scratch.spans)
            scratch.first[y + 1] = count
    return count


@njit(cache=True, nogil=True)
def _draw_row(
    edges: NDArray[np.float64],
    limits: NDArray[np.float32],
    grid: CellGrid,
    place: tuple[int, int, int],
    spans: NDArray[np.int32],
) -> int:
    """Write one pixel row's runs between two columns; ``limits``: the threshold and the next float32 above it.

    Interpolation stays between float32 numbers once rounded, so a stretch with both edges on one side of the gap
    between the limits needs no pixel.
    """
    begin, left, right = place
    count = begin
    for c in range(len(edges) - 1):
        start, end = max(grid.column_start[c], left), min(grid.column_start[c + 1], right)
        if start >= end or max(edges[c], edges[c + 1]) <= limits[0]:
            continue
        if min(edges[c], edges[c + 1]) >= limits[1]:
            count = _extend(spans, (begin, count), start, end)
            continue
        for x in range(start, end):
            across = grid.column_share[x]
            if np.float32(between(edges[c], edges[c + 1], across)) > limits[0]:
                count = _extend(spans, (begin, count), x, x + 1)
    return count


@njit(cache=True, nogil=True)
def _intersect(masks: Runs, b: int, y: int, scratch: _Scratch, count: int) -> int:
    """Append what one row of the activation and of mask b share; return the new number of parts."""
    i, j = scratch.first[y], masks.first[b, y]
    while i < scratch.first[y + 1] and j < masks.first[b, y + 1]:
        start = max(scratch.spans[i, 0], masks.spans[j, 0])
        end = min(scratch.spans[i, 1], masks.spans[j, 1])
        if start < end:
            scratch.parts[count, 0], scratch.parts[count, 1] = start, end
            count += 1
        if scratch.spans[i, 1] < masks.spans[j, 1]:
            i += 1
        else:
            j += 1
    return count


@njit(cache=True, nogil=True)
def _root(parents: NDArray[np.int64], part: int) -> int:
    while parents[part] != part:
        parents[part] = parents[parents[part]]
        part = parents[part]
    return part


@njit(cache=True, nogil=True)
def _link(parts: NDArray[np.int32], rows: tuple[int, int, int], parents: NDArray[np.int64]) -> tuple[int, int]:
    """Join the parts of a row with those of the row above that they touch, also by a corner; (touches, joins).

    Args:
        parts: (R, 2) int32.
        rows: First part above, first part here, and the one after the last.
        parents: (R,) int64; those of this row are set.
    """
    above, here, end = rows
    touches, joins, i = 0, 0, above
    for j in range(here, end):
        parents[j] = j
        while i < here and parts[i, 1] < parts[j, 0]:
            i += 1
        k = i
        while k < here and parts[k, 0] <= parts[j, 1]:
            one, two = _root(parents, k), _root(parents, j)
            touches += 1
            joins += one != two
            parents[two] = one
            k += 1
    return touches, joins


@njit(cache=True, nogil=True)
def _count_parts(masks: Runs, b: int, rows: tuple[int, int], scratch: _Scratch) -> int:
    """8-connected components of activation ∧ mask b between two pixel rows: parts less the joins between them."""
    above, count, joined = 0, 0, 0
    for y in range(rows[0], rows[1]):
        here = count
        count = _intersect(masks, b, y, scratch, here)
        joined += _link(scratch.parts, (above, here, count), scratch.parents)[1]
        above = here
    return count - joined


@njit(cache=True, nogil=True)
def _add_counts(masks: Runs, chosen: NDArray[np.int64], box: Box, scratch: _Scratch, counts: NDArray[np.int64]) -> None:
    """Add, over some masks, whether there is a component and how many there are."""
    for b in chosen:
        top, bottom = max(box[0], masks.boxes[b, 0]), min(box[1], masks.boxes[b, 1])
        if top < bottom and max(box[2], masks.boxes[b, 2]) < min(box[3], masks.boxes[b, 3]):
            found = _count_parts(masks, b, (top, bottom), scratch)
            counts[0] += min(found, 1)
            counts[1] += found


@njit(cache=True, nogil=True)
def _hull(masks: Runs, chosen: NDArray[np.int64], box: Box) -> Box:
    """The smallest box around a box and some masks."""
    for b in chosen:
        around = masks.boxes[b]
        box = (min(box[0], around[0]), max(box[1], around[1]), min(box[2], around[2]), max(box[3], around[3]))
    return box


@njit(cache=True, nogil=True)
def count_concepts(
    maps: NDArray[np.float32],
    limits: NDArray[np.float32],
    grid: CellGrid,
    masks: Runs,
    chosen: tuple[NDArray[np.int64], NDArray[np.int64]],
    counts: NDArray[np.int64],
) -> None:
    """Units and components of one image in its own mask, in all masks of other patients, and in its shifted mask.

    Args:
        maps: (U, h, w) float32, finite.
        limits: (U, 2) float32, the threshold and the next number above it.
        grid: From :func:`tailscope.dissection.cells.cell_grid`.
        masks: Of all images.
        chosen: The image's own mask followed by those of other patients, and the (S, 2) shifts (down, right).
        counts: (3, 2) int64, added to: own, others, shifted; units, components.
    """
    bank, shifts = chosen
    height = masks.first.shape[1] - 1
    moved, every = rolled(masks, bank[0], shifts), np.arange(len(shifts))
    hull = _hull(moved, every, _hull(masks, bank, (height, 0, masks.width, 0)))
    most = height * ((masks.width + 1) // 2)
    scratch = _Scratch(
        np.zeros(height + 1, np.int64),
        np.empty((most, 2), np.int32),
        np.empty((most, 2), np.int32),
        np.empty(most, np.int64),
        np.empty(maps.shape[2] + 1),
    )
    for u in range(len(maps)):
        box = _reach(maps[u], limits[u, 0], grid, hull)
        if box[0] >= box[1] or box[2] >= box[3] or _draw(maps[u], limits[u], grid, box, scratch) == 0:
            continue
        _add_counts(masks, bank[:1], box, scratch, counts[0])
        _add_counts(masks, bank[1:], box, scratch, counts[1])
        _add_counts(moved, every, box, scratch, counts[2])


@njit(cache=True, nogil=True)
def count_contours(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(B,) 8-connected regions plus their holes, of (B, H, W) bool masks.

    Runs joined where they touch are a graph with the topology of the region: it has as many independent cycles, that
    is touches less joins, as the region has holes.
    """
    runs = runs_of(masks)
    parents = np.empty(len(runs.spans), np.int64)
    contours = np.zeros(len(masks), np.int64)
    for b in range(len(masks)):
        above = runs.first[b, 0]
        for y in range(masks.shape[1]):
            here, end = runs.first[b, y], runs.first[b, y + 1]
            touches, joins = _link(runs.spans, (above, here, end), parents)
            contours[b] += (end - here) - joins + (touches - joins)
            above = here
    return contours
