"""Label states as matrices of images and classes: what every reader of an image said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import STATES, Dataset

UNMENTIONED = STATES.index("unmentioned")


@dataclass(frozen=True, eq=False)
class Readings:
    """The labels of every reader of every image.

    An image has as many readings as readers have a label on it, in the order of their names; R is the largest number.

    Args:
        states: (R, N, K) int8 index into :data:`~tailscope.core.STATES`; a label without row is unmentioned.
        readers: (R, N) names; None where the image has fewer readings.
    """

    states: NDArray[np.int8]
    readers: NDArray[np.object_]

    @property
    def is_read(self) -> NDArray[np.bool_]:
        """(R, N) whether there is a reading."""
        return np.asarray(pd.notna(self.readers), dtype=bool)

    @property
    def has_several(self) -> bool:
        """Whether any image has more than one reading."""
        return len(self.states) > 1


def readings_of(dataset: Dataset, classes: tuple[str, ...]) -> Readings:
    """The labels of some classes, reader by reader; R is 1 where nobody labelled anything."""
    labels, count = dataset.labels, len(dataset.images)
    rows = _places(dataset.images["image_id"].tolist(), labels["image_id"])
    columns = _places(classes, labels["class"])
    codes = _places(STATES, labels["state"])
    known = rows >= 0
    slots, readers = _slots(rows, labels["reader"], count)
    states = np.full((len(readers), count, len(classes)), UNMENTIONED, dtype=np.int8)
    used = known & (columns >= 0)
    states[slots[used], rows[used], columns[used]] = codes[used]
    return Readings(states, readers)


def _places(known: Sequence[str], values: pd.Series) -> NDArray[np.intp]:
    """The place of each value among the known ones, -1 where it is none; each of the few different ones is sought once.

    >>> _places(("a", "b"), pd.Series(["b", None, "b", "c", "a"])).tolist()
    [1, -1, 1, -1, 0]
    """
    numbers, different = pd.factorize(values)
    found = pd.Index(list(known)).get_indexer(pd.Index(different))
    return np.append(found, -1)[numbers]  # the number of a missing value is -1, which is the last place


def _slots(rows: NDArray[np.intp], reader: pd.Series, count: int) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """The place of each label's reader among the readers of its image, and the (R, N) names in these places."""
    written = reader.where(reader.notna(), "").astype(str)
    numbers, names = pd.factorize(written, sort=True)
    label_of, seen = pd.factorize(rows.astype(np.int64) * max(len(names), 1) + numbers, sort=True)
    image, who = np.divmod(seen, max(len(names), 1))
    place = np.arange(len(seen)) - np.searchsorted(image, image)
    kept = image >= 0
    readers = np.full((int(place[kept].max(initial=0)) + 1, count), None, dtype=object)
    readers[place[kept], image[kept]] = np.asarray(names, dtype=object)[who[kept]]
    return place[label_of], readers
