"""The lens: dissect every unit of one layer against every class."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import Advance, InputError, Progress, SilentProgress
from tailscope.dissection.crossfit import CrossFit
from tailscope.dissection.curve import curve_table, pooled_activation
from tailscope.dissection.evidence import ClassEvidence, class_evidence
from tailscope.dissection.images import AnnotatedImages, matched_set
from tailscope.dissection.settings import DissectionSettings
from tailscope.dissection.tables import (
    NOT_ANNOTATED,
    LayerFacts,
    counts_table,
    layer_summary,
    unit_tests,
    units_table,
)
from tailscope.dissection.thresholds import Activations, activation_range, fraction_thresholds

_DEFAULTS, _SILENT = DissectionSettings(), SilentProgress()


@dataclass(frozen=True, eq=False)
class Dissection:
    """What the units of a layer respond to.

    Args:
        units: One row per class and unit: class, unit, value (fixed-fraction IoU), attainable, iou_matched, threshold,
            matched_threshold, reason (why ``value`` says nothing); p and p_adjusted (against the best unit under
            deranged masks; Holm over classes), detector and position_only (bool), p_reason (why there is no test).
        counts: One row per annotated image and class: row, image_id, class, units, components, and for both their
            null, per 100 units, and excess per 100 units and per 100 live units; reason.
        crossfits: Class to its cross-fitted best, or to the reason why there is none.
        curve: One row per class and fraction; see :func:`tailscope.dissection.curve.curve_table`.
        layer: Summary of the layer; see :func:`tailscope.dissection.tables.layer_summary`.
    """

    units: pd.DataFrame
    counts: pd.DataFrame
    crossfits: Mapping[str, CrossFit | str]
    curve: pd.DataFrame
    layer: Mapping[str, Any]


def dissect(
    activations: Activations,
    images: AnnotatedImages,
    settings: DissectionSettings = _DEFAULTS,
    *,
    kept: MutableMapping[str, ClassEvidence] | None = None,
    progress: Progress = _SILENT,
    label: str = "units",
) -> Dissection:
    """Hold every unit of a layer against every class, on the test images.

    A class may be anything with masks: a finding, or a confounder such as a chest tube, whose target is 1 where it has
    a mask and 0 elsewhere. The fixed-fraction IoU of a class pools its annotated and its negative images. Memory is
    that of one block of units over one class's matched set (64 MiB, or one unit) and of the class's masks, besides the
    results; it does not grow with the test set.

    Args:
        activations: (N, U, h, w) floating, finite; array or memory map, rows as in ``images``. Test images only.
        images: Labels, patients and masks of the same N images.
        settings: Fractions, seed and counts of draws.
        kept: Evidence by class, of the same activations, images and settings. A class that stands there is not looked
            at again, and each class is put there as soon as it is done: a store on disk lets cut-off work go on.
        progress: Moves by classes.
        label: What the progress is called.

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
    fractions = settings.all_fractions
    ends = activation_range(activations)
    thresholds = fraction_thresholds(activations, fractions)
    top = fractions.index(settings.top_fraction)
    facts = LayerFacts(activations.shape, settings.top_fraction, thresholds[top], *ends)
    with progress.task(label, len(images.classes), "classes") as advance:
        found = _look_at_classes(activations, thresholds, images, settings, {} if kept is None else kept, advance)
    fixed = _fixed_iou(activations, thresholds, images, found)
    tests = unit_tests(
        facts, images.classes, found, {name: iou[top] for name, iou in fixed.items()}, settings.derangements
    )
    drawn = [fractions.index(fraction) for fraction in settings.fractions]
    curves = {name: iou[drawn] for name, iou in fixed.items()}
    return Dissection(
        units_table(facts, tests, found),
        counts_table(facts, images.ids, found),
        {name: _crossfit(found.get(name)) for name in images.classes},
        curve_table(images.classes, settings.fractions, found, curves),
        layer_summary(facts, tests, found),
    )


def _look_at_classes(
    activations: Activations,
    thresholds: NDArray[np.float32],
    images: AnnotatedImages,
    settings: DissectionSettings,
    kept: MutableMapping[str, ClassEvidence],
    advance: Advance,
) -> dict[str, ClassEvidence]:
    """Evidence of every class with an annotation, in the order of the classes."""
    found: dict[str, ClassEvidence] = {}
    for index, name in enumerate(images.classes):
        if name not in kept and (matched := matched_set(images, index, settings.seed)) is not None:
            kept[name] = class_evidence(activations, thresholds, (name, images.ids), matched, settings)
        if name in kept:
            found[name] = kept[name]
        advance(1)
    return found


def _fixed_iou(
    activations: Activations,
    thresholds: NDArray[np.float32],
    images: AnnotatedImages,
    found: Mapping[str, ClassEvidence],
) -> dict[str, NDArray[np.float64]]:
    """Class to (F, U) IoU over its pool: its negatives and its annotated positives."""
    sizes = {evidence.matched.bank.shape[1:] for evidence in found.values()}
    if not sizes:
        return {}
    if len(sizes) > 1:
        raise InputError(f"masks of all classes must have one size; got {sorted(sizes)}")
    pools = images.targets == 0
    for index, name in enumerate(images.classes):
        if name in found:
            matched = found[name].matched
            pools[matched.rows[matched.annotated], index] = True
    height, width = sizes.pop()
    activated = pooled_activation(activations, thresholds, pools, (height, width))
    return {
        name: found[name].fixed_iou(activated[:, :, index])
        for index, name in enumerate(images.classes)
        if name in found
    }


def _crossfit(evidence: ClassEvidence | None) -> CrossFit | str:
    if evidence is None:
        return NOT_ANNOTATED
    return evidence.crossfit or evidence.reason
