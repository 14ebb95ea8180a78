"""The arrays that the kernels read: masks as bits, masks as corners, maps as levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Bits(NamedTuple):
    """N masks, each as 64-bit words of its pixels in reading order, from the first word with a pixel to the last.

    Args:
        areas: (N,) int64, pixels of each mask.
        first: (N,) int64, which word of the frame the mask's first one is.
        starts: (N + 1,) int64; mask j holds ``words[starts[j]:starts[j + 1]]``.
        words: uint64, the lowest bit first.
    """

    areas: NDArray[np.int64]
    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    words: NDArray[np.uint64]


class Corners(NamedTuple):
    """N masks as the signed corners of their outlines: Σ inside = Σ sign · table there (a box has four).

    Args:
        starts: (N + 1,) int64.
        places: int32 positions in an (H + 1)·(W + 1) summed-area table.
        signs: int64.
    """

    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    signs: NDArray[np.int64]


class Levels(NamedTuple):
    """How maps become levels in [0, 1], counted in ``unit``: (map − offset) / spread, soft or 0 and 1 at a threshold.

    Args:
        offset: (K,).
        spread: (K,).
        flat: (K,) one level for the whole map, or NaN.
        threshold: NaN where soft.
        unit: A power of two; sums of levels in it are exact integers.
    """

    offset: NDArray[np.float64]
    spread: NDArray[np.float64]
    flat: NDArray[np.float64]
    threshold: float
    unit: float
