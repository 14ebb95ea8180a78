"""Are the tables of a data set sound? Every problem is found before any is reported."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError, LeakageError
from tailscope.core.records import ANNOTATION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, SPLITS, STATES, Dataset
from tailscope.core.registry import nearest

TOLERANCE_PX = 1.0  # DATASETS section 8: published boxes stand up to one pixel outside
_SHOWN = 20


def raise_problems(problems: Sequence[str], kind: type[DataError] = DataError) -> None:
    """Raise all problems at once, if there are any; of very many, the first are shown and the rest counted."""
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], f"… and {len(problems) - _SHOWN} more of these"]
    if problems:
        raise kind(problems)


@dataclass
class Collected:
    """The problems of several checks, raised together, so that nobody mends a folder once for each.

    Example:
        >>> checks = Collected()
        >>> with checks.go_on():
        ...     raise LeakageError("one patient in two splits")
        >>> with checks.go_on():
        ...     raise DataError(["an empty file", "a broken one"])
        >>> checks.raise_all()
        Traceback (most recent call last):
            ...
        tailscope.core.errors.DataError: 3 problems in the data:
          1. one patient in two splits
          2. an empty file
          3. a broken one
    """

    errors: list[DataError] = field(default_factory=list)

    @contextmanager
    def go_on(self) -> Iterator[None]:
        """Keep a refusal for later and leave the block."""
        try:
            yield
        except DataError as error:
            self.errors.append(error)

    def raise_all(self) -> None:
        """Raise what was kept, as leakage where it is nothing else.

        Raises:
            DataError: Lists the problems of all checks.
        """
        problems = [problem for error in self.errors for problem in error.problems]
        if problems:
            leaks = all(isinstance(error, LeakageError) for error in self.errors)
            raise (LeakageError if leaks else DataError)(problems)


def some(names: Collection[str], shown: int = 5) -> str:
    """The first few names, and how many more there are.

    >>> some(["a", "b", "c"], shown=2)
    "'a', 'b' and 1 more"
    """
    first = ", ".join(repr(str(name)) for name in list(names)[:shown])
    return first if len(names) <= shown else f"{first} and {len(names) - shown} more"


def check_dataset(dataset: Dataset) -> None:
    """Refuse tables that contradict themselves or each other.

    Raises:
        DataError: Lists every problem.
    """
    columns = [
        *_missing_columns("images", dataset.images, IMAGE_COLUMNS),
        *_missing_columns("labels", dataset.labels, LABEL_COLUMNS),
        *_missing_columns("annotations", dataset.annotations, ANNOTATION_COLUMNS),
    ]
    raise_problems(columns)
    known = set(dataset.images["image_id"])
    extra = dataset.extra_masks
    raise_problems(
        [
            *_image_problems(dataset.images),
            *_label_problems(dataset.labels, dataset.images["image_id"], dataset.classes),
            *annotation_problems(dataset.annotations, known, dataset.classes),
            *([] if extra is None else annotation_problems(extra, known, tuple(extra["class"].unique()))),
        ]
    )


def annotation_problems(
    annotations: pd.DataFrame, known: Collection[str], classes: Sequence[str], where: Sequence[str] | None = None
) -> list[str]:
    """What is wrong with each annotation: unknown image, unknown class, shape inverted or outside its frame.

    Args:
        annotations: Columns of :data:`~tailscope.core.ANNOTATION_COLUMNS`.
        known: The image ids of the data set.
        classes: Its class names.
        where: File and line per row, if the caller knows them.

    Returns:
        One sentence per problem.
    """
    problems = []
    columns = (annotations[name].tolist() for name in ANNOTATION_COLUMNS[:6])
    for row, (image_id, name, kind, geometry, width, height) in enumerate(zip(*columns, strict=True)):
        place = where[row] if where else f"annotation {row + 1} (image {image_id!r}, class {name!r})"
        is_known = image_id in known
        if not is_known:
            problems.append(f"{place}: no image is named {image_id!r}; correct the name or remove the row")
        if name not in classes:
            problems.append(f"{place}: no class is named {name!r}{nearest(str(name), tuple(classes))}")
        if is_known and (problem := shape_problem(kind, geometry, (height, width))):
            problems.append(f"{place}: {problem}")
    return problems


def shape_problem(kind: str, geometry: str, size: tuple[int, int]) -> str | None:
    """What is wrong with one shape in a reference raster of ``size`` (height, width), or None.

    >>> shape_problem("box", "[5, 0, 2, 4]", (10, 10))
    'box [5, 0, 2, 4] is inverted or empty; expected x0 < x1 and y0 < y1'
    """
    try:
        value = json.loads(geometry)
        if kind == "box":
            return _box_problem(value, size)
        if kind == "disc":
            return _disc_problem(value, size)
        if kind == "polygon":
            return _polygon_problem(value, size)
        if kind == "rle":
            return _rle_problem(value, size)
    except (TypeError, ValueError, KeyError) as error:
        return f"geometry {geometry[:80]!r} is not that of a {kind} ({error})"
    return f"kind {kind!r} is unknown; expected box, disc, polygon or rle"


def _box_problem(box: list[float], size: tuple[int, int]) -> str | None:
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1):
        return f"box {box} is inverted or empty; expected x0 < x1 and y0 < y1"
    return _outside("box", box, [[x0, y0], [x1, y1]], size)


def _disc_problem(disc: list[float], size: tuple[int, int]) -> str | None:
    x, y, radius = disc
    if not radius > 0:
        return f"disc {disc} has no radius; expected one above 0"
    return _outside("point", [x, y], [[x, y]], size)


def _polygon_problem(rings: list[list[list[float]]], size: tuple[int, int]) -> str | None:
    if not rings or min(len(ring) for ring in rings) < 3:
        return "polygon has no ring of 3 points or more"
    return next(filter(None, (_outside("polygon", "ring", ring, size) for ring in rings)), None)


def _rle_problem(rle: dict[str, list[int]], size: tuple[int, int]) -> str | None:
    counts = rle["counts"]
    if tuple(rle["size"]) != tuple(size):
        return f"mask is {rle['size']} (height, width); expected its reference size {list(size)}"
    if min(counts, default=0) < 0 or sum(counts) != size[0] * size[1]:
        return f"run lengths add up to {sum(counts)}; expected {size[0]} × {size[1]}"
    if sum(counts[1::2]) == 0:
        return "mask is empty; expected at least one pixel: remove the row"
    return None


def _outside(kind: str, shown: Any, points: list[list[float]], size: tuple[int, int]) -> str | None:
    corners = np.asarray(points, dtype=np.float64)
    limit = np.array([size[1], size[0]]) + TOLERANCE_PX
    if bool(((corners >= -TOLERANCE_PX) & (corners <= limit)).all()):
        return None
    return (
        f"{kind} {shown} lies outside its frame of {size[1]} × {size[0]} pixels (width × height); "
        "correct the numbers or declare the frame they refer to"
    )


def _missing_columns(table: str, frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    missing = [name for name in columns if name not in frame.columns]
    return [f"table `{table}` lacks the columns {', '.join(missing)}"] if missing else []


def _image_problems(images: pd.DataFrame) -> list[str]:
    problems = []
    if images.empty:
        problems.append("the data set has no image; expected at least one")
    ids = images["image_id"]
    if blank := int((ids.isna() | (ids.astype(str).str.strip() == "")).sum()):
        problems.append(f"{blank} images have a blank id; expected a name for each: fill it in or remove the rows")
    twice = ids[ids.duplicated()]
    if len(twice):
        problems.append(f"{len(twice)} images are listed more than once: {some(list(twice))}; keep one row each")
    stray = sorted({str(value) for value in images["split"].dropna()} - set(SPLITS))
    if stray:
        problems.append(f"splits {some(stray)} are unknown; expected {', '.join(SPLITS)}")
    return problems


def _label_problems(labels: pd.DataFrame, images: pd.Series[Any], classes: Sequence[str]) -> list[str]:
    problems = []
    strangers = sorted(set(labels["image_id"].unique()) - set(images))
    if strangers:
        problems.append(f"labels name {len(strangers)} unknown images: {some(strangers)}; add them or drop the labels")
    for name in sorted(set(labels["class"].unique()) - set(classes)):
        problems.append(f"labels name the unknown class {name!r}{nearest(str(name), tuple(classes))}")
    states = sorted(set(labels["state"].unique()) - set(STATES))
    if states:
        problems.append(f"label states {some(states)} are unknown; expected {', '.join(STATES)}")
    twice = labels[labels.duplicated(["image_id", "class", "reader"])]
    twice = twice[~twice["image_id"].isin(images[images.duplicated()])]  # of an image that is listed twice: told above
    if len(twice):
        first = twice.iloc[0]
        problems.append(
            f"{len(twice)} labels are given more than once, first image {first['image_id']!r}, "
            f"class {first['class']!r}; keep one state per image, class and reader"
        )
    return problems
