"""Two prepared data sets as one: training and validation of the first, and the second as the test split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.artifacts import atomic_write, digest
from tailscope.core.records import ExperimentData

_CHUNK = 256  # images copied at a time


def trained_rows(data: ExperimentData) -> NDArray[np.int64]:
    """Rows of training and validation, ascending."""
    return np.flatnonzero(data.split != "test")


def stacked(first: ExperimentData, second: ExperimentData, folder: Path) -> ExperimentData:
    """Training and validation rows of one data set, and below them all rows of another.

    The pixels of both are copied into one file of ``folder``, because rows are read through one memory map; it is as
    large as both, and found again by its content.

    Args:
        first: What the networks are trained with; its test split is left out.
        second: Prepared for the same classes, in the same frame.
        folder: Where caches lie.

    Returns:
        The second's name, notes and ``patients_known``; ``trained_on`` is the fingerprint of the first.
    """
    rows = trained_rows(first)
    fingerprint = digest("tested on", first.fingerprint, second.fingerprint)
    masks = _StackedMasks(first, rows, second)
    annotations = first.annotations[first.annotations["image_id"].isin(first.image_ids[rows])]
    return replace(
        second,
        image_ids=np.concatenate([first.image_ids[rows], second.image_ids]),
        patient_ids=np.concatenate([first.patient_ids[rows], second.patient_ids]),
        split=np.concatenate([first.split[rows], second.split]),
        targets=np.concatenate([first.targets[rows], second.targets]),
        pixels=_pixels(first, rows, second, folder / f"stacked-{fingerprint[:24]}.npy"),
        annotations=pd.concat([annotations, second.annotations], ignore_index=True),
        masks=masks,
        annotated=np.concatenate([_moved(first, rows), second.annotated + np.array([rows.size, 0])]),
        fingerprint=fingerprint,
        attributes=_attributes(first, rows, second),
        reader_masks=masks.by_reader,
        trained_on=first.fingerprint,
        soft=_soft(first, rows, second),
    )


@dataclass(frozen=True)
class _StackedMasks:
    """(stacked row, name) to a mask of either data set."""

    first: ExperimentData
    rows: NDArray[np.int64]
    second: ExperimentData

    def __call__(self, row: int, name: str) -> NDArray[np.bool_] | None:
        data, own = self._of(row)
        return data.masks(own, name)

    def by_reader(self, row: int, name: str) -> dict[str, NDArray[np.bool_]]:
        data, own = self._of(row)
        return data.reader_masks(own, name)

    def _of(self, row: int) -> tuple[ExperimentData, int]:
        above = self.rows.size
        return (self.first, int(self.rows[row])) if row < above else (self.second, int(row) - above)


def _soft(first: ExperimentData, rows: NDArray[np.int64], second: ExperimentData) -> NDArray[np.float32] | None:
    """The probabilities of training labels; a test label has none."""
    if first.soft is None:
        return None
    return np.concatenate([first.soft[rows], np.full(second.targets.shape, np.nan, dtype=np.float32)])


def _moved(first: ExperimentData, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The annotated pairs of some rows, by the place of the row among these."""
    place = np.full(len(first.image_ids), -1, dtype=np.int64)
    place[rows] = np.arange(rows.size)
    pairs = first.annotated.reshape(-1, 2)
    pairs = pairs[place[pairs[:, 0]] >= 0]
    return np.column_stack([place[pairs[:, 0]], pairs[:, 1]])


def _pixels(first: ExperimentData, rows: NDArray[np.int64], second: ExperimentData, path: Path) -> NDArray[np.uint8]:
    if not path.exists():
        shape = (rows.size + len(second.pixels), *second.pixels.shape[1:])
        with atomic_write(path) as temporary:
            whole = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for start in range(0, rows.size, _CHUNK):
                some = rows[start : start + _CHUNK]
                whole[start : start + some.size] = first.pixels[some]
            for start in range(0, len(second.pixels), _CHUNK):
                chunk = second.pixels[start : start + _CHUNK]
                whole[rows.size + start : rows.size + start + len(chunk)] = chunk
            whole.flush()
            del whole
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pixels


def _attributes(first: ExperimentData, rows: NDArray[np.int64], second: ExperimentData) -> dict[str, NDArray[Any]]:
    """What is known of the images of both; what one of them does not state is missing there."""
    found = {}
    for name in dict.fromkeys((*first.attributes, *second.attributes)):
        above, below = first.attributes.get(name), second.attributes.get(name)
        above = _unstated(second, name, rows.size) if above is None else above[rows]
        below = _unstated(first, name, len(second.image_ids)) if below is None else below
        same = above.dtype.kind == below.dtype.kind
        found[name] = np.concatenate([above, below] if same else [_as_objects(above), _as_objects(below)])
    return found


def _unstated(other: ExperimentData, name: str, count: int) -> NDArray[Any]:
    """A column that only the other data set has: NaN for numbers, None for text; a mask is simply not there."""
    values = other.attributes[name]
    if values.dtype.kind == "f":
        return np.full(count, np.nan)
    if other.is_mask(name):
        return np.zeros(count, dtype=np.bool_)
    return np.full(count, None, dtype=object)


def _as_objects(values: NDArray[Any]) -> NDArray[Any]:
    """Values where a column is of one type here and of another there; what is missing is None."""
    whole = np.full(len(values), None, dtype=object)
    known = ~pd.isna(values)
    whole[known] = values[known]
    return whole
