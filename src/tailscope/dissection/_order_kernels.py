"""Compiled loops for order statistics: histograms of ordered floats, and the k-th largest upsampled value.

All of it runs one thread, in a fixed order, without fast-math: the same input gives the same bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.dissection._cell_kernels import area_of, corners, interpolate, largest_area
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
                area = area_of(grid, r, c)
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
    slack = k // 5 + 4 * largest_area(grid)
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
