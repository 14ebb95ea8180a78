"""What is known about each image beside its labels: columns of its table, and masks that are not classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import Dataset

STRUCTURE = ("image_id", "patient_id", "path", "split", "width", "height")  # columns that say where, not what


def image_attributes(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Name to (N,) values, rows as in the table of images.

    Args:
        dataset: Its tables have passed the checks.

    Returns:
        The columns of the images beyond :data:`STRUCTURE` that have any value: bool, float64 (NaN where missing) or
        object (None where missing); and per name in ``extra_masks`` whether it stands on the image, bool.

    Raises:
        DataError: An extra mask has the name of a class or of such a column.
    """
    columns = {
        str(name): _values(dataset.images[name])
        for name in dataset.images.columns
        if name not in STRUCTURE and dataset.images[name].notna().any()
    }
    present = _presence(dataset)
    taken = {**dict.fromkeys(columns, "a column of the images"), **dict.fromkeys(dataset.classes, "a class")}
    clashes = [name for name in present if name in taken]
    if clashes:
        raise DataError(
            f"the extra mask {name!r} has the name of {taken[name]}; expected a name of its own: rename one of the two"
            for name in clashes
        )
    return {**columns, **present}


def _values(column: pd.Series[Any]) -> NDArray[Any]:
    known = column.notna()
    if pd.api.types.is_bool_dtype(column.dtype) and bool(known.all()):
        return column.to_numpy(dtype=np.bool_)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = column.to_numpy(dtype=object).copy()
    values[~known.to_numpy(dtype=np.bool_)] = None
    return values


def _presence(dataset: Dataset) -> dict[str, NDArray[np.bool_]]:
    masks = dataset.extra_masks
    if masks is None:
        return {}
    ids = dataset.images["image_id"]
    return {
        str(name): ids.isin(masks.loc[masks["class"] == name, "image_id"]).to_numpy(dtype=np.bool_)
        for name in sorted(masks["class"].unique())
    }
