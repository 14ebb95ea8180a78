"""Build the three tables of a data set with their columns and types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import ANNOTATION_COLUMNS, IMAGE_COLUMNS

STATE_OF: Mapping[str, str] = {
    "": "unmentioned",
    **dict.fromkeys(("0", "0.0"), "negative"),
    **dict.fromkeys(("1", "1.0"), "positive"),
    **dict.fromkeys(("-1", "-1.0"), "uncertain"),
}
ANY_SIZE = (10**9, 10**9)  # (height, width) of an image that is not there: whatever is drawn lies within
Shape = tuple[str, str, str, Any, tuple[int, int]]  # image_id, class, kind, geometry, (reference height, width)


def image_table(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The table of images, sorted by ``image_id``; columns that are not given are null.

    >>> image_table({"image_id": ["b", "a"], "path": ["b.png", "a.png"]})["path"].tolist()
    ['a.png', 'b.png']
    """
    count = len(columns["image_id"])
    table = pd.DataFrame({name: pd.Series([None] * count, dtype=object) for name in IMAGE_COLUMNS})
    for name, values in columns.items():
        table[name] = pd.Series(list(values), dtype=object)
    table = table.astype({"width": "Int64", "height": "Int64", "age": "float64"})
    return table.sort_values("image_id", kind="stable").reset_index(drop=True)


def label_table(
    image_ids: Sequence[str], classes: Sequence[str], states: NDArray[np.str_], reader: str
) -> pd.DataFrame:
    """The long table of labels.

    Args:
        image_ids: N.
        classes: K.
        states: (N, K) of the label states.
        reader: Who labelled.

    Returns:
        N·K rows.
    """
    count = len(image_ids) * len(classes)
    rows, columns = np.divmod(np.arange(count), max(len(classes), 1))
    numbers, different = pd.factorize(np.asarray(states, dtype=object).ravel())
    return pd.DataFrame(
        {
            "image_id": _repeated(image_ids, rows),
            "class": _repeated(classes, columns),
            "state": _repeated(different, numbers),
            "reader": _repeated([reader], np.zeros(count, dtype=np.intp)),
        }
    )


def _repeated(values: Sequence[str] | NDArray[np.object_], places: NDArray[np.intp]) -> pd.Series:
    """The values of some places; the few are turned into pandas' text, not the many."""
    if not places.size:
        return pd.Series([], dtype=object)
    return pd.Series(np.asarray(values, dtype=object)).take(places).reset_index(drop=True)


def annotation_table(shapes: Iterable[Shape], reader: str) -> pd.DataFrame:
    """The table of annotations, one row per shape."""
    rows = [
        (image_id, name, kind, json.dumps(geometry, separators=(",", ":")), width, height, reader)
        for image_id, name, kind, geometry, (height, width) in shapes
    ]
    table = pd.DataFrame(rows, columns=list(ANNOTATION_COLUMNS))
    return table.astype({"ref_width": "int64", "ref_height": "int64"})
