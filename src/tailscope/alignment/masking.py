"""Masks as lists of their pixels, the form in which the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelLists:
    """N masks over P pixels, compressed by row.

    Args:
        starts: (N + 1,) int64; mask j holds ``pixels[starts[j]:starts[j + 1]]``.
        pixels: int32 pixel numbers, ascending in each mask.
    """

    starts: NDArray[np.int64]
    pixels: NDArray[np.int32]

    @classmethod
    def of(cls, masks: NDArray[np.bool_]) -> PixelLists:
        """Read (N, P) bool masks.

        >>> import numpy as np
        >>> PixelLists.of(np.array([[True, False, True], [False, True, False]])).pixels.tolist()
        [0, 2, 1]
        """
        areas = masks.sum(axis=1, dtype=np.int64)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(areas)])
        pixels = [np.flatnonzero(mask).astype(np.int32) for mask in masks]
        return cls(starts, np.concatenate([np.zeros(0, dtype=np.int32), *pixels]))

    @property
    def areas(self) -> NDArray[np.int64]:
        """(N,) pixels of each mask."""
        return np.diff(self.starts)
