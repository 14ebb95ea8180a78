"""Every image of a data set decoded once: its size, a thumbnail, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import Dataset
from tailscope.data.cache import Progress
from tailscope.data.cache_building import cores
from tailscope.data.constant_images import is_constant
from tailscope.data.files import reading_order
from tailscope.data.near_duplicates import SIDE, Thumbnails, thumbnail

_Shape = tuple[int, int, int]
_COLUMNS = ["height", "width", "channels"]


@dataclass(frozen=True)
class LookedOver:
    """What decoding told.

    Args:
        sizes: height, width, channels, images.
        unreadable: One sentence per image that cannot be read.
        rows: (M,) rows of the images that can.
        thumbnails: (M, 64, 64) uint8; 4 KB an image.
        constant: Rows of the images whose pixels are all alike.
    """

    sizes: pd.DataFrame
    unreadable: tuple[str, ...]
    rows: NDArray[np.int64]
    thumbnails: Thumbnails
    constant: tuple[int, ...] = ()

    @classmethod
    def nothing(cls) -> LookedOver:
        """Where nothing was decoded."""
        return cls(_size_table([]), (), np.zeros(0, dtype=np.int64), np.zeros((0, SIDE, SIDE), dtype=np.uint8))


def look_over(dataset: Dataset, progress: Progress | None = None) -> LookedOver:
    """Decode every image; memory for the thumbnails and a few images.

    Args:
        dataset: From a source.
        progress: Called with (images done, images in all).
    """
    count = len(dataset.images)
    small = np.empty((count, SIDE, SIDE), dtype=np.uint8)
    shapes, problems, rows, constant = [], [], [], []
    for done, (row, result) in enumerate(_each(dataset, small), 1):
        if isinstance(result, str):
            problems.append((row, result))
        else:
            shape, is_flat = result
            shapes.append(shape)
            rows.append(row)
            constant += [row] if is_flat else []
        if progress:
            progress(done, count)
    rows.sort()
    kept = small if len(rows) == count else small[rows]
    unreadable = tuple(problem for _, problem in sorted(problems))
    return LookedOver(_size_table(shapes), unreadable, np.array(rows, dtype=np.int64), kept, tuple(sorted(constant)))


def _each(dataset: Dataset, small: Thumbnails) -> Iterator[tuple[int, tuple[_Shape, bool] | str]]:
    """Row; height, width and channels of the image, and whether its pixels are all alike; or what is wrong with it."""

    def one(row: int) -> tuple[int, tuple[_Shape, bool] | str]:
        try:
            pixels = dataset.read_pixels(row)
        except DataError as error:
            return row, str(error)
        small[row] = thumbnail(pixels)
        shape = (pixels.shape[0], pixels.shape[1], 1 if pixels.ndim == 2 else pixels.shape[2])
        return row, (shape, is_constant(pixels))

    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(one, reading_order(dataset.read_pixels, len(dataset.images)))


def _size_table(shapes: list[_Shape]) -> pd.DataFrame:
    return pd.DataFrame(shapes, columns=_COLUMNS).groupby(_COLUMNS).size().rename("images").reset_index()
