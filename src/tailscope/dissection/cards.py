"""Unit cards: which test images excite a unit most, where, what it agrees with, and what the head makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection.cells import CellGrid, cell_grid
from tailscope.dissection.images import AnnotatedImages
from tailscope.dissection.thresholds import Activations, image_slices

_THRESHOLDS = {"fixed": "threshold", "matched": "matched_threshold"}  # column of the units' table


@dataclass(frozen=True)
class CardSettings:
    """What a card shows.

    Args:
        images: Images at most.
        size: (H, W) of the mask grid.
        threshold: ``matched``: the unit is as active as the class has pixels. ``fixed``: at the layer's top fraction.

    Raises:
        InputError: A setting is out of range.
    """

    size: tuple[int, int]
    images: int = 5
    threshold: Literal["fixed", "matched"] = "matched"

    def __post_init__(self) -> None:
        if self.images < 1 or min(self.size) < 1:
            raise InputError(f"`images` and both sides of `size` must be 1 or more; got {self.images}, {self.size}")
        if self.threshold not in _THRESHOLDS:
            raise InputError(f"`threshold` must be fixed or matched; got {self.threshold!r}")


@dataclass(frozen=True, eq=False)
class UnitCard:
    """One unit beside one class, as arrays; k images, strongest first, each of another patient.

    Args:
        unit: Its number.
        concept: The class that it is shown beside.
        classes: K names, in the order of the columns below.
        rows: (k,) int64 image rows; none whose maximum is not above the threshold, so a dead unit has none.
        maxima: (k,) float32 largest value of the unit's map.
        regions: (k, H, W) bool, activated.
        peaks: (k, 2) int64 row and column of the largest upsampled value, the first of equals.
        annotations: (k, H, W) bool, the class's mask; empty where nobody drew one.
        threshold: The activation above which ``regions`` lie.
        iou_matched: (K,) in [0, 1], higher is closer; NaN where it is not defined.
        iou_fixed: (K,) fixed-fraction IoU, likewise.
        weights: (K,) what the head adds to each class's logit per unit of pooled activation; None where the layer does
            not feed the head.
    """

    unit: int
    concept: str
    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    maxima: NDArray[np.float32]
    regions: NDArray[np.bool_]
    peaks: NDArray[np.int64]
    annotations: NDArray[np.bool_]
    threshold: float
    iou_matched: NDArray[np.float64]
    iou_fixed: NDArray[np.float64]
    weights: NDArray[np.floating] | None


def best_units(units: pd.DataFrame, per_class: int) -> list[tuple[str, int]]:
    """The (class, unit) pairs that deserve a card: of each class the units with the largest ``iou_matched``.

    Args:
        units: :attr:`tailscope.dissection.Dissection.units`.
        per_class: Units at most per class. A unit that never meets the class is not taken, nor one without a number.

    Returns:
        Classes in the table's order; best unit first, the lower number first among equals.

    Raises:
        InputError: ``per_class`` is smaller than 1.

    Example:
        >>> table = pd.DataFrame({"class": ["mass"] * 3, "unit": [0, 1, 2], "iou_matched": [0.1, 0.0, 0.4]})
        >>> best_units(table, 5)
        [('mass', 2), ('mass', 0)]
    """
    if per_class < 1:
        raise InputError(f"`per_class` must be 1 or more; got {per_class}")
    meeting = units[units["iou_matched"] > 0]
    ranked = meeting.sort_values(["iou_matched", "unit"], ascending=[False, True], kind="stable")
    best = ranked.groupby("class", sort=False).head(per_class)
    places = {name: place for place, name in enumerate(units["class"].unique())}
    pairs = [(str(name), int(unit)) for name, unit in zip(best["class"], best["unit"], strict=True)]
    return sorted(pairs, key=lambda pair: places[pair[0]])


def unit_cards(
    activations: Activations,
    images: AnnotatedImages,
    units: pd.DataFrame,
    choices: Sequence[tuple[str, int]],
    settings: CardSettings,
    head: NDArray[np.floating] | None = None,
) -> list[UnitCard]:
    """The cards of chosen units of one layer.

    The activations are read once, in slices; after that only the maps that are shown.

    Args:
        activations: (N, U, h, w) floating, finite; array or memory map, rows as in ``images``.
        images: Patients, ids and masks of the same N images.
        units: :attr:`tailscope.dissection.Dissection.units` of this layer.
        choices: (class, unit) pairs, e.g. from :func:`best_units`.
        settings: Number of images, mask grid and threshold.
        head: (K, U) weights of the head; None where the layer does not feed it.

    Returns:
        One card per choice, the same for any order of the images.

    Raises:
        InputError: Lengths do not fit, or a pair is not in ``units``.

    Example:
        >>> maps = np.array([[[[0.0, 2.0]]], [[[3.0, 0.0]]]])
        >>> images = AnnotatedImages(
        ...     lambda row, name: None, np.ones((2, 1)), np.empty((0, 2), int), np.array([7, 8]), ("mass",),
        ...     np.array(["a", "b"]),
        ... )
        >>> row = {"class": "mass", "unit": 0, "value": 0.2, "iou_matched": 0.5, "threshold": 1, "matched_threshold": 1}
        >>> card = unit_cards(maps, images, pd.DataFrame([row]), [("mass", 0)], CardSettings((1, 2)))[0]
        >>> card.rows.tolist(), card.peaks.tolist(), card.regions.tolist()
        ([1, 0], [[0, 0], [0, 1]], [[[True, False]], [[False, True]]])
    """
    facts = units.set_index(["class", "unit"])
    _check(activations.shape, images, head)
    missing = [choice for choice in choices if choice not in facts.index or choice[0] not in images.classes]
    if missing:
        raise InputError(
            f"`choices` must be pairs of `units`, of a class of `images`; {missing[0]} is not ({len(missing)} in all)"
        )
    numbers = sorted({unit for _, unit in choices})
    maxima = _maxima(activations, numbers)
    cards = []
    for name, unit in choices:
        by_class = facts.xs(unit, level="unit").reindex(list(images.classes))
        levels = by_class[_THRESHOLDS[settings.threshold]].to_numpy(dtype=np.float32)
        threshold = levels[images.classes.index(name)]
        shown = _Shown(name, unit, threshold, maxima[:, numbers.index(unit)])
        cards.append(
            UnitCard(
                unit=unit,
                concept=name,
                classes=images.classes,
                threshold=float(threshold),
                iou_matched=by_class["iou_matched"].to_numpy(dtype=np.float64),
                iou_fixed=by_class["value"].to_numpy(dtype=np.float64),
                weights=None if head is None else head[:, unit].copy(),
                **_pictures(activations, images, shown, settings),
            )
        )
    return cards


class _Shown(NamedTuple):
    concept: str
    unit: int
    threshold: np.float32
    maxima: NDArray[np.float32]


def _pictures(
    activations: Activations, images: AnnotatedImages, shown: _Shown, settings: CardSettings
) -> dict[str, NDArray[Any]]:
    """What a card says image by image."""
    rows = _strongest(shown.maxima, shown.threshold, images, settings.images)
    cells = cell_grid((activations.shape[2], activations.shape[3]), settings.size)
    upsampled = _upsampled(np.asarray(activations[rows, shown.unit], dtype=np.float32), cells)
    return {
        "rows": rows,
        "maxima": shown.maxima[rows],
        "regions": upsampled > shown.threshold,
        "peaks": _peaks(upsampled),
        "annotations": _annotations(images, rows, shown.concept, settings.size),
    }


def _maxima(activations: Activations, units: list[int]) -> NDArray[np.float32]:
    """(N, len(units)) largest value of each map."""
    maxima = np.empty((activations.shape[0], len(units)), dtype=np.float32)
    for rows in image_slices(activations):
        maxima[rows] = np.asarray(activations[rows])[:, units].max(axis=(2, 3))
    return maxima


def _strongest(
    maxima: NDArray[np.float32], threshold: np.float32, images: AnnotatedImages, count: int
) -> NDArray[np.int64]:
    """Rows by falling maximum, then id; those above the threshold, and of each patient the first."""
    ranked = np.lexsort((images.ids, -maxima))
    ranked = ranked[maxima[ranked] > threshold]
    first = np.unique(images.patient_codes[ranked], return_index=True)[1]
    return np.asarray(ranked[np.sort(first)][:count], dtype=np.int64)


def _upsampled(maps: NDArray[np.float32], cells: CellGrid) -> NDArray[np.float32]:
    """(k, h, w) to (k, H, W), rounded as the compiled counts round, so that a region has the pixels they count."""
    down, across = cells.row_share[:, None], cells.column_share
    above, below = _neighbours(cells.row_start)
    left, right = _neighbours(cells.column_start)
    exact = maps.astype(np.float64)
    rows = exact[:, above] + down * (exact[:, below] - exact[:, above])
    return np.asarray(rows[:, :, left] + across * (rows[:, :, right] - rows[:, :, left]), dtype=np.float32)


def _neighbours(start: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two values that each pixel along one axis lies between."""
    low = np.repeat(np.arange(len(start) - 1), np.diff(start))
    return low, np.minimum(low + 1, len(start) - 2)


def _peaks(upsampled: NDArray[np.float32]) -> NDArray[np.int64]:
    flat = upsampled.reshape(len(upsampled), upsampled.shape[1] * upsampled.shape[2]).argmax(axis=1)
    return np.stack(np.unravel_index(flat, upsampled.shape[1:]), axis=1)


def _annotations(
    images: AnnotatedImages, rows: NDArray[np.int64], name: str, size: tuple[int, int]
) -> NDArray[np.bool_]:
    drawn = np.zeros((len(rows), *size), dtype=bool)
    for annotation, row in zip(drawn, rows.tolist(), strict=True):
        mask = images.masks(row, name)
        if mask is None:
            continue
        if np.shape(mask) != size:
            raise InputError(f"`size` must be that of the masks, {np.shape(mask)}; got {size}")
        annotation[:] = mask
    return drawn


def _check(shape: tuple[int, ...], images: AnnotatedImages, head: NDArray[np.floating] | None) -> None:
    if shape[0] != len(images.image_ids):
        raise InputError(f"`activations` must have one row per image, {len(images.image_ids)}; got {shape[0]}")
    if head is not None and head.shape != (len(images.classes), shape[1]):
        raise InputError(f"`head` must be ({len(images.classes)}, {shape[1]}), classes by units; got {head.shape}")
