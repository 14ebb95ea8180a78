"""Run lengths in the dialects that data sets are published in, to and from the canonical ``rle`` geometry.

All dialects run down the columns, first column first.

============  ====================================================================================================
dialect       text
============  ====================================================================================================
COCO counts   background, foreground, background, …: a list of numbers, or the same packed into letters
relative      pairs ``gap length``; the gap counts from the end of the run before, from 0 at the first (SIIM-ACR)
absolute      pairs ``start length``; the start counts from the first pixel, which is 1 (most Kaggle competitions)
============  ====================================================================================================

A relative text that is read as absolute gives another mask without any error, so that no dialect is ever guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size

Rle = dict[str, list[int]]

_FIRST_LETTER = 48  # "0": six bits per letter, five of them a number's, lowest five first
_MORE = 0x20
_SIGN = 0x10
_MOST_LETTERS = 7  # 35 bits: more than any raster has pixels
_SHOWN = 40


def coco_counts(text: str | bytes) -> list[int]:
    """The counts that COCO's letters stand for: background, foreground, background and so on.

    From the fourth on, a count is written as its difference from the one two before it.

    Args:
        text: Letters "0" to "o".

    Raises:
        DataError: A letter is none of these, the text ends within a number, or a run is negative.

    Source: pycocotools ``common/maskApi.c``, ``rleFrString``.

    Example:
        >>> coco_counts("03500")
        [0, 3, 5, 3, 5]
    """
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    counts: list[int] = []
    for number in _numbers(text):
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        if counts[-1] < 0:
            raise DataError(
                f"run lengths {_short(text)} hold the run {counts[-1]}; expected 0 or more: the text was cut or changed"
            )
    return counts


def coco_string(counts: Iterable[int]) -> str:
    """COCO's letters for counts; the inverse of :func:`coco_counts`.

    Source: pycocotools ``common/maskApi.c``, ``rleToString``.

    Example:
        >>> coco_string([0, 3, 5, 3, 5])
        '03500'
    """
    counts, letters = list(counts), []
    for place, count in enumerate(counts):
        rest = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            five, rest = rest & 0x1F, rest >> 5
            more = rest != (-1 if five & _SIGN else 0)
            letters.append(chr(_FIRST_LETTER + (five | _MORE if more else five)))
    return "".join(letters)


def rle_from_coco(segmentation: Mapping[str, Any]) -> Rle:
    """Canonical run lengths of COCO's ``{"size": [height, width], "counts": …}``.

    Args:
        segmentation: ``counts`` as letters or as a list of whole numbers.

    Raises:
        DataError: Size or counts are missing, broken, or do not fit each other.

    Example:
        >>> rle_from_coco({"size": [2, 2], "counts": "13"})
        {'size': [2, 2], 'counts': [1, 3]}
    """
    if not {"size", "counts"} <= set(segmentation):
        raise DataError(f"run lengths need `size` and `counts`; got {', '.join(map(str, segmentation)) or 'neither'}")
    size, counts = _checked_size(segmentation["size"]), segmentation["counts"]
    if isinstance(counts, str | bytes):
        counts = coco_counts(counts)
    elif not isinstance(counts, list | tuple) or not all(map(_is_whole, counts)):
        raise DataError(f"`counts` must be letters or a list of whole numbers, 0 or more; got {_short(counts)}")
    total = sum(counts)
    if total != size[0] * size[1]:
        raise DataError(
            f"run lengths add up to {total}; expected {size[0]} × {size[1]} = {size[0] * size[1]} (height × width): "
            "correct `size`, or restore the counts"
        )
    return _canonical(counts, size)


def rle_from_relative(text: str, size: Sequence[int]) -> Rle:
    """Canonical run lengths of pairs ``gap length``, as SIIM-ACR publishes them.

    Args:
        text: Whole numbers, separated by blanks; none is the empty mask.
        size: (height, width); (1024, 1024) for SIIM-ACR.

    Raises:
        DataError: The numbers are no pairs, a run has no pixel, or the runs leave the raster.

    Example:
        Pixel 1 and, after a gap of 2, pixel 4 of a 2 × 3 raster:

        >>> rle_from_relative("1 1 2 1", (2, 3))
        {'size': [2, 3], 'counts': [1, 1, 2, 1, 1]}
    """
    height, width = _checked_size(size)
    counts: list[int] = []
    for gap, length in _pairs(text):
        counts += [gap, length]
    rest = height * width - sum(counts)
    if rest < 0:
        raise DataError(
            f"runs {_short(text)} end at pixel {sum(counts)} of {height} × {width} = {height * width}; expected all "
            "within it: correct the size, or read them as absolute starts"
        )
    return _canonical([*counts, rest], (height, width))


def rle_from_absolute(text: str, size: Sequence[int], *, first: int = 1) -> Rle:
    """Canonical run lengths of pairs ``start length`` in ascending order.

    Args:
        text: Whole numbers, separated by blanks; none is the empty mask.
        size: (height, width).
        first: The number of the first pixel, 0 or 1.

    Raises:
        DataError: The numbers are no pairs, a run has no pixel, two runs overlap or descend, or one leaves the raster.

    Example:
        Pixels 1 and 4 of a 2 × 3 raster, counted from 1:

        >>> rle_from_absolute("2 1 5 1", (2, 3))
        {'size': [2, 3], 'counts': [1, 1, 2, 1, 1]}
    """
    height, width = _checked_size(size)
    counts: list[int] = []
    end = 0
    for start, length in _pairs(text):
        gap = start - first - end
        if gap < 0:
            raise DataError(
                f"run `{start} {length}` starts before pixel {end + first}, where the run before it ends; expected "
                "ascending runs without overlap: sort them, or read them as relative gaps"
            )
        counts += [gap, length]
        end += gap + length
    if end > height * width:
        raise DataError(
            f"runs {_short(text)} end at pixel {end} of {height} × {width} = {height * width}; expected all within it: "
            "correct the size"
        )
    return _canonical([*counts, height * width - end], (height, width))


def relative_text(rle: Mapping[str, list[int]]) -> str:
    """Pairs ``gap length``; the inverse of :func:`rle_from_relative`.

    >>> relative_text({"size": [2, 3], "counts": [1, 1, 2, 1, 1]})
    '1 1 2 1'
    """
    counts = rle["counts"]
    return " ".join(map(str, counts[: len(counts) // 2 * 2]))


def absolute_text(rle: Mapping[str, list[int]], *, first: int = 1) -> str:
    """Pairs ``start length``; the inverse of :func:`rle_from_absolute`.

    >>> absolute_text({"size": [2, 3], "counts": [1, 1, 2, 1, 1]})
    '2 1 5 1'
    """
    counts = rle["counts"]
    starts = np.cumsum([0, *counts])
    return " ".join(f"{starts[run] + first} {counts[run]}" for run in range(1, len(counts), 2))


def _numbers(text: str) -> Iterable[int]:
    """The signed numbers that letters pack: five bits each, lowest first, the last one's high bit is the sign."""
    number, letters = 0, 0
    for letter in text:
        code = ord(letter) - _FIRST_LETTER
        if not 0 <= code < 64 or letters == _MOST_LETTERS:
            raise DataError(
                f"run lengths {_short(text)} are broken at {letter!r}; expected COCO's letters, 0 to o: "
                "restore the text from its source"
            )
        number |= (code & 0x1F) << 5 * letters
        letters += 1
        if not code & _MORE:
            yield number - (1 << 5 * letters) if code & _SIGN else number
            number, letters = 0, 0
    if letters:
        raise DataError(
            f"run lengths {_short(text)} end within a number; expected COCO's letters, whole: the text was cut"
        )


def _pairs(text: str) -> Iterable[tuple[int, int]]:
    fields = text.split()
    if stray := next((field for field in fields if not (field.isascii() and field.isdecimal())), None):
        raise DataError(
            f"run lengths {_short(text)} hold {stray!r}; expected whole numbers, 0 or more: a text that stands for "
            "“no mask” is none, leave it out"
        )
    if len(fields) % 2:
        raise DataError(f"run lengths {_short(text)} hold {len(fields)} numbers; expected pairs: the text was cut")
    numbers = [int(field[:18]) for field in fields]  # longer ones lie outside every raster as well
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if length == 0:
            raise DataError(f"run `{start} 0` has no pixel; expected lengths of 1 or more: remove the run")
        yield start, length


def _canonical(counts: Sequence[int], size: Size) -> Rle:
    """The form that :func:`~tailscope.core.geometry.encode_rle` gives: no empty run but the first, no rest of 0."""
    runs = [0]
    for place, count in enumerate(counts):
        if count and place % 2 == len(runs) % 2:
            runs.append(count)
        else:
            runs[-1] += count
    return {"size": list(size), "counts": runs}


def _checked_size(size: Any) -> Size:
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(_is_whole, size)) or min(size) < 1:
        raise DataError(f"`size` must be [height, width], whole numbers of 1 or more; got {_short(size)}")
    return size[0], size[1]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
