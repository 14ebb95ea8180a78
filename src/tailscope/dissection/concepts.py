"""Concept counts: how many units answer inside a class's own mask, minus what other patients' masks give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.dissection._region_kernels import count_concept_pairs
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.counts import ratio


@dataclass(frozen=True, eq=False)
class ConceptCounts:
    """Counts per annotated image of one class; counts of disjoint sets of units add.

    Args:
        units: (n,) int64 units with an activated region inside the image's mask.
        components: (n,) int64 8-connected components of activation ∧ mask, over all units.
        null_units: (n,) float64, mean of ``units`` over the masks of all other patients; NaN where there are none.
        null_components: (n,) float64, likewise.
    """

    units: NDArray[np.int64]
    components: NDArray[np.int64]
    null_units: NDArray[np.float64]
    null_components: NDArray[np.float64]

    def __add__(self, other: ConceptCounts) -> ConceptCounts:
        return ConceptCounts(
            self.units + other.units,
            self.components + other.components,
            self.null_units + other.null_units,
            self.null_components + other.null_components,
        )


def concept_counts(
    maps: NDArray[np.floating],
    thresholds: NDArray[np.floating],
    masks: NDArray[np.bool_],
    patients: NDArray[np.int64],
) -> ConceptCounts:
    """Count units and regions inside each image's mask, and exactly on average inside other patients' masks.

    Activated is what lies strictly above the threshold after bilinear upsampling to the mask grid. Every image is
    held against the mask of every image of another patient, so the null has no random draw; the work grows with the
    square of the number of annotated images of the class. Nothing depends on batches or on order.

    Args:
        maps: (n, U, h, w) floating, finite; the annotated images of one class.
        thresholds: (U,) fixed-fraction thresholds.
        masks: (n, H, W) bool, of this class only.
        patients: (n,) int64 codes.

    Returns:
        The counts of these units.

    Source:
        METHODS section 5, concept counts.

    Example:
        >>> import numpy as np
        >>> maps = np.array([[[[1.0, 0.0, 1.0]]], [[[0.0, 0.0, 1.0]]]])
        >>> masks = np.array([[[True, True, True]], [[True, False, False]]])
        >>> counts = concept_counts(maps, np.array([0.5]), masks, np.array([0, 1]))
        >>> counts.units, counts.components, counts.null_units
        (array([1, 0]), array([2, 0]), array([1., 1.]))
    """
    cells = cell_grid((maps.shape[2], maps.shape[3]), (masks.shape[1], masks.shape[2]))
    ready = np.ascontiguousarray(maps, dtype=np.float32)
    limits = np.asarray(thresholds, dtype=np.float32)
    counts = count_concept_pairs(ready, limits, np.ascontiguousarray(masks), patients, cells)
    others = (patients[:, None] != patients[None, :]).sum(axis=1)
    null = ratio(counts[:, 2:], np.repeat(others[:, None], 2, axis=1))
    return ConceptCounts(counts[:, 0], counts[:, 1], null[:, 0], null[:, 1])
