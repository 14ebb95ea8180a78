"""The lens: dissect every unit of one layer against every class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError, generator
from tailscope.dissection._count_kernels import count_above
from tailscope.dissection.cells import CellGrid, cell_grid, cell_sums
from tailscope.dissection.concepts import ConceptCounts, concept_counts
from tailscope.dissection.counts import activated_pixels
from tailscope.dissection.crossfit import LEAST_PATIENTS, CrossFit, CrossFitter, patient_halves
from tailscope.dissection.derangement import derangements
from tailscope.dissection.images import AnnotatedImages, MatchedSet, matched_set
from tailscope.dissection.matched import matched_thresholds
from tailscope.dissection.tables import ClassEvidence, LayerFacts, counts_table, layer_summary, units_table
from tailscope.dissection.thresholds import Activations, activation_range, activation_thresholds

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class DissectionSettings:
    """What the lens can be told; written into the experiment's record.

    Args:
        top_fraction: Share of the grid values above the fixed-fraction threshold, in (0, 1).
        seed: Root seed of the draws of negatives, splits and derangements, the same for all runs.
        splits: Splits of the patients for the cross-fitted best.
        derangements: Derangements behind the subtracted null.

    Raises:
        InputError: A setting is out of range.
    """

    top_fraction: float = 0.005
    seed: int = 0
    splits: int = 20
    derangements: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.top_fraction < 1:
            raise InputError(f"`top_fraction` must be in (0, 1); got {self.top_fraction}")
        if self.splits < 1 or self.derangements < 1:
            raise InputError(f"`splits` and `derangements` must be 1 or more; got {self.splits}, {self.derangements}")


@dataclass(frozen=True, eq=False)
class Dissection:
    """What the units of a layer respond to.

    Args:
        units: One row per class and unit: class, unit, value (fixed-fraction IoU), attainable, iou_matched, threshold,
            matched_threshold, reason.
        counts: One row per annotated image and class: row, image_id, class, units, components, and for both their
            null, per 100 units, and excess per 100 units and per 100 live units; reason.
        crossfits: Class to its cross-fitted best, or to the reason why there is none.
        layer: Summary of the layer; see :func:`tailscope.dissection.tables.layer_summary`.
    """

    units: pd.DataFrame
    counts: pd.DataFrame
    crossfits: Mapping[str, CrossFit | str]
    layer: Mapping[str, Any]


def dissect(
    activations: Activations, images: AnnotatedImages, settings: DissectionSettings = DissectionSettings()
) -> Dissection:
    """Hold every unit of a layer against every class, on the test images.

    The fixed-fraction IoU of a class pools its annotated and its negative images. Memory is that of one block of
    units over one class's matched set (64 MiB, or one unit) besides the results; it does not grow with the test set.

    Args:
        activations: (N, U, h, w) floating, finite; array or memory map, rows as in ``images``. Test images only.
        images: Labels, patients and masks of the same N images.
        settings: Fractions, seed and counts of draws.

    Returns:
        Tables and records; the same for any order of the images.

    Raises:
        InputError: ``activations`` and ``images`` differ in length, or values are not finite.

    Source:
        METHODS section 5.
    """
    if activations.shape[0] != len(images.image_ids):
        raise InputError(
            f"`activations` must have one row per image, {len(images.image_ids)}; got {activations.shape[0]}"
        )
    thresholds = activation_thresholds(activations, settings.top_fraction)
    facts = LayerFacts(activations.shape, settings.top_fraction, thresholds, *activation_range(activations))
    evidence: dict[str, ClassEvidence] = {}
    crossfits: dict[str, CrossFit | str] = {}
    sizes: set[tuple[int, ...]] = set()
    for index, name in enumerate(images.classes):
        matched = matched_set(images, index, settings.seed)
        if matched is None:
            crossfits[name] = "no annotated test image"
            continue
        sizes.add(matched.bank.shape[1:])
        evidence[name], crossfits[name] = _look_at_class(activations, thresholds, (name, matched), settings)
    activated = _activated(activations, thresholds, images, evidence, sizes)
    return Dissection(
        units_table(facts, images.classes, evidence, activated),
        counts_table(facts, images.ids, evidence),
        crossfits,
        layer_summary(facts, images.classes, evidence, activated),
    )


def _look_at_class(
    activations: Activations,
    thresholds: NDArray[np.float32],
    named: tuple[str, MatchedSet],
    settings: DissectionSettings,
) -> tuple[ClassEvidence, CrossFit | str]:
    name, matched = named
    table, reason = _mask_table(name, matched, settings)
    cells = cell_grid((activations.shape[2], activations.shape[3]), (matched.bank.shape[1], matched.bank.shape[2]))
    sums = cell_sums(matched.bank, cells)
    pixels = np.append(matched.bank.sum(axis=(1, 2)), 0)  # index -1, the empty mask, finds the 0
    random = generator(settings.seed, "dissection", "halves", name)
    halves = patient_halves(matched.patients, matched.annotated, settings.splits, random)
    fitter = CrossFitter(pixels[table], halves)
    parts: list[_Block] = []
    for first, maps in _unit_blocks(activations, matched.rows):
        block = slice(first, first + maps.shape[1])
        level = matched_thresholds(maps, int(pixels.sum()), cells)
        active, inside = count_above(maps, level, (matched.bank, sums, table), cells)
        fitter.add(first, active, inside)
        fixed = _fixed_inside(maps, thresholds[block], matched, sums, cells)
        regions = concept_counts(
            maps[matched.annotated], thresholds[block], matched.bank, matched.patients[matched.annotated]
        )
        parts.append(_Block(level, inside[:, :, 0].sum(axis=0), active.sum(axis=0), fixed, regions))
    return _join(parts, matched), reason or fitter.finish(matched.rows)


@dataclass(frozen=True, eq=False)
class _Block:
    level: NDArray[np.float32]
    inside: NDArray[np.int64]
    active: NDArray[np.int64]
    fixed: NDArray[np.int64]
    regions: ConceptCounts


def _join(parts: list[_Block], matched: MatchedSet) -> ClassEvidence:
    inside = np.concatenate([part.inside for part in parts])
    union = np.concatenate([part.active for part in parts]) + matched.bank.sum() - inside
    regions = parts[0].regions
    for part in parts[1:]:
        regions = regions + part.regions
    return ClassEvidence(
        matched=matched,
        iou_matched=inside / union,
        matched_threshold=np.concatenate([part.level for part in parts]),
        fixed_inside=np.concatenate([part.fixed for part in parts]),
        regions=regions,
    )


def _mask_table(name: str, matched: MatchedSet, settings: DissectionSettings) -> tuple[NDArray[np.int64], str]:
    """(n, 1 + J) the mask of each image, own and deranged; and why there is no derangement, if so."""
    own = matched.own[:, None]
    if matched.annotated_patients < LEAST_PATIENTS:
        return own, f"{matched.annotated_patients} annotated patients; at least {LEAST_PATIENTS} are needed"
    random = generator(settings.seed, "dissection", "derangements", name)
    orders = derangements(matched.patients, settings.derangements, random)
    if orders is None:
        return own, "one patient has more than half of the images, so masks cannot be deranged between patients"
    return np.concatenate([own, matched.own[orders].T], axis=1), ""


def _unit_blocks(activations: Activations, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first unit, (n, B, h, w)) for consecutive blocks of units that fit the memory given to them."""
    units, height, width = activations.shape[1:]
    step = max(1, _BLOCK_BYTES // (4 * len(rows) * height * width))
    for first in range(0, units, step):
        yield first, np.ascontiguousarray(activations[rows, first : first + step], dtype=np.float32)


def _fixed_inside(
    maps: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    matched: MatchedSet,
    sums: NDArray[np.int32],
    cells: CellGrid,
) -> NDArray[np.int64]:
    has = matched.annotated
    own = np.ascontiguousarray(matched.own[has][:, None])
    inside: NDArray[np.int64] = count_above(maps[has], thresholds, (matched.bank, sums, own), cells)[1]
    return np.asarray(inside[:, :, 0].sum(axis=0))


def _activated(
    activations: Activations,
    thresholds: NDArray[np.float32],
    images: AnnotatedImages,
    evidence: Mapping[str, ClassEvidence],
    sizes: set[tuple[int, ...]],
) -> NDArray[np.int64]:
    """(U, K) pixels activated over the images of each class's pool: its negatives and its annotated positives."""
    if not sizes:
        return np.zeros((activations.shape[1], len(images.classes)), dtype=np.int64)
    if len(sizes) > 1:
        raise InputError(f"masks of all classes must have one size; got {sorted(sizes)}")
    pools = images.targets == 0
    for index, name in enumerate(images.classes):
        if name in evidence:
            matched = evidence[name].matched
            pools[matched.rows[matched.annotated], index] = True
    height, width = sizes.pop()
    return activated_pixels(activations, thresholds, pools, (height, width))
