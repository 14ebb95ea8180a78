"""What is counted for one class of one layer: own masks, deranged masks, fractions, regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tailscope.core import generator
from tailscope.dissection._count_kernels import pooled_above
from tailscope.dissection.cells import CellGrid, cell_grid, cell_sums
from tailscope.dissection.concepts import ConceptCounts, concept_counts, mask_shifts
from tailscope.dissection.cross_counts import CrossCounts, cross_counts, pool_over, row_prefixes
from tailscope.dissection.crossfit import LEAST_PATIENTS, CrossFit, CrossFitter, patient_halves
from tailscope.dissection.derangement import derangements, mask_holders
from tailscope.dissection.detectors import deranged_best, detector_p
from tailscope.dissection.images import MatchedSet
from tailscope.dissection.matched import matched_thresholds
from tailscope.dissection.settings import DissectionSettings
from tailscope.dissection.thresholds import Activations
from tailscope.dissection.unit_facts import unit_blocks

_MASKS_AT_A_TIME = 128


@dataclass(frozen=True, eq=False)
class ClassEvidence:
    """What was counted for one class. It can be pickled, so that a caller may keep it and go on later.

    Args:
        matched: Its matched set.
        iou_matched: (U,) float64.
        matched_threshold: (U,) float32.
        p: (U,) float64 against the best unit under derangement; NaN where masks cannot be deranged.
        reason: Why they cannot; empty if they can.
        fixed_inside: (F, U) int64 pixels above each fixed-fraction threshold inside the class's masks.
        regions: Concept counts of its annotated images.
        crossfit: Its cross-fitted best; None where masks cannot be deranged.
    """

    matched: MatchedSet
    iou_matched: NDArray[np.float64]
    matched_threshold: NDArray[np.float32]
    p: NDArray[np.float64]
    reason: str
    fixed_inside: NDArray[np.int64]
    regions: ConceptCounts
    crossfit: CrossFit | None

    @property
    def pixels(self) -> int:
        """Mask pixels of the class."""
        return self.matched.pixels

    def share(self) -> float:
        """φ of the fixed-fraction pool: mask pixels over all pixels of annotated and negative images."""
        count, height, width = self.matched.bank.shape
        return float(self.pixels / ((count + self.matched.negatives) * height * width))

    def fixed_iou(self, activated: NDArray[np.int64]) -> NDArray[np.float64]:
        """(F, U) IoU from the (F, U) pixels activated over the pool."""
        return np.asarray(self.fixed_inside / (activated + self.pixels - self.fixed_inside))


def class_evidence(
    activations: Activations,
    thresholds: NDArray[np.float32],
    named: tuple[str, NDArray[np.str_]],
    matched: MatchedSet,
    settings: DissectionSettings,
) -> ClassEvidence:
    """Count one class: block by block of units, each activation once against every mask of the class.

    Args:
        activations: (N, U, h, w) floating, finite.
        thresholds: (F, U) fixed-fraction thresholds.
        named: The class and the (N,) ids of the images; they seed the draws.
        matched: Its matched set.
        settings: Seed and counts of draws.

    Returns:
        The evidence; nothing depends on the blocks, nor on the number of threads.
    """
    name, image_ids = named
    orders, reason = _orders(name, matched, settings)
    looking = _Looking(activations, matched, orders, name, settings)
    has = matched.annotated
    masks = matched.bank, cell_sums(matched.bank, looking.cells), np.arange(len(matched.bank))[:, None]
    size = (matched.bank.shape[1], matched.bank.shape[2])
    shifts = mask_shifts(name, image_ids[matched.rows[has]], size, settings.seed)
    fixed, regions = [], []
    # Beside its map, each unit and image takes its counts with the masks at a time, and, in double, the worn ones.
    further = min(len(matched.bank), _MASKS_AT_A_TIME) + 4 * (1 + settings.crossfit_derangements)
    for first, maps in unit_blocks(activations, matched.rows, further):
        looking.add(first, maps)
        block = slice(first, first + maps.shape[1])
        drawn = maps[has]
        fixed.append([pooled_above(drawn, level[block], masks, looking.cells)[1][:, 0] for level in thresholds])
        # The regions are those of the one fraction that the layer is reported at.
        level = thresholds[settings.all_fractions.index(settings.top_fraction), block]
        regions.append(concept_counts(drawn, level, matched.bank, matched.patients[has], shifts))
    return ClassEvidence(
        matched=matched,
        iou_matched=looking.iou,
        matched_threshold=looking.level,
        p=detector_p(looking.iou, looking.null) if len(orders) else np.full(len(looking.iou), np.nan),
        reason=reason,
        fixed_inside=np.concatenate(fixed, axis=1),
        regions=sum(regions[1:], start=regions[0]),
        crossfit=looking.fitter.finish(matched.rows) if len(orders) else None,
    )


class _Looking:
    """The matched IoU of every unit, the best of any unit under each derangement, and the cross-fit, block by block."""

    def __init__(
        self,
        activations: Activations,
        matched: MatchedSet,
        orders: NDArray[np.int32],
        name: str,
        settings: DissectionSettings,
    ) -> None:
        height, width = matched.bank.shape[1:]
        units = activations.shape[1]
        self.cells: CellGrid = cell_grid((activations.shape[2], activations.shape[3]), (height, width))
        self.prefixes = row_prefixes(matched.bank)
        self.iou, self.level = np.zeros(units), np.zeros(units, dtype=np.float32)
        self.null = np.zeros(settings.derangements if len(orders) else 0)
        pixels = np.append(matched.bank.sum(axis=(1, 2)), 0)  # index -1, the empty mask, finds the 0
        self._pixels = int(pixels.sum())
        self._holders = mask_holders(orders[: len(self.null)], matched.own)
        self._table = np.concatenate([[matched.own], matched.own[orders[: settings.crossfit_derangements]]]).T
        random = generator(settings.seed, "dissection", "halves", name)
        halves = patient_halves(matched.patients, matched.annotated, settings.splits, random)
        self.fitter = CrossFitter(pixels[self._table], halves)

    def add(self, first: int, maps: NDArray[np.float32]) -> None:
        """Look at a block of units: ``maps`` (n, B, h, w), the first of them numbered ``first``."""
        level = matched_thresholds(maps, self._pixels, self.cells)
        worn = np.zeros((*maps.shape[:2], self._table.shape[1]), dtype=np.int64)
        pooled = np.zeros((maps.shape[1], len(self.null)), dtype=np.int64)
        for masks in _mask_slices(self.prefixes.shape[2]):
            some = np.ascontiguousarray(self.prefixes[:, :, masks])
            counts = cross_counts(maps, level, some, self.cells)
            pool_over(counts.inside, self._holders[:, masks], pooled)
            worn += _worn(counts, self._table - masks.start)
        active = counts.activated
        total, inside = active.sum(axis=0), worn[:, :, 0].sum(axis=0)
        self.level[first : first + len(level)] = level
        self.iou[first : first + len(level)] = inside / (total + self._pixels - inside)
        np.maximum(self.null, deranged_best(pooled, total, self._pixels), out=self.null)
        self.fitter.add(first, active, worn)


def _worn(counts: CrossCounts, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, B, T) pixels inside the mask that each image wears in each column of the (n, T) table; 0 if not here."""
    masks = counts.inside.shape[2]
    here = (table >= 0) & (table < masks)
    found = np.take_along_axis(counts.inside, np.where(here, table, 0)[:, None, :], axis=2)
    return np.where(here[:, None, :], found, 0).astype(np.int64)


def _orders(name: str, matched: MatchedSet, settings: DissectionSettings) -> tuple[NDArray[np.int32], str]:
    """(R, n) derangements of the images; and why there are none, if so."""
    none = np.zeros((0, len(matched.rows)), dtype=np.int32)
    if matched.annotated_patients < LEAST_PATIENTS:
        return none, f"{matched.annotated_patients} annotated patients; at least {LEAST_PATIENTS} are needed"
    random = generator(settings.seed, "dissection", "derangements", name)
    count = max(settings.derangements, settings.crossfit_derangements)
    orders = derangements(matched.patients, count, random)
    if orders is None:
        return none, "one patient has more than half of the images, so masks cannot be deranged between patients"
    return orders, ""


def _mask_slices(count: int) -> Iterator[slice]:
    """Consecutive slices of masks, about equally long."""
    parts = -(-count // _MASKS_AT_A_TIME)
    ends = np.linspace(0, count, parts + 1).astype(int).tolist()
    for start, end in pairwise(ends):
        yield slice(start, end)
