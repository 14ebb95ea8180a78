"""Compiled loops for order statistics: histograms of ordered floats, and the k-th largest upsampled value.

All of it runs in a fixed order, without fast-math, and is an order statistic or a count: neither blocks nor threads
change it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import (
    area_of,
    between,
    corners,
    interpolate,
    largest_area,
    row_ends,
    scan,
)
from tailscope.dissection.cells import CellGrid
from tailscope.dissection.threads import in_blocks

_SIGN = 2147483648  # 2**31: the key of zero
_LOW_BITS = 18  # the keys' lower bits, resolved in the last pass; the 14 upper ones bracket the threshold
_HIGH_BINS = 1 << (32 - _LOW_BITS)
_LOW_BINS = 1 << _LOW_BITS
_VALUES_PER_BLOCK = 2**16  # below it, a thread costs more than it saves
_LEAST_KEY = 0x00800001  # of the least finite float32
_MINUS_INFINITY = 0x00800000 >> _LOW_BITS  # upper bits of the key of -inf


@njit(cache=True, nogil=True)
def _key(value: np.float32) -> int:
    """Order-preserving integer in [0, 2**32) of a float32; both zeros have the same."""
    bits = int(np.int64(np.float32(value).view(np.int32)))
    return bits + _SIGN if bits >= 0 else -bits


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _bracket(histogram: NDArray[np.int64], k: int) -> int:
    """The lowest bin above which at most ``k`` values lie."""
    above = 0
    for b in range(len(histogram) - 1, 0, -1):
        above += histogram[b]
        if above > k:
            return b
    return 0


@njit(cache=True, nogil=True)
def _count_keys(maps: NDArray[np.float32], chosen: int, grid: CellGrid, histogram: NDArray[np.int64]) -> None:
    """Histogram of all pixels' upper bits (``chosen`` < 0), or of the lower bits where the upper are ``chosen``."""
    values = np.empty(largest_area(grid), np.float32)
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                low, high = corners(maps[n], r, c)
                if chosen >= 0 and (_key(high) >> _LOW_BITS < chosen or _key(low) >> _LOW_BITS > chosen):
                    continue
                for p in range(interpolate(maps[n], r, c, grid, values)):
                    key = _key(values[p])
                    if chosen < 0:
                        histogram[key >> _LOW_BITS] += 1
                    elif key >> _LOW_BITS == chosen:
                        histogram[key & (_LOW_BINS - 1)] += 1


@njit(cache=True, nogil=True)
def _edge(bin_number: int) -> np.float32:
    """The smallest float32 whose key's upper bits are ``bin_number``; -inf below the finite ones."""
    if bin_number <= _MINUS_INFINITY:
        return np.float32(-np.inf)
    offset = (bin_number << _LOW_BITS) - _SIGN
    bits = offset if offset >= 0 else _SIGN - offset
    return np.uint32(bits).view(np.float32)


@njit(cache=True, nogil=True)
def _guess(maps: NDArray[np.float32], k: int, grid: CellGrid) -> tuple[np.float32, np.float32]:
    """Values between which the (k+1)-th largest pixel probably lies: one pixel of each cell speaks for all of them."""
    histogram = np.zeros(_HIGH_BINS, np.int64)
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                area = area_of(grid, r, c)
                if area == 0:
                    continue
                # Scattered by Knuth's multiplicative hash: the middle of a cell is smoother than its other pixels.
                place = (((n * maps.shape[1] + r) * maps.shape[2] + c) * 2654435761 & 0xFFFFFFFF) % area
                columns = grid.column_start[c + 1] - grid.column_start[c]
                down = grid.row_share[grid.row_start[r] + place // columns]
                across = grid.column_share[grid.column_start[c] + place % columns]
                left, right = row_ends(maps[n], r, c, down)
                histogram[_key(np.float32(between(left, right, across))) >> _LOW_BITS] += area
    slack = k // 5 + 4 * largest_area(grid)
    high = _edge(_bracket(histogram, k - slack) + 1) if k > slack else np.float32(np.inf)
    return _edge(_bracket(histogram, k + slack)), high


@njit(cache=True, nogil=True)
def _collect(
    maps: NDArray[np.float32], ends: tuple[np.float32, np.float32], grid: CellGrid, buffer: NDArray[np.float32]
) -> tuple[int, int]:
    """Put the pixels in (low, high] into the buffer; return how many lie above ``high``, and how many in between.

    A full buffer keeps counting, without storing.
    """
    low_end, high_end = ends
    values = np.empty(largest_area(grid), np.float32)
    above, between = 0, 0
    for n in range(maps.shape[0]):
        for r in range(maps.shape[1]):
            for c in range(maps.shape[2]):
                low, high = corners(maps[n], r, c)
                if not high > low_end:
                    continue
                if low > high_end:
                    above += area_of(grid, r, c)
                    continue
                for p in range(interpolate(maps[n], r, c, grid, values)):
                    if values[p] > high_end:
                        above += 1
                    elif values[p] > low_end:
                        if between < len(buffer):
                            buffer[between] = values[p]
                        between += 1
    return above, between


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _order_keys(
    maps: NDArray[np.float32], k: int, grid: CellGrid, block: tuple[int, int], keys: NDArray[np.int64]
) -> None:
    buffer = np.empty(k + 65536, np.float32)
    for u in range(block[0], block[1]):
        low_end, high_end = _guess(maps[u], k, grid)
        above, between_ends = _collect(maps[u], (low_end, high_end), grid, buffer)
        if above <= k < above + between_ends and between_ends <= len(buffer):
            place = between_ends - 1 - (k - above)
            keys[u] = _key(np.partition(buffer[:between_ends], place)[place])
        elif above + between_ends <= k and low_end == maps[u].min():
            keys[u] = _key(low_end)  # a plateau at the minimum, as after a ReLU, reaches down to rank k
        else:
            keys[u] = exact_order_key(maps[u], k, grid)


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
    least = -(-_VALUES_PER_BLOCK // maps[0].size)
    in_blocks(lambda first, last: _order_keys(maps, k, grid, (first, last), keys), len(maps), least)
    return keys


@njit(cache=True, nogil=True)
def _offer(
    values: NDArray[np.float32],
    u: int,
    keep: int,
    kept: NDArray[np.float32],
    state: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> None:
    """Note the values that may be among a unit's largest; once its row is full, drop all but those."""
    filled, level = state
    for m in range(len(values)):
        if values[m] > level[u]:
            kept[u, filled[u]] = values[m]
            filled[u] += 1
            if filled[u] == kept.shape[1]:
                place = kept.shape[1] - keep
                parted = np.partition(kept[u], place)
                kept[u, :keep] = parted[place:]
                filled[u], level[u] = keep, parted[place]


@njit(cache=True, nogil=True)
def keep_largest(
    values: NDArray[np.float32],
    block: tuple[int, int, int],
    kept: NDArray[np.float32],
    state: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> bool:
    """Offer the values of a block of units to those kept; False if a value is not finite.

    Args:
        values: (n, U, m) float32.
        block: First unit, last unit, and how many of the largest must stay.
        kept: (U, more than that) float32, changed.
        state: (U,) how many are noted, and (U,) the value that others must exceed; changed.
    """
    first, last, keep = block
    above = np.empty(values.shape[1], np.int64)
    for n in range(len(values)):
        if scan(values, n, (first, last), state[1], above) > 0:
            return False
        for u in range(first, last):
            if above[u] > 0:
                _offer(values[n, u], u, keep, kept, state)
    return True


@njit(cache=True, nogil=True)
def merge_largest(
    other: tuple[NDArray[np.float32], NDArray[np.int64]],
    keep: int,
    kept: NDArray[np.float32],
    state: tuple[NDArray[np.int64], NDArray[np.float32]],
) -> None:
    """Offer what another one has kept: its (U, ·) values, of which (U,) are noted."""
    for u in range(len(kept)):
        _offer(other[0][u, : other[1][u]], u, keep, kept, state)


@njit(cache=True, nogil=True)
def ranked(kept: NDArray[np.float32], filled: NDArray[np.int64], k: int) -> NDArray[np.float32]:
    """The (k+1)-th largest of the values noted for each unit."""
    found = np.empty(len(kept), np.float32)
    for u in range(len(kept)):
        place = filled[u] - 1 - k
        found[u] = np.partition(kept[u, : filled[u]], place)[place]
    return found


@njit(cache=True, nogil=True)
def add_bins(values: NDArray[np.float32], block: tuple[int, int], shift: int, bins: NDArray[np.integer]) -> bool:
    """Count the values of a block of units by the upper bits of their keys; False if a value is not finite.

    The bins are half open at their lower end above zero and at their upper end below it, and zero has one for itself:
    after a ReLU most values are zero.

    Args:
        values: (n, U, m) float32.
        block: First and last unit.
        shift: Lower bits of the key that are left out.
        bins: (U, bins) from that of the least finite number up, added to.
    """
    levels, above = np.zeros(values.shape[1], np.float32), np.empty(values.shape[1], np.int64)
    least = _LEAST_KEY >> shift
    for n in range(len(values)):
        if scan(values, n, block, levels, above) > 0:
            return False
        for u in range(block[0], block[1]):
            for m in range(values.shape[2]):
                key = _key(values[n, u, m])
                bins[u, (((key - 1) >> shift) + 1 if key > _SIGN else key >> shift) - least] += 1
    return True
