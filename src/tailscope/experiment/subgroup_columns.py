"""Which columns of the images make subgroups, and which test image belongs to which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.core import ExperimentData, InputError, nearest

AGE_BANDS = (18.0, 40.0, 65.0)
"""Years at which the next band begins: 0–17, 18–39, 40–64, 65+."""

_AGE_NAMES = ("0–17", "18–39", "40–64", "65+")
_MOST = 8  # values of text that are still groups of images and no description of each
_MOST_CODES = 5  # values of a number that are still codes
_THIRDS = (1 / 3, 2 / 3)

_Named = list[tuple[str, NDArray[np.bool_]]]


@dataclass(frozen=True, eq=False)
class SubgroupColumn:
    """One column and the subgroups that it makes of the test images.

    Args:
        name: Of the column.
        subgroups: G names.
        member: (N,) number of each image's subgroup; −1 where the column has no value.
    """

    name: str
    subgroups: tuple[str, ...]
    member: NDArray[np.int64]

    def chosen(self, number: int) -> NDArray[np.bool_]:
        """(N,) images of one subgroup."""
        return np.asarray(self.member == number)

    def others(self, number: int) -> NDArray[np.bool_]:
        """(N,) images with a value that are in another subgroup."""
        return np.asarray((self.member >= 0) & (self.member != number))


def subgroup_columns(data: ExperimentData, asked: tuple[str, ...] | None = None) -> tuple[SubgroupColumn, ...]:
    """The columns of the images, and the extra masks, that split the test images into subgroups.

    Text and yes/no columns make one subgroup per value, if there are 2 to 8; whether an extra mask stands on the image
    is such a column. A number named ``age`` is cut at 18, 40 and 65 years; any other number makes one subgroup per
    value if there are 2 to 5, and else terciles of the test images. Labels and scores play no part.

    Args:
        data: The experiment's data.
        asked: Names of columns; None takes all that qualify, an empty tuple none.

    Returns:
        The columns in the order of the data, or as asked for.

    Raises:
        InputError: A column that was asked for does not exist, or makes no subgroups; says why.
    """
    rows = data.rows("test")
    if asked is None:
        found = [subgroups_of(name, values[rows]) for name, values in data.attributes.items()]
        return tuple(column for column in found if not isinstance(column, str))
    known = tuple(data.attributes)
    columns = []
    for name in dict.fromkeys(asked):
        if name not in known:
            raise InputError(
                f"`performance.subgroups` names {name!r}, which is no column of the images{nearest(name, known)}"
            )
        column = subgroups_of(name, data.attributes[name][rows])
        if isinstance(column, str):
            raise InputError(
                f"`performance.subgroups` names {name!r}, which makes no subgroups: {column}; leave it out"
            )
        columns.append(column)
    return tuple(columns)


def subgroups_of(name: str, values: NDArray[Any]) -> SubgroupColumn | str:
    """The subgroups of one column, or why it makes none.

    Args:
        name: Of the column; ``age`` is cut into bands of years.
        values: (N,) bool, float64 (NaN where missing) or object (None where missing).

    Example:
        >>> subgroups_of("age", np.array([3.0, 70.0, np.nan])).member.tolist()
        [0, 1, -1]
        >>> subgroups_of("view", np.array(["PA", "PA", None], dtype=object))
        'all test images fall into one subgroup'
    """
    is_number = np.issubdtype(values.dtype, np.floating)
    known = values[~np.isnan(values)] if is_number else np.array([value for value in values if value is not None])
    distinct = len(set(known.tolist()))
    if is_number and name.lower() == "age":
        named = _ages(values)
    elif is_number and distinct > _MOST_CODES:
        named = _terciles(values)
    elif distinct > _MOST:
        return f"{distinct} different values among the test images, at most {_MOST} make subgroups"
    else:
        named = _each_value(values, known)
    filled = [(label, chosen) for label, chosen in named if chosen.any()]
    if len(filled) < 2:
        return "all test images fall into one subgroup" if distinct else "the test images have no value"
    member = np.full(len(values), -1, dtype=np.int64)
    for number, (_, chosen) in enumerate(filled):
        member[chosen] = number
    return SubgroupColumn(name, tuple(label for label, _ in filled), member)


def _ages(values: NDArray[np.float64]) -> _Named:
    band = np.digitize(values, AGE_BANDS)
    known = values >= 0  # False for NaN as well
    return [(label, known & (band == number)) for number, label in enumerate(_AGE_NAMES)]


def _terciles(values: NDArray[np.float64]) -> _Named:
    """Thirds of the images; fewer where a value is so common that two limits are one."""
    low, high = np.nanquantile(values, _THIRDS, method="lower")
    parts = [(f"≤ {low:g}", values <= low)]
    if high > low:
        parts.append((f"{low:g} to {high:g}", (values > low) & (values <= high)))
    return [*parts, (f"> {high:g}", values > high)]


def _each_value(values: NDArray[Any], known: NDArray[Any]) -> _Named:
    return [(_label(value), values == value) for value in sorted(set(known.tolist()), key=_place)]


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _place(value: Any) -> tuple[float, str]:
    """Numbers by size, with "yes" before "no"; text by the alphabet."""
    if isinstance(value, bool):
        return (float(not value), "")
    return (value, "") if isinstance(value, float) else (0.0, str(value))
