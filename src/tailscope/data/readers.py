"""Several readers of one image: whose shapes count, and which annotations that choice changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import UnknownNameError
from tailscope.core.registry import nearest

UNION, MAJORITY = "union", "majority"


def require_reader(readers: str, annotations: pd.DataFrame) -> None:
    """Pass if ``readers`` is ``union``, ``majority`` or the name of somebody who drew.

    Raises:
        UnknownNameError: It is not; the known ones are listed.
    """
    known = (UNION, MAJORITY, *sorted({str(name) for name in annotations["reader"].dropna()}))
    if readers not in known:
        raise UnknownNameError(
            f"`readers` must be union, majority or a reader of the annotations; got {readers!r}"
            f"{nearest(readers, known)}"
        )


def combined(masks: Mapping[str, NDArray[np.bool_]], readers: str) -> NDArray[np.bool_] | None:
    """The mask of some readers as one.

    Args:
        masks: Reader to (H, W) bool; the readers who drew this class on this image.
        readers: ``union``, ``majority`` (pixels that more than half of them drew) or the name of one.

    Returns:
        (H, W) bool; None where nobody drew, the named reader did not, or no pixel has a majority.

    Example:
        >>> drawn = {"a": np.array([[True, True]]), "b": np.array([[False, True]])}
        >>> [combined(drawn, view).tolist() for view in ("union", "majority", "b")]
        [[[True, True]], [[False, True]], [[False, True]]]
    """
    if readers not in (UNION, MAJORITY):
        return masks.get(readers)
    if not masks:
        return None
    votes = np.sum(list(masks.values()), axis=0)
    mask = votes > (0 if readers == UNION else len(masks) / 2)
    return np.asarray(mask) if mask.any() or readers == UNION else None


def shape_lines(annotations: pd.DataFrame, readers: str) -> list[str]:
    """What the masks follow from, one line per shape, for a digest; in no order of rows and with no reader's name.

    Of a view that leaves out or counts no shape otherwise than the union does, these are the lines of the union.

    Args:
        annotations: Columns of :data:`~tailscope.core.ANNOTATION_COLUMNS`.
        readers: The view.
    """
    shapes = annotations.drop(columns="reader").astype(str)
    lines = ["\x1f".join(row) for row in shapes.itertuples(index=False, name=None)]
    drew = annotations["reader"].astype(str).tolist()
    if readers == MAJORITY:
        return sorted([*lines, *_disputed(shapes, lines, drew)])
    if readers == UNION:
        return sorted(lines)
    kept = [line for line, name in zip(lines, drew, strict=True) if name == readers]
    return sorted(lines if set(kept) == set(lines) else kept)


def _disputed(shapes: pd.DataFrame, lines: list[str], drew: list[str]) -> list[str]:
    """One further line per reader of each image and class on which readers differ."""
    pairs: dict[tuple[str, str], dict[str, list[str]]] = {}
    pair_of = zip(shapes["image_id"], shapes["class"], strict=True)
    for pair, line, name in zip(pair_of, lines, drew, strict=True):
        pairs.setdefault(pair, {}).setdefault(name, []).append(line)
    disputed = [by for by in pairs.values() if len({frozenset(drawn) for drawn in by.values()}) > 1]
    return ["\x1e".join([MAJORITY, *sorted(set(drawn))]) for by in disputed for drawn in by.values()]
