"""Pixel counts of units against concepts, and the intersection over union that follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection._count_kernels import pooled_above
from tailscope.dissection.cells import CellGrid, cell_grid, cell_sums
from tailscope.dissection.device_counts import device_counts
from tailscope.dissection.thresholds import Activations, image_slices

DETECTOR_IOU = 0.04  # Bau et al. 2017, section 2.3
LEAST_ATTAINABLE = 0.2  # METHODS section 5: below it the 0.04 rule says more about area than about units


class DetectorTally(NamedTuple):
    """What NetDissect reports of a layer: each unit's best concept, and the units above the rule.

    Attributes:
        best_concept: (U,) int64; the first of equals.
        best_iou: (U,) float64; NaN where no IoU is defined.
        per_concept: (C,) int64, detectors of each concept.
    """

    best_concept: NDArray[np.int64]
    best_iou: NDArray[np.float64]
    per_concept: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UnitConceptCounts:
    """Pixels pooled over images; counts of disjoint sets of images add.

    Args:
        intersection: (U, C) int64, pixels activated and inside the concept.
        activated: (U,) int64, pixels activated.
        concept: (C,) int64, pixels of the concept.

    Example:
        >>> import numpy as np
        >>> one = UnitConceptCounts(np.array([[1]]), np.array([2]), np.array([3]))
        >>> one.iou().tolist(), (one + one).activated.tolist()
        ([[0.25]], [4])
    """

    intersection: NDArray[np.int64]
    activated: NDArray[np.int64]
    concept: NDArray[np.int64]

    def __add__(self, other: UnitConceptCounts) -> UnitConceptCounts:
        if self.intersection.shape != other.intersection.shape:
            raise InputError(
                f"counts of {self.intersection.shape} and of {other.intersection.shape} (units, concepts) do not add"
            )
        return UnitConceptCounts(
            self.intersection + other.intersection,
            self.activated + other.activated,
            self.concept + other.concept,
        )

    def union(self) -> NDArray[np.int64]:
        """(U, C) pixels activated or inside the concept."""
        return np.asarray(self.activated[:, None] + self.concept - self.intersection)

    def iou(self) -> NDArray[np.float64]:
        """(U, C) intersection over union in [0, 1]; NaN where neither unit nor concept has a pixel."""
        return ratio(self.intersection, self.union())

    def detectors(self, least: float = DETECTOR_IOU) -> DetectorTally:
        """Units whose best IoU is above ``least`` (strictly), as NetDissect counts them."""
        iou = self.iou()
        filled = np.where(np.isnan(iou), -np.inf, iou)
        best = filled.argmax(axis=1)
        value = iou[np.arange(len(iou)), best]
        per_concept = np.bincount(best[value > least], minlength=iou.shape[1])
        return DetectorTally(best, value, per_concept)


def unit_concept_counts(
    activations: Activations, thresholds: NDArray[np.floating], masks: Activations, *, chunk_images: int | None = None
) -> UnitConceptCounts:
    """Exact pixel counts of every unit against every concept, on the mask grid.

    A pixel is activated if the unit's map, upsampled bilinearly between pixel centres (in float64, rounded once to
    float32), is strictly above its threshold. Images stream through in chunks, and counts of parts add to the counts
    of the whole. All threads that numba may use take part; activations on a GPU are counted there, with the same
    result.

    Args:
        activations: (N, U, h, w) floating, finite; array, memory map or tensor.
        thresholds: (U,).
        masks: (N, C, H, W) bool; array, memory map or tensor.
        chunk_images: Images read at a time; by default what fits 32 MiB.

    Returns:
        Counts with ``intersection`` (U, C), ``activated`` (U,) and ``concept`` (C,).

    Raises:
        InputError: The shapes do not fit, a threshold is NaN, or an activation is not finite.

    Source:
        Bau et al. 2017, section 2.3 and equation 1; METHODS section 5.

    Example:
        >>> import numpy as np
        >>> maps, masks = np.array([[[[0.0, 1.0]]]]), np.array([[[[False, False, True, True]]]])
        >>> counts = unit_concept_counts(maps, np.array([0.5]), masks)
        >>> counts.activated, counts.iou()
        (array([2]), array([[1.]]))
    """
    limits = np.asarray(thresholds, dtype=np.float32)
    _check(activations.shape, limits, masks.shape)
    cells = cell_grid((activations.shape[2], activations.shape[3]), (masks.shape[2], masks.shape[3]))
    units, concepts = activations.shape[1], masks.shape[1]
    total = UnitConceptCounts(
        *(np.zeros(shape, dtype=np.int64) for shape in ((units, concepts), (units,), (concepts,)))
    )
    for rows in _mask_slices(activations, masks.shape, chunk_images):
        maps, some = activations[rows], masks[rows]
        if isinstance(maps, torch.Tensor) and maps.is_cuda:
            total += UnitConceptCounts(*device_counts(maps, limits, torch.as_tensor(some), cells))
        else:
            total += _count_chunk(np.ascontiguousarray(maps, dtype=np.float32), limits, some, cells)
    return total


def _count_chunk(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: NDArray[np.bool_], cells: CellGrid
) -> UnitConceptCounts:
    bank = np.ascontiguousarray(masks, dtype=bool).reshape(-1, *masks.shape[2:])
    table = np.arange(len(bank)).reshape(masks.shape[:2])
    sums = cell_sums(bank, cells)
    activated, intersection = pooled_above(maps, thresholds, (bank, sums, table), cells)
    return UnitConceptCounts(intersection, activated, sums.reshape(*table.shape, -1).sum(axis=(0, 2)))


def attainable_iou(concept_share: NDArray[np.floating], top_fraction: float) -> NDArray[np.float64]:
    """The largest IoU that a unit activated on ``top_fraction`` of the pixels can reach, in [0, 1].

    Both shares are nominal, so the value is the same for all arms. What a unit really activates on the mask grid
    differs a little from ``top_fraction``, so its IoU may exceed the value.

    Args:
        concept_share: Pixel share φ of each concept, in [0, 1].
        top_fraction: Pixel share t of the activation.

    Returns:
        min(φ, t) / max(φ, t); NaN where both are 0.

    Example:
        >>> import numpy as np
        >>> attainable_iou(np.array([0.5, 0.125]), 0.5).tolist()
        [1.0, 0.25]
    """
    share = np.asarray(concept_share, dtype=np.float64)
    largest = np.maximum(share, top_fraction)
    return ratio(np.minimum(share, top_fraction), largest)


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Part over whole; NaN where the whole is 0.

    >>> ratio(np.array([1, 0]), np.array([4, 0]))
    array([0.25,  nan])
    """
    quotient: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=quotient, where=np.asarray(whole) > 0)
    return quotient


def _mask_slices(activations: Activations, masks: tuple[int, ...], chunk_images: int | None) -> Iterator[slice]:
    pixels = masks[1] * masks[2] * masks[3]
    fits = max(1, 2**25 // pixels)
    largest = next(image_slices(activations, chunk_images)).stop
    return image_slices(activations, chunk_images or min(largest, fits))


def _check(activations: tuple[int, ...], thresholds: NDArray[np.float32], masks: tuple[int, ...]) -> None:
    if len(activations) != 4 or min(activations) < 1:
        raise InputError(f"`activations` must be (N, U, h, w), none of them 0; got {activations}")
    if thresholds.shape != tuple(activations[1:2]):
        raise InputError(f"`thresholds` must be ({activations[1]},), one per unit; got {thresholds.shape}")
    if np.isnan(thresholds).any():
        raise InputError(
            f"`thresholds` must be numbers; NaN at units {np.flatnonzero(np.isnan(thresholds))[:5].tolist()}"
        )
    if len(masks) != 4 or masks[0] != activations[0]:
        raise InputError(f"`masks` must be (N, C, H, W) with N = {activations[0]}; got {masks}")


def mean_of_known(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(R,) mean over the entries of each row that are known; NaN where none is.

    >>> mean_of_known(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]))
    array([ 2., nan])
    """
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def weightings(weights: NDArray[np.floating] | None, count: int) -> NDArray[np.float64]:
    """(R, n) weights of the images of a record, checked; one weighting with all 1 for None.

    Raises:
        InputError: They have another shape than (R, ``count``), or a negative entry.
    """
    drawn = np.ones((1, count)) if weights is None else np.asarray(weights, dtype=np.float64)
    if drawn.ndim != 2 or drawn.shape[1] != count or (drawn < 0).any():
        raise InputError(
            f"`weights` must be (R, {count}), 0 or more, one column per entry of `rows`; got {drawn.shape}"
        )
    return drawn


def mean_ratio(
    weights: NDArray[np.float64], part: NDArray[np.number], whole: NDArray[np.number]
) -> NDArray[np.float64]:
    """(R,) mean over J of Σw·part / Σw·whole, for (R, n) weights and (J, n) numbers; a J without a whole is left out.

    >>> mean_ratio(np.ones((1, 2)), np.array([[1, 0], [0, 0]]), np.array([[2, 2], [0, 0]]))
    array([0.25])
    """
    return mean_of_known(ratio(weights @ part.T.astype(np.float64), weights @ whole.T.astype(np.float64)))
