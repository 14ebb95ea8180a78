"""The dissection lens on one run: what the units of each layer respond to on the test split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, Progress, write_json, write_table
from tailscope.dissection import (
    AnnotatedImages,
    CrossFit,
    Dissection,
    DissectionSettings,
    PublishedSettings,
    dissect,
    published_class_counts,
)
from tailscope.experiment.class_records import read_class_records, write_class_records
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.kept_evidence import KeptEvidence
from tailscope.experiment.lens_config import DissectionLens
from tailscope.experiment.plan import Run

CURVES, PUBLISHED = "fraction_curves", "published_concepts"
_COUNTS = ("units_per_100", "components_per_100")


@dataclass(frozen=True, eq=False)
class SeenUnits:
    """What the lens needs of one run.

    Args:
        images: The test images, confounders behind the classes where they are asked for.
        activations: Layer to (N, U, h, w), rows as in ``images``.
        kept: Layer to what was counted of it before.
    """

    images: AnnotatedImages
    activations: Mapping[str, NDArray[np.float32]]
    kept: Mapping[str, KeptEvidence]


def crossfit_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the per-image counts behind a run's cross-fitted scores in its first layer lie."""
    return folder.evidence_file("dissection", f"crossfit-{run}.npz")


def layers_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the summaries of a run's layers lie, a list."""
    return folder.evidence_file("dissection", f"layers-{run}.json")


def unit_outputs(folder: ExperimentFolder, lens: DissectionLens, run: str) -> tuple[Path, ...]:
    """What :func:`look_at_units` leaves behind beside the table of the lens."""
    published = (folder.evidence(PUBLISHED, run),) if lens.as_published is not None else ()
    return (crossfit_path(folder, run), layers_path(folder, run), folder.evidence(CURVES, run), *published)


def dissection_settings(lens: DissectionLens) -> DissectionSettings:
    """The lens's settings as the room of dissection takes them."""
    return DissectionSettings(top_fraction=lens.top_fraction, derangements=lens.derangements, fractions=lens.fractions)


def look_at_units(
    folder: ExperimentFolder, run: Run, data: ExperimentData, lens: DissectionLens, seen: SeenUnits, progress: Progress
) -> None:
    """Dissect the layers of one run on the test split, and write what was found.

    ``evidence/dissection`` has a row per layer, class and unit for ``iou`` and ``iou_matched`` (with its test), and one
    per annotated pair for the concept counts; ``evidence/fraction_curves`` a row per class and fraction.

    Args:
        folder: Where it goes.
        run: The run.
        data: The experiment's data.
        lens: What is asked for; layers are names, already found.
        seen: Images and activations.
        progress: Moves by classes.
    """
    tables, curves, summaries, published = [], [], [], []
    for number, (layer, activations) in enumerate(seen.activations.items()):
        settings, label = dissection_settings(lens), f"{run.name}: units of {layer}"
        result = dissect(activations, seen.images, settings, kept=seen.kept[layer], progress=progress, label=label)
        if number == 0:
            write_class_records(crossfit_path(folder, run.name), seen.images.classes, result.crossfits)
        told = {"run": run.name, "layer": layer}
        tables.append(_evidence(result).assign(**told))
        curves.append(result.curve.assign(**told))
        summaries.append({"layer": layer, **result.layer})
        if lens.as_published is not None:
            asked = PublishedSettings(lens.as_published.quantile, lens.as_published.batch_size)
            counts = published_class_counts(activations, seen.images, asked, _boxes_drawn(data, seen.images))
            published.append(counts.assign(**told))
    write_json(layers_path(folder, run.name), summaries)
    write_table(folder.evidence(CURVES, run.name), pd.concat(curves, ignore_index=True))
    if lens.as_published is not None:
        write_table(folder.evidence(PUBLISHED, run.name), pd.concat(published, ignore_index=True))
    write_evidence(folder.evidence("dissection", run.name), pd.concat(tables, ignore_index=True))


def read_crossfits(folder: ExperimentFolder, run: str, classes: tuple[str, ...]) -> dict[str, CrossFit]:
    """The cross-fitted records of one run, by class; classes with too few patients are absent."""
    return read_class_records(crossfit_path(folder, run), classes, CrossFit)


def _boxes_drawn(data: ExperimentData, images: AnnotatedImages) -> NDArray[np.int64]:
    """(M,) shapes that were drawn of each annotated pair; 1 for a mask that is no annotation of a class."""
    drawn = data.annotations.groupby(["image_id", "class"]).size()
    keys = [(str(images.ids[row]), images.classes[index]) for row, index in images.annotated.tolist()]
    return np.array([int(drawn.get(key, 1)) for key in keys], dtype=np.int64)


def _evidence(result: Dissection) -> pd.DataFrame:
    """Units and concept counts as one long table."""
    return pd.concat([part for part in _parts(result) if len(part)], ignore_index=True).assign(method="")


def _parts(result: Dissection) -> Iterator[pd.DataFrame]:
    units = result.units
    shared = units[["class", "unit"]]
    fixed = {"attainable": units["attainable"], "threshold": units["threshold"], "reason": units["reason"]}
    yield shared.assign(metric="iou", value=units["value"], **fixed)
    # That the 0.04 rule cannot be met concerns the fixed fraction alone.
    why = units["reason"].where(units["iou_matched"].isna(), "")
    tests = units[["p", "p_adjusted", "detector", "position_only", "p_reason"]].assign(
        threshold=units["matched_threshold"]
    )
    yield pd.concat([shared.assign(metric="iou_matched", value=units["iou_matched"], reason=why), tests], axis=1)
    counts = result.counts
    for metric in _COUNTS:
        value, excess = counts[metric], counts[metric.replace("_per_100", "_excess_per_100")]
        shifted = counts[metric.replace("_per_100", "_shifted_excess_per_100")]
        part = counts[["class", "image_id", "reason"]]
        per_live = counts[metric.replace("_per_100", "_excess_per_100_live")]
        yield part.assign(
            metric=metric, value=value, reference=value - excess, excess=excess, excess_shifted=shifted,
            excess_per_live=per_live,
        )  # fmt: skip
