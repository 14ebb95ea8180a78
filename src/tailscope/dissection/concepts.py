"""Concept counts: how many units answer inside a class's own mask, minus what misplaced masks give."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, generator
from tailscope.dissection._region_kernels import count_concepts, runs_of
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.counts import ratio
from tailscope.dissection.threads import in_blocks


@dataclass(frozen=True, eq=False)
class ConceptCounts:
    """Counts per annotated image of one class; counts of disjoint sets of units add.

    Args:
        units: (n,) int64 units with an activated region inside the image's mask.
        components: (n,) int64 8-connected components of activation ∧ mask, over all units.
        null_units: (n,) float64, mean of ``units`` over the masks of all other patients; NaN where there are none.
        null_components: (n,) float64, likewise.
        shifted_units: (n,) float64, mean of ``units`` over the image's own mask rolled over the borders; NaN without
            shifts.
        shifted_components: (n,) float64, likewise.
    """

    units: NDArray[np.int64]
    components: NDArray[np.int64]
    null_units: NDArray[np.float64]
    null_components: NDArray[np.float64]
    shifted_units: NDArray[np.float64]
    shifted_components: NDArray[np.float64]

    def __add__(self, other: ConceptCounts) -> ConceptCounts:
        return ConceptCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def mask_shifts(
    name: str, image_ids: NDArray[np.str_], size: tuple[int, int], seed: int, count: int = 20
) -> NDArray[np.int64]:
    """Ways to roll each image's mask over the borders, all different and none of them the zero shift.

    They depend on the seed, the class and the image's id alone: not on the order of files, nor on the run.

    Args:
        name: The class.
        image_ids: (n,) ids.
        size: (H, W) of the masks.
        seed: The experiment's root seed.
        count: Shifts wanted; fewer where the mask grid has no more.

    Returns:
        (n, S, 2) int64 pixels down and right, S the smaller of ``count`` and H·W - 1.

    Raises:
        InputError: ``count`` is negative.

    Example:
        >>> import numpy as np
        >>> np.sort(mask_shifts("mass", np.array(["a"]), (1, 3), 0)[0, :, 1])
        array([1, 2])
    """
    if count < 0:
        raise InputError(f"`count` must be 0 or more shifts; got {count}")
    places = size[0] * size[1] - 1
    shifts = np.zeros((len(image_ids), min(count, places), 2), dtype=np.int64)
    for shift, image in zip(shifts, image_ids, strict=True):
        random = generator(seed, "dissection", "shifts", name, str(image))
        drawn = 1 + random.choice(places, len(shift), replace=False) if len(shift) else np.zeros(0, dtype=np.int64)
        shift[:, 0], shift[:, 1] = np.divmod(drawn, size[1])
    return shifts


def concept_counts(
    maps: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    masks: NDArray[np.bool_],
    patients: NDArray[np.int64],
    shifts: NDArray[np.int64] | None = None,
) -> ConceptCounts:
    """Count units and regions inside each image's mask, and on average inside masks that lie elsewhere.

    Activated is what lies strictly above the threshold after bilinear upsampling to the mask grid. There are two nulls.
    Every image is held against the mask of every image of another patient: exact, without a draw, and it keeps where
    in the body the class is found; its work grows with the square of the number of annotated images of the class. And
    every image is held against its own mask, rolled over the borders: it keeps the mask's size and shape. The images
    are spread over numba's threads; nothing depends on their number, on batches or on order.

    Args:
        maps: (n, U, h, w) floating, finite; the annotated images of one class.
        thresholds: (U,) fixed-fraction thresholds.
        masks: (n, H, W) bool, of this class only.
        patients: (n,) int64 codes.
        shifts: (n, S, 2) from :func:`mask_shifts`; None leaves the second null out.

    Returns:
        The counts of these units.

    Raises:
        InputError: The shapes do not fit.

    Source:
        METHODS section 5, concept counts.

    Example:
        >>> import numpy as np
        >>> maps = np.array([[[[1.0, 0.0, 1.0]]], [[[0.0, 0.0, 1.0]]]])
        >>> masks = np.array([[[True, True, True]], [[True, False, False]]])
        >>> counts = concept_counts(maps, np.array([0.5]), masks, np.array([0, 1]), np.array([[[0, 1]], [[0, 2]]]))
        >>> counts.units, counts.components, counts.null_units, counts.shifted_components
        (array([1, 0]), array([2, 0]), array([1., 1.]), array([2., 1.]))
    """
    moves = np.zeros((len(maps), 0, 2), dtype=np.int64) if shifts is None else np.asarray(shifts, dtype=np.int64)
    _check(maps, np.shape(thresholds), masks, (patients, moves))
    cells = cell_grid((maps.shape[2], maps.shape[3]), (masks.shape[1], masks.shape[2]))
    ready = np.ascontiguousarray(maps, dtype=np.float32)
    lower = np.asarray(thresholds, dtype=np.float32)
    limits = np.stack([lower, np.nextafter(lower, np.float32(np.inf))], axis=1)
    runs = runs_of(np.ascontiguousarray(masks, dtype=bool))
    counts = np.zeros((len(maps), 3, 2), dtype=np.int64)

    def count(first: int, last: int) -> None:
        for n in range(first, last):
            against = np.append(n, np.flatnonzero(patients != patients[n]))
            count_concepts(ready[n], limits, cells, runs, (against, moves[n]), counts[n])

    in_blocks(count, len(maps))
    others = (patients[:, None] != patients[None, :]).sum(axis=1)[:, None]
    null = ratio(counts[:, 1], np.repeat(others, 2, axis=1))
    shifted = ratio(counts[:, 2], np.full((len(maps), 2), moves.shape[1]))
    return ConceptCounts(counts[:, 0, 0], counts[:, 0, 1], null[:, 0], null[:, 1], shifted[:, 0], shifted[:, 1])


def _check(
    maps: NDArray[np.floating],
    thresholds: tuple[int, ...],
    masks: NDArray[np.bool_],
    per_image: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    patients, shifts = per_image
    if maps.ndim != 4 or masks.ndim != 3 or thresholds != maps.shape[1:2] or len(masks) != len(maps):
        raise InputError(
            "expected `maps` (n, U, h, w), `thresholds` (U,) and `masks` (n, H, W); "
            f"got {maps.shape}, {thresholds} and {masks.shape}"
        )
    if patients.shape != maps.shape[:1] or shifts.ndim != 3 or shifts.shape[::2] != (len(maps), 2):
        raise InputError(
            f"expected `patients` ({len(maps)},) and `shifts` ({len(maps)}, S, 2), one row per image; "
            f"got {patients.shape} and {shifts.shape}"
        )
