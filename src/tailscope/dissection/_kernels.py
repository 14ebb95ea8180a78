"""Compiled loops: histograms of ordered floats, pixels above a threshold, connected components, deranged orders.

All of them run one thread, in a fixed order, without fast-math: the same input gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection.cells import CellGrid

_SIGN = 2147483648  # 2**31: the key of zero
_LOW_BITS = 18  # the keys' lower bits, resolved in the last pass; the 14 upper ones bracket the threshold
_HIGH_BINS = 1 << (32 - _LOW_BITS)
_LOW_BINS = 1 << _LOW_BITS
_MINUS_INFINITY = 0x00800000 >> _LOW_BITS  # upper bits of the key of -inf


@njit(cache=True)
def _key(value: np.float32) -> int:
    """Order-preserving integer in [0, 2**32) of a float32; both zeros have the same."""
    bits = int(np.int64(np.float32(value).view(np.int32)))
    return bits + _SIGN if bits >= 0 else -bits


@njit(cache=True)
def add_histogram(
    values: NDArray[np.float32], prefixes: NDArray[np.int64], shift: int, bits: int, histogram: NDArray[np.int64]
) -> None:
    """Count the keys that begin with a prefix by their next ``bits`` bits, in place.

    Args:
        values: (n, U, m) float32.
        prefixes: (U, T) the bits of the key above ``shift + bits``.
        shift: Bits below the ones counted.
        bits: Bits counted.
        histogram: (U, T, 2**bits) int64, added to.
    """
    last = (1 << bits) - 1
    for n in range(values.shape[0]):
        for u in range(values.shape[1]):
            for m in range(values.shape[2]):
                key = _key(values[n, u, m])
                for t in range(prefixes.shape[1]):
                    if key >> (shift + bits) == prefixes[u, t]:
                        histogram[u, t, (key >> shift) & last] += 1


@njit(cache=True)
def _corners(plane: NDArray[np.float32], r: int, c: int) -> tuple[np.float32, np.float32]:
    """Smallest and largest of a cell's four corners."""
    below, right = min(r + 1, plane.shape[0] - 1), min(c + 1, plane.shape[1] - 1)
    a, b, d, e = plane[r, c], plane[r, right], plane[below, c], plane[below, right]
    return min(min(a, b), min(d, e)), max(max(a, b), max(d, e))


@njit(cache=True)
def _area(grid: CellGrid, r: int, c: int) -> int:
    area: int = (grid.row_start[r + 1] - grid.row_start[r]) * (grid.column_start[c + 1] - grid.column_start[c])
    return area


@njit(cache=True)
def _largest_area(grid: CellGrid) -> int:
    rows, columns = 0, 0
    for r in range(len(grid.row_start) - 1):
        rows = max(rows, grid.row_start[r + 1] - grid.row_start[r])
    for c in range(len(grid.column_start) - 1):
        columns = max(columns, grid.column_start[c + 1] - grid.column_start[c])
    return rows * columns


@njit(cache=True)
def _interpolate(plane: NDArray[np.float32], r: int, c: int, grid: CellGrid, values: NDArray[np.float32]) -> int:
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


@njit(cache=True)
def _bracket(histogram: NDArray[np.int64], k: int) -> int:
    """The lowest bin above which at most ``k`` values lie."""
    above = 0
    for b in range(len(histogram) - 1, 0, -1):
        above += histogram[b]
        if above > k:
            return b
    return 0


@njit(cache=True)
def _count_keys(maps: NDArray[np.float32], chosen: int, grid: CellGrid, histogram: NDArray[np.int64]) -> None:
    """Histogram of all pixels' upper bits (``chosen`` < 0), or of the lower bits where the upper are ``chosen``."""
    values = np.empty(_largest_area(grid), np.float32)
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                low, high = _corners(maps[n], r, c)
                if chosen >= 0 and (_key(high) >> _LOW_BITS < chosen or _key(low) >> _LOW_BITS > chosen):
                    continue
                for p in range(_interpolate(maps[n], r, c, grid, values)):
                    key = _key(values[p])
                    if chosen < 0:
                        histogram[key >> _LOW_BITS] += 1
                    elif key >> _LOW_BITS == chosen:
                        histogram[key & (_LOW_BINS - 1)] += 1


@njit(cache=True)
def _edge(bin_number: int) -> np.float32:
    """The smallest float32 whose key's upper bits are ``bin_number``; -inf below the finite ones."""
    if bin_number <= _MINUS_INFINITY:
        return np.float32(-np.inf)
    offset = (bin_number << _LOW_BITS) - _SIGN
    bits = offset if offset >= 0 else _SIGN - offset
    return np.uint32(bits).view(np.float32)


@njit(cache=True)
def _guess(maps: NDArray[np.float32], k: int, grid: CellGrid) -> tuple[np.float32, np.float32]:
    """Values between which the (k+1)-th largest pixel probably lies: one pixel of each cell speaks for all of them."""
    histogram = np.zeros(_HIGH_BINS, np.int64)
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                area = _area(grid, r, c)
                if area == 0:
                    continue
                # Scattered by Knuth's multiplicative hash: the middle of a cell is smoother than its other pixels.
                place = (((n * maps.shape[1] + r) * maps.shape[2] + c) * 2654435761 & 0xFFFFFFFF) % area
                columns = grid.column_start[c + 1] - grid.column_start[c]
                down = grid.row_share[grid.row_start[r] + place // columns]
                across = grid.column_share[grid.column_start[c] + place % columns]
                below, beside = min(r + 1, maps.shape[1] - 1), min(c + 1, maps.shape[2] - 1)
                left = (1.0 - down) * maps[n, r, c] + down * maps[n, below, c]
                right = (1.0 - down) * maps[n, r, beside] + down * maps[n, below, beside]
                histogram[_key(np.float32((1.0 - across) * left + across * right)) >> _LOW_BITS] += area
    slack = k // 5 + 4 * _largest_area(grid)
    high = _edge(_bracket(histogram, k - slack) + 1) if k > slack else np.float32(np.inf)
    return _edge(_bracket(histogram, k + slack)), high


@njit(cache=True)
def _collect(
    maps: NDArray[np.float32], ends: tuple[np.float32, np.float32], grid: CellGrid, buffer: NDArray[np.float32]
) -> tuple[int, int]:
    """Put the pixels in (low, high] into the buffer; return how many lie above ``high``, and how many in between.

    A full buffer keeps counting, without storing.
    """
    low_end, high_end = ends
    values = np.empty(_largest_area(grid), np.float32)
    above, between = 0, 0
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                low, high = _corners(maps[n], r, c)
                if not high > low_end:
                    continue
                if low > high_end:
                    above += _area(grid, r, c)
                    continue
                for p in range(_interpolate(maps[n], r, c, grid, values)):
                    if values[p] > high_end:
                        above += 1
                    elif values[p] > low_end:
                        if between < len(buffer):
                            buffer[between] = values[p]
                        between += 1
    return above, between


@njit(cache=True)
def exact_order_key(maps: NDArray[np.float32], k: int, grid: CellGrid) -> int:
    """Key of the (k+1)-th largest upsampled value of one unit, without a guess, in memory that does not grow.

    Args:
        maps: (n, h, w) float32, finite.
        k: In [0, n·H·W).
        grid: From :func:`tailscope.dissection.cells.cell_grid`.
    """
    high, low = np.zeros(_HIGH_BINS, np.int64), np.zeros(_LOW_BINS, np.int64)
    _count_keys(maps, -1, grid, high)
    chosen = _bracket(high, k)
    _count_keys(maps, chosen, grid, low)
    return (chosen << _LOW_BITS) + _bracket(low, k - high[chosen + 1 :].sum())


@njit(cache=True)
def upsampled_order_keys(maps: NDArray[np.float32], k: int, grid: CellGrid) -> NDArray[np.int64]:
    """Key of the (k+1)-th largest upsampled value of each unit, exactly.

    A guessed bracket is verified by counting; where it fails, the answer comes from :func:`exact_order_key`.

    Args:
        maps: (U, n, h, w) float32, finite.
        k: In [0, n·H·W).
        grid: From :func:`tailscope.dissection.cells.cell_grid`.

    Returns:
        (U,) int64 keys.
    """
    keys = np.empty(len(maps), np.int64)
    buffer = np.empty(k + 65536, np.float32)
    for u in range(len(maps)):
        low_end, high_end = _guess(maps[u], k, grid)
        above, between = _collect(maps[u], (low_end, high_end), grid, buffer)
        if above <= k < above + between and between <= len(buffer):
            place = between - 1 - (k - above)
            keys[u] = _key(np.partition(buffer[:between], place)[place])
        elif above + between <= k and low_end == maps[u].min():
            keys[u] = _key(low_end)  # a plateau at the minimum, as after a ReLU, reaches down to rank k
        else:
            keys[u] = exact_order_key(maps[u], k, grid)
    return keys


@njit(cache=True)
def _count_mixed(
    plane: NDArray[np.float32],
    place: tuple[int, int, np.float32],
    grid: CellGrid,
    values: NDArray[np.float32],
    hits: NDArray[np.int64],
) -> int:
    """Find the pixels of a cell above the threshold: their (row, column) go to ``hits``; return their number."""
    r, c, threshold = place
    _interpolate(plane, r, c, grid, values)
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
    values = np.empty(_largest_area(grid), np.float32)
    hits = np.empty((len(values), 2), np.int64)
    local = np.empty((maps.shape[2], maps.shape[3], table.shape[1]), np.int32)
    for n in range(maps.shape[0]):
        _gather_sums(sums, table[n], local)
        for u in range(maps.shape[1]):
            plane = maps[n, u]
            for r in range(maps.shape[2]):
                for c in range(maps.shape[3]):
                    low, high = _corners(plane, r, c)
                    area = _area(grid, r, c)
                    if not high > thresholds[u] or area == 0:
                        continue
                    count = area
                    if not low > thresholds[u]:
                        count = _count_mixed(plane, (r, c, thresholds[u]), grid, values, hits)
                    if count > 0:
                        activated[n, u] += count
                        _add_cell(bank, (table[n], local[r, c]), hits, (count, area), inside[n, u])
    return activated, inside


@njit(cache=True)
def _draw_active(
    plane: NDArray[np.float32],
    threshold: np.float32,
    grid: CellGrid,
    active: NDArray[np.bool_],
) -> tuple[int, int, int, int]:
    """Mark the pixels above the threshold; return the box around their cells (top, bottom, left, right)."""
    values = np.empty(_largest_area(grid), np.float32)
    hits = np.empty((len(values), 2), np.int64)
    top, bottom, left, right = active.shape[0], 0, active.shape[1], 0
    for r in range(plane.shape[0]):
        for c in range(plane.shape[1]):
            if not _corners(plane, r, c)[1] > threshold:
                continue
            for p in range(_count_mixed(plane, (r, c, threshold), grid, values, hits)):
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


@njit(cache=True)
def swap_where_allowed(order: NDArray[np.int64], patients: NDArray[np.int64], pairs: NDArray[np.int64]) -> None:
    """Swap entries of a derangement in place, pair by pair, wherever it stays a derangement between patients."""
    for p in range(len(pairs)):
        a, b = pairs[p]
        if patients[order[b]] != patients[a] and patients[order[a]] != patients[b]:
            order[a], order[b] = order[b], order[a]
