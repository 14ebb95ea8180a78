"""The annotated test pairs of an experiment: which there are, and their masks, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import PackedMasks
from tailscope.core import ExperimentData


def annotated_test_pairs(data: ExperimentData) -> NDArray[np.int64]:
    """(M, 2) annotated positive (image row, class index) pairs of the test split, by row, then class."""
    pairs = data.annotated.reshape(-1, 2)
    kept = pairs[data.split[pairs[:, 0]] == "test"]
    return np.asarray(kept[np.lexsort((kept[:, 1], kept[:, 0]))])


@dataclass(frozen=True, eq=False)
class PairGroup:
    """Some of the pairs with a mask each.

    Args:
        data: The experiment's data.
        pairs: (m, 2) image row and class index.
        places: (m,) their places among all pairs.
        masks: One per pair.
    """

    data: ExperimentData
    pairs: NDArray[np.int64]
    places: NDArray[np.int64]
    masks: PackedMasks

    @property
    def patients(self) -> NDArray[np.str_]:
        """(m,) who each image is of."""
        return self.data.patient_ids[self.pairs[:, 0]]

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of scores with image and class in place of the pair's number."""
        chosen = self.pairs[table["pair"].to_numpy(dtype=np.int64)]
        names = np.array(self.data.classes)[chosen[:, 1]]
        return table.drop(columns="pair").assign(image_id=self.data.image_ids[chosen[:, 0]], **{"class": names})


@dataclass(frozen=True, eq=False)
class AnnotatedPairs:
    """All annotated test pairs; masks are drawn and packed once, whatever is scored on them.

    Args:
        data: The experiment's data.
        table: (M, 2) image row and class index, by class, then row, so that the maps of a class lie together on disk.
    """

    data: ExperimentData
    table: NDArray[np.int64]

    @classmethod
    def of(cls, data: ExperimentData) -> AnnotatedPairs:
        """Those of an experiment's data."""
        pairs = annotated_test_pairs(data)
        return cls(data, pairs[np.argsort(pairs[:, 1], kind="stable")])

    def __len__(self) -> int:
        """M."""
        return len(self.table)

    @property
    def image_ids(self) -> NDArray[np.str_]:
        """(M,)."""
        return self.data.image_ids[self.table[:, 0]]

    @property
    def classes(self) -> NDArray[np.str_]:
        """(M,) class names."""
        return np.array(self.data.classes)[self.table[:, 1]]

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(M,) share of the frame that each annotation covers."""
        areas = np.zeros(len(self))
        for group in self.by_class:
            areas[group.places] = group.masks.shares
        return areas

    @cached_property
    def by_class(self) -> tuple[PairGroup, ...]:
        """The pairs of each class with the annotation of that class."""
        numbers = np.unique(self.table[:, 1]).tolist()
        return tuple(self._group(np.flatnonzero(self.table[:, 1] == number)) for number in numbers)

    def maps_of(self, group: PairGroup, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maps of one class, out of one per pair; a view, so that a memory map stays on disk."""
        first = int(group.places[0])
        return maps[first : first + group.places.size]

    def _group(self, places: NDArray[np.int64]) -> PairGroup:
        pairs, data = self.table[places], self.data

        def mask(place: int) -> NDArray[np.bool_]:
            row, number = pairs[place].tolist()
            return data.mask(row, data.classes[number])

        return PairGroup(data, pairs, places, PackedMasks.read(mask, len(pairs)))

    @cached_property
    def on_other_classes(self) -> PairGroup:
        """The pairs whose image has another class annotated, with what was drawn of others and not of their own."""
        every = PackedMasks.read(self._others, len(self))
        places = np.flatnonzero(every.bits.areas)
        masks = PackedMasks.read(lambda place: every.dense([places[place]])[0], places.size)
        return PairGroup(self.data, self.table[places], places, masks)

    @cached_property
    def _classes_on(self) -> dict[int, list[int]]:
        """Image row to the classes that are annotated on it."""
        classes: dict[int, list[int]] = {}
        for row, number in self.table.tolist():
            classes.setdefault(row, []).append(number)
        return classes

    def _others(self, place: int) -> NDArray[np.bool_]:
        row, number = self.table[place].tolist()
        whole = np.zeros(self.data.pixels.shape[1:3], dtype=bool)
        for other in self._classes_on[row]:
            if other != number:
                whole |= self.data.mask(row, self.data.classes[other])
        return whole & ~self.data.mask(row, self.data.classes[number]) if whole.any() else whole
