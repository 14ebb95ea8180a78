"""Counting over pixels, map by map; every sum is exact or has one fixed order, so batches and threads change nothing.

Masks come as :class:`~tailscope.alignment.layout.Bits`; ``members`` names the masks that each map is scored on: (K, n),
or (1, n) for all K maps. All kernels let go of the interpreter's lock, so chunks of maps run side by
side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.alignment.layout import Bits, Corners, Levels

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pixels = NDArray[np.int32]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

_ALL, _NONE, _ONE, _SIX = np.uint64(2**64 - 1), np.uint64(0), np.uint64(1), np.uint64(6)
_PAIRS, _FOURS, _EIGHTS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES, _TWO, _FOUR, _TOP = np.uint64(0x0101010101010101), np.uint64(2), np.uint64(4), np.uint64(56)
_SIGN = np.uint64(2**63)
_MAGNITUDE, _INFINITE = np.int64(2**63 - 1), np.int64(0x7FF0000000000000)
_FREE = np.uint64(29)  # low bits that a float32 leaves 0 in a float64
_DIGIT, _DIGITS = 9, 4  # bits of a sorting digit, and digits of the bits above
_NEGLIGIBLE = 1e-18  # of the weight so far: what is left of a falling hypergeometric tail cannot move a float64


@njit(cache=True, nogil=True)
def bit_count(word: np.uint64) -> np.uint64:
    """How many bits of a word are set (the compiler makes one instruction of it)."""
    word = word - ((word >> _ONE) & _PAIRS)
    word = (word & _FOURS) + ((word >> _TWO) & _FOURS)
    word = (word + (word >> _FOUR)) & _EIGHTS
    return (word * _BYTES) >> _TOP


@njit(cache=True, nogil=True)
def shared_bits(bitmap: Words, bits: Bits, mask: int) -> Any:
    """How many pixels a bitmap of the frame shares with one mask."""
    words = bits.words[bits.starts[mask] : bits.starts[mask + 1]]
    window = bitmap[bits.first[mask] : bits.first[mask] + words.size]
    total = _NONE
    for at in range(words.size):
        total += bit_count(words[at] & window[at])
    return np.int64(total)


@njit(cache=True, nogil=True)
def set_bit(bitmap: Words, pixel: int) -> None:
    """Mark one pixel."""
    place = np.uint64(pixel)
    bitmap[np.int64(place >> _SIX)] |= _ONE << (place & np.uint64(63))


@njit(cache=True, nogil=True)
def mask_pixels(bits: Bits, mask: int) -> Pixels:
    """The pixels of one mask, ascending."""
    pixels = np.empty(bits.areas[mask], dtype=np.int32)
    found = 0
    for at in range(bits.starts[mask], bits.starts[mask + 1]):
        word = bits.words[at]
        base = (bits.first[mask] + at - bits.starts[mask]) * 64
        while word != _NONE:
            rest = word & (word - _ONE)
            pixels[found] = base + np.int64(bit_count((word ^ rest) - _ONE))
            found += 1
            word = rest
    return pixels


@njit(cache=True, nogil=True)
def mask_corners(bits: Bits, height: int, width: int) -> Corners:
    """The corners of every mask: where the mixed difference of the mask over rows and columns is not zero."""
    places, signs = np.empty(64, dtype=np.int32), np.empty(64, dtype=np.int64)
    starts = np.zeros(bits.areas.size + 1, dtype=np.int64)
    padded = np.zeros((height + 2, width + 2), dtype=np.int64)
    found = 0
    for mask in range(bits.areas.size):
        pixels = mask_pixels(bits, mask)
        left, right = width, 0
        for pixel in pixels:
            padded[pixel // width + 1, pixel % width + 1] = 1
            left, right = min(left, pixel % width), max(right, pixel % width + 1)
        top, bottom = (pixels[0] // width, pixels[-1] // width + 1) if pixels.size else (0, -1)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                sign = padded[row + 1, column + 1] - padded[row, column + 1] - padded[row + 1, column]
                sign += padded[row, column]
                if sign != 0:
                    if found == places.size:
                        places, signs = np.concatenate((places, places)), np.concatenate((signs, signs))
                    places[found], signs[found] = row * (width + 1) + column, sign
                    found += 1
        padded[top + 1 : bottom + 1, left + 1 : right + 1] = 0
        starts[mask + 1] = found
    return Corners(starts, places[:found].copy(), signs[:found].copy())


@njit(cache=True, nogil=True)
def level_out(maps: Floats, rounding: float) -> tuple[Floats, Floats, Flags]:
    """Bring (K, P) maps in place to magnitudes of 1 or less by powers of two, and degenerate maps to 1 everywhere.

    Args:
        maps: Changed.
        rounding: A range up to this share of the largest magnitude counts as none.

    Returns:
        lowest: (K,) smallest value after the change.
        peak: (K,) largest.
        degenerate: (K,).
    """
    count, size = maps.shape
    lowest, peak, degenerate = np.ones(count), np.ones(count), np.ones(count, dtype=np.bool_)
    ends = np.empty(2, dtype=np.int64)
    for row in range(count):
        patterns = maps[row].view(np.int64)
        low, high = _MAGNITUDE, -_MAGNITUDE
        for at in range(size):  # float64 in the order of their values as integers, so that the loop runs in lanes
            ordered = patterns[at] ^ ((patterns[at] >> 63) & _MAGNITUDE)
            low, high = min(low, ordered), max(high, ordered)
        ends[0], ends[1] = low ^ ((low >> 63) & _MAGNITUDE), high ^ ((high >> 63) & _MAGNITUDE)
        if max(ends[0] & _MAGNITUDE, ends[1] & _MAGNITUDE) < _INFINITE:
            smallest, largest = ends.view(np.float64)
            exponent = math.frexp(max(abs(smallest), abs(largest)))[1]
            # Two factors: one alone may leave the range of float64.
            near, far = math.ldexp(1.0, -(exponent // 2)), math.ldexp(1.0, exponent // 2 - exponent)
            bottom, top = smallest * near * far, largest * near * far
            degenerate[row] = top <= 0 or top - bottom <= rounding * max(abs(bottom), abs(top))
        if degenerate[row]:
            maps[row] = 1.0
        else:
            lowest[row], peak[row] = bottom, top
            for at in range(size):
                maps[row, at] = maps[row, at] * near * far + 0.0  # and −0 becomes 0, which sorts as one value
    return lowest, peak, degenerate


@njit(cache=True, nogil=True)
def positive_shares(maps: Floats, bits: Bits, members: Integers, width: int) -> Floats:
    """(K, n) share of the positive values of each map inside each of its masks; NaN for an empty mask."""
    values = np.full((maps.shape[0], members.shape[1]), np.nan)
    for row in range(maps.shape[0]):
        whole = 0.0
        for begin in range(0, maps.shape[1], width):  # row by row of the frame, which also keeps the rounding small
            part = 0.0
            for at in range(begin, begin + width):
                part += max(maps[row, at], 0.0)
            whole += part
        for column in range(members.shape[1]):
            mask = members[row % members.shape[0], column]
            if bits.areas[mask] > 0:
                inside = 0.0
                for pixel in mask_pixels(bits, mask):
                    inside += max(maps[row, pixel], 0.0)
                values[row, column] = inside / whole
    return values


@njit(cache=True, nogil=True)
def counts_down_to(maps: Floats, limits: Floats, bits: Bits, members: Integers) -> tuple[Integers, Integers]:
    """Pixels of each map at its limit or above: (K, n) inside each of its masks, and (K,) all."""
    inside = np.zeros((maps.shape[0], members.shape[1]), dtype=np.int64)
    total = np.zeros(maps.shape[0], dtype=np.int64)
    for row in range(maps.shape[0]):
        bitmap = np.zeros((maps.shape[1] + 63) // 64, dtype=np.uint64)
        for at in range(maps.shape[1]):
            if maps[row, at] >= limits[row]:
                set_bit(bitmap, at)
                total[row] += 1
        for column in range(members.shape[1]):
            inside[row, column] = shared_bits(bitmap, bits, members[row % members.shape[0], column])
    return inside, total


@njit(cache=True, nogil=True)
def write_levels(values: Floats, row: int, levels: Levels, out: Integers) -> np.int64:
    """Write the levels of one map in ``levels.unit`` and return their sum."""
    total = np.int64(0)
    unit, offset, spread = levels.unit, levels.offset[row], levels.spread[row]
    if not math.isnan(levels.flat[row]):
        out[:] = np.int64(np.rint(levels.flat[row] * unit))
        return np.int64(out[0] * out.size)
    for at in range(out.size):
        level = (values[at] - offset) / spread
        if not math.isnan(levels.threshold):
            level = 1.0 if level >= levels.threshold else 0.0
        # A level that is no number has no whole part; what is made of such a map becomes NaN elsewhere.
        out[at] = 0 if math.isnan(level) else np.int64(np.rint(level * unit))
        total += out[at]
    return total


@njit(cache=True, nogil=True)
def summed_area(levels: Integers, width: int, table: Integers) -> None:
    """Write the (H + 1, W + 1) sums of ``levels`` above and to the left of each grid point."""
    for row in range(table.shape[0] - 1):
        running = 0
        for column in range(width):
            running += levels[row * width + column]
            table[row + 1, column + 1] = table[row, column + 1] + running


@njit(cache=True, nogil=True)
def level_sums(
    maps: Floats, levels: Levels, bits: Bits, corners: Corners, members: Integers, width: int
) -> tuple[Floats, Floats]:
    """Sums of levels: (K, n) inside each mask, read from a summed-area table where there are corners, and (K,) all.

    Both ways add the same integers, so they agree to the last bit.
    """
    size = maps.shape[1]
    inside, whole = np.zeros((maps.shape[0], members.shape[1])), np.zeros(maps.shape[0])
    level, table = np.empty(size, dtype=np.int64), np.zeros((size // width + 1, width + 1), dtype=np.int64)
    flat_table, by_corners = table.ravel(), corners.starts.size > 1
    for row in range(maps.shape[0]):
        whole[row] = write_levels(maps[row], row, levels, level) / levels.unit
        if by_corners:
            summed_area(level, width, table)
        for column in range(members.shape[1]):
            mask = members[row % members.shape[0], column]
            total = 0
            if by_corners:
                for at in range(corners.starts[mask], corners.starts[mask + 1]):
                    total += corners.signs[at] * flat_table[corners.places[at]]
            else:
                for pixel in mask_pixels(bits, mask):
                    total += level[pixel]
            inside[row, column] = total / levels.unit
    return inside, whole


@njit(cache=True, nogil=True)
def tie_ends(falling: Floats, tolerance: float, ends: Pixels) -> None:
    """Write how many of the ``falling`` values stand in groups of ties up to and with each, and leave the rest 0.

    A group holds all values down to a tolerance below its largest.
    """
    count, top = 0, falling[0]
    for place in range(falling.size):
        if falling[place] < top - tolerance:
            ends[count] = place
            count += 1
            top = falling[place]
    ends[count] = falling.size


@njit(cache=True, nogil=True)
def rank_single(maps: Floats, tolerances: Floats) -> tuple[Pixels, Pixels]:
    """Rank the pixels of (K, P) maps that are float32 but for a power of two: a radix sort.

    Such float64 leave the lowest 29 bits free, so that the pixel's number travels with its value.

    Returns:
        order: (K, P) int32 pixels by falling value, equal ones by rising pixel.
        ends: (K, P) int32, see :func:`tie_ends`.
    """
    order, ends = np.empty(maps.shape, dtype=np.int32), np.zeros(maps.shape, dtype=np.int32)
    size, last = maps.shape[1], np.uint64((1 << _DIGIT) - 1)
    keys, moved = np.empty(size, dtype=np.uint64), np.empty(size, dtype=np.uint64)
    heights, free = np.empty((_DIGITS, 1 << _DIGIT), dtype=np.int64), np.empty(1 << _DIGIT, dtype=np.int64)
    for row in range(maps.shape[0]):
        patterns = maps[row].view(np.uint64)
        heights[:] = 0
        for at in range(size):
            # Patterns of positive numbers rise with them, those of negative numbers fall.
            key = patterns[at] if patterns[at] & _SIGN else patterns[at] ^ (_ALL ^ _SIGN)
            keys[at] = ((key >> _FREE) << _FREE) | np.uint64(at)
            for digit in range(_DIGITS):
                heights[digit, np.int64((key >> (_FREE + np.uint64(digit * _DIGIT))) & last)] += 1
        for digit in range(_DIGITS):
            if heights[digit].max() < size:
                free[0] = 0
                free[1:] = np.cumsum(heights[digit])[:-1]
                for at in range(size):
                    value = np.int64((keys[at] >> (_FREE + np.uint64(digit * _DIGIT))) & last)
                    moved[free[value]] = keys[at]
                    free[value] += 1
                keys, moved = moved, keys
        for at in range(size):
            order[row, at] = np.int32(keys[at] & ((_ONE << _FREE) - _ONE))
            key = (keys[at] >> _FREE) << _FREE
            moved[at] = key if key & _SIGN else key ^ (_ALL ^ _SIGN)
        tie_ends(moved.view(np.float64), tolerances[row], ends[row])
    return order, ends


@njit(cache=True, nogil=True)
def top_area_ious(order: Pixels, ends: Pixels, bits: Bits, members: Integers) -> Floats:
    """(K, n) expected IoU of the |B| largest pixels of each map with each of its masks B; NaN for an empty mask.

    Args:
        order: (K, P) from :func:`rank_single`.
        ends: (K, P), each row from :func:`tie_ends`.
        bits: The masks.
        members: By rising area in each row, so that two bitmaps of the largest pixels only ever grow.
    """
    values = np.full((order.shape[0], members.shape[1]), np.nan)
    for row in range(order.shape[0]):
        words = (order.shape[1] + 63) // 64
        above, through = np.zeros(words, dtype=np.uint64), np.zeros(words, dtype=np.uint64)
        cut, over, down_to = 0, 0, 0
        for column in range(members.shape[1]):
            mask = members[row % members.shape[0], column]
            area = bits.areas[mask]
            if area == 0:
                continue
            while ends[row, cut] < area:
                cut += 1
            while down_to < ends[row, cut]:
                set_bit(through, order[row, down_to])
                down_to += 1
            hits = shared_bits(through, bits, mask)
            if down_to == area:
                values[row, column] = hits / (2 * area - hits)
                continue
            begin = ends[row, cut - 1] if cut > 0 else 0
            while over < begin:
                set_bit(above, order[row, over])
                over += 1
            sure = shared_bits(above, bits, mask)
            values[row, column] = expected_iou(area, sure, area - begin, hits - sure, down_to - begin)
    return values


@njit(cache=True, nogil=True)
def expected_iou(area: int, sure: int, draws: int, marked: int, tied: int) -> float:
    """Mean IoU of two sets of ``area`` pixels that share ``sure`` and a hypergeometric number of pixels more.

    Args:
        area: |B|.
        sure: Pixels of B above the cut.
        draws: Pixels still to be drawn at the cut.
        marked: Tied pixels that lie in B.
        tied: All tied pixels.
    """
    low, high = max(0, draws - (tied - marked)), min(draws, marked)
    mode = min(max(((draws + 1) * (marked + 1)) // (tied + 2), low), high)
    weight = 1.0  # relative to the mode, where nothing underflows that matters
    weights, total = 0.0, 0.0
    for hits in range(mode, high + 1):
        weights += weight
        total += weight * (sure + hits) / (2 * area - sure - hits)
        weight *= (marked - hits) * (draws - hits) / ((hits + 1.0) * (tied - marked - draws + hits + 1))
        if weight < _NEGLIGIBLE * weights:
            break
    weight = 1.0
    for hits in range(mode, low, -1):
        weight *= hits * (tied - marked - draws + hits) / ((marked - hits + 1.0) * (draws - hits + 1.0))
        weights += weight
        total += weight * (sure + hits - 1) / (2 * area - sure - hits + 1)
        if weight < _NEGLIGIBLE * weights:
            break
    return total / weights


@njit(cache=True, nogil=True)
def average_precisions(order: Pixels, ends: Pixels, bits: Bits, members: Integers) -> Floats:
    """(K, n) average precision of each ranking for each of its masks; tied pixels enter together. NaN where empty.

    Args:
        order: (K, P) from :func:`rank_single`.
        ends: (K, P), each row from :func:`tie_ends`.
        bits: The masks.
        members: See above.
    """
    values = np.full((order.shape[0], members.shape[1]), np.nan)
    place, end_of = np.empty(order.shape[1], dtype=np.int32), np.empty(order.shape[1], dtype=np.int32)
    bitmap = np.zeros((order.shape[1] + 63) // 64, dtype=np.uint64)  # of the mask's pixels by their place in the order
    for row in range(order.shape[0]):
        group = 0
        for at in range(order.shape[1]):
            group += at == ends[row, group]
            place[order[row, at]], end_of[at] = at, ends[row, group]
        for column in range(members.shape[1]):
            mask = members[row % members.shape[0], column]
            for pixel in mask_pixels(bits, mask):
                set_bit(bitmap, place[pixel])
            total, found, held, end = 0.0, 0, 0, 1  # found of B so far, held of them not yet counted, down to end
            for at in range(bitmap.size):
                word = bitmap[at]
                bitmap[at] = _NONE
                while word != _NONE:
                    rest = word & (word - _ONE)
                    next_end = end_of[at * 64 + np.int64(bit_count((word ^ rest) - _ONE))]
                    if next_end != end:
                        total += held * found / end
                        held, end = 0, next_end
                    found, held = found + 1, held + 1
                    word = rest
            if found > 0:
                values[row, column] = (total + held * found / end) / found
    return values


@njit(cache=True, nogil=True)
def root(parents: Integers, member: int) -> int:
    """The first run of the component that ``member`` belongs to."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@njit(cache=True, nogil=True)
def component_boxes(marked: Flags) -> Integers:
    """(C, 4) bounding boxes (top, left, bottom, right; the last two exclusive) of the 8-connected components.

    Args:
        marked: (H, W); components come in reading order of their first pixels.
    """
    height, width = marked.shape
    boxes = np.empty((height * ((width + 1) // 2), 4), dtype=np.int64)  # of runs, then of components
    parents = np.arange(boxes.shape[0])
    count, above, begin = 0, 0, 0  # runs so far; the runs of the row above are above … begin − 1
    for row in range(height):
        column, other = 0, above
        here = count
        while column < width:
            if not marked[row, column]:
                column += 1
                continue
            left = column
            while column < width and marked[row, column]:
                column += 1
            boxes[count] = (row, left, row + 1, column)
            while other < begin and boxes[other, 3] < left:
                other += 1
            touching = other
            while touching < begin and boxes[touching, 1] <= column:
                one, two = root(parents, touching), root(parents, count)
                parents[max(one, two)] = min(one, two)
                touching += 1
            count += 1
        above, begin = here, count
    for run in range(count):
        top = root(parents, run)
        boxes[top, 1], boxes[top, 3] = min(boxes[top, 1], boxes[run, 1]), max(boxes[top, 3], boxes[run, 3])
        boxes[top, 2] = max(boxes[top, 2], boxes[run, 2])
    kept: Integers = boxes[:count][parents[:count] == np.arange(count)]
    return kept


@njit(cache=True, nogil=True)
def best_overlaps(
    starts: Integers, boxes: Integers, drawn_starts: Integers, drawn: Integers, members: Integers, over_union: bool
) -> Floats:
    """(K, n) largest overlap of any box of a map with any box of a mask; NaN where the mask has none.

    The overlap is the intersection over the union, or over the box of the map.
    """
    values = np.full((starts.size - 1, members.shape[1]), np.nan)
    for row in range(starts.size - 1):
        for column in range(members.shape[1]):
            mask = members[row % members.shape[0], column]
            best = np.nan if drawn_starts[mask] == drawn_starts[mask + 1] else 0.0
            for own in range(drawn_starts[mask], drawn_starts[mask + 1]):
                top, left, bottom, right = drawn[own]
                for at in range(starts[row], starts[row + 1]):
                    high = min(bottom, boxes[at, 2]) - max(top, boxes[at, 0])
                    wide = min(right, boxes[at, 3]) - max(left, boxes[at, 1])
                    if high > 0 and wide > 0:
                        below = (boxes[at, 2] - boxes[at, 0]) * (boxes[at, 3] - boxes[at, 1])
                        below += ((bottom - top) * (right - left) - high * wide) if over_union else 0
                        best = max(best, high * wide / below)
            values[row, column] = best
    return values


@njit(cache=True, nogil=True)
def means_of_others(scores: Floats, owner: Integers, own: Integers, counted: Flags) -> Floats:
    """(K,) mean of the counted, defined scores (K, n) over the columns of other owners; NaN where there is none."""
    means = np.full(scores.shape[0], np.nan)
    for row in range(scores.shape[0]):
        total, count = 0.0, 0
        for column in range(scores.shape[1]):
            score = scores[row, column]
            if counted[column] and owner[column] != own[row] and not math.isnan(score):
                total += score
                count += 1
        if count > 0:
            means[row] = total / count
    return means
