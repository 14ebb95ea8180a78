"""Some images of a data set, as a data set of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles


@dataclass(frozen=True)
class _ChosenPixels:
    """The pixels of some rows."""

    read: Callable[[int], NDArray[np.uint8]]
    rows: NDArray[np.int64]

    def __call__(self, row: int) -> NDArray[np.uint8]:
        return self.read(int(self.rows[row]))


@dataclass(frozen=True)
class _ChosenContent:
    """The digests of some rows."""

    every: Callable[[], list[str]]
    rows: NDArray[np.int64]

    def __call__(self) -> list[str]:
        digests = self.every()
        return [digests[row] for row in self.rows.tolist()]


def chosen_rows(dataset: Dataset, keep: NDArray[np.bool_]) -> Dataset:
    """The data set without the images that are not kept; files of the others are never opened.

    Args:
        dataset: From a source.
        keep: (N,) rows of its table of images.
    """
    if keep.all():
        return dataset
    rows = np.flatnonzero(keep)
    images = dataset.images[keep].reset_index(drop=True)
    ids = images["image_id"]
    masks = dataset.extra_masks
    return replace(
        dataset,
        images=images,
        labels=_of(dataset.labels, ids),
        annotations=_of(dataset.annotations, ids),
        read_pixels=_pixels(dataset.read_pixels, rows),
        content=_content(dataset.content, rows),
        extra_masks=None if masks is None else _of(masks, ids),
    )


def _of(table: pd.DataFrame, ids: pd.Series[str]) -> pd.DataFrame:
    return table[table["image_id"].isin(ids)].reset_index(drop=True)


def _files(files: ImageFiles, rows: NDArray[np.int64]) -> ImageFiles:
    return replace(files, paths=tuple(files.paths[row] for row in rows.tolist()))


def _pixels(read: Callable[[int], NDArray[np.uint8]], rows: NDArray[np.int64]) -> Callable[[int], NDArray[np.uint8]]:
    return _files(read, rows) if isinstance(read, ImageFiles) else _ChosenPixels(read, rows)


def _content(content: Callable[[], list[str]], rows: NDArray[np.int64]) -> Callable[[], list[str]]:
    if isinstance(content, FileContent):
        return replace(content, files=_files(content.files, rows))
    return _ChosenContent(content, rows)
