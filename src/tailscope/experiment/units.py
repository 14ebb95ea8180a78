"""The dissection lens on one run: activations of the test split, and what its units respond to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailscope.core import ExperimentData, Progress, atomic_write, write_json
from tailscope.dissection import AnnotatedImages, CrossFit, Dissection, DissectionSettings, dissect
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import DissectionLens
from tailscope.experiment.plan import Run
from tailscope.models import Network, frozen_eval, tap
from tailscope.training import image_batches


def crossfit_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the per-image counts behind a run's cross-fitted scores lie."""
    return folder.evidence_file("dissection", f"crossfit-{run}.npz")


def layer_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the summary of a run's layer lies."""
    return folder.evidence_file("dissection", f"layer-{run}.json")


def look_at_units(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    data: ExperimentData,
    lens: DissectionLens,
    progress: Progress,
) -> None:
    """Dissect one layer of one run on the test split, and write what was found.

    Args:
        folder: Where it goes.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        lens: ``layer`` is a name, already found.
        progress: Moves by images.
    """
    with _activations(folder, run, network, data, lens, progress) as activations:
        result = _dissected(data, activations, lens)
    _write_crossfits(crossfit_path(folder, run.name), data.classes, result)
    write_json(layer_path(folder, run.name), {"layer": lens.layer, **result.layer})
    table = _evidence(result).assign(run=run.name, layer=lens.layer)
    write_evidence(folder.evidence("dissection", run.name), table)


def read_crossfits(folder: ExperimentFolder, run: str, classes: tuple[str, ...]) -> dict[str, CrossFit]:
    """The cross-fitted records of one run, by class; classes with too few patients are absent."""
    names = [field.name for field in fields(CrossFit)]
    with np.load(crossfit_path(folder, run), allow_pickle=False) as stored:
        return {
            name: CrossFit(**{key: stored[f"{number}.{key}"] for key in names})
            for number, name in enumerate(classes)
            if f"{number}.{names[0]}" in stored
        }


@contextmanager
def _activations(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    data: ExperimentData,
    lens: DissectionLens,
    progress: Progress,
) -> Iterator[NDArray[np.float32]]:
    """(N, U, h, w) activations of the test split on a scratch memory map that is deleted afterwards.

    On disk, so that memory does not grow with the number of images.
    """
    rows = data.rows("test")
    scratch = folder.run(run.name) / "activations.scratch.npy"
    store: NDArray[np.float32] = np.zeros((0, 0, 1, 1), dtype=np.float32)
    try:
        with (
            progress.task(f"{run.name}: activations", rows.size) as advance,
            torch.no_grad(),
            frozen_eval(network.module),
            tap(network.module, [lens.layer]) as taps,
        ):
            for positions, images in image_batches(network, data.pixels, rows, lens.batch_size):
                network.module(images)
                values = taps[lens.layer].float().cpu().numpy()
                if not store.size:
                    shape = (rows.size, *values.shape[1:])
                    store = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.float32, shape=shape)
                store[positions] = values
                advance(positions.size)
        yield store
    finally:
        scratch.unlink(missing_ok=True)


def _dissected(data: ExperimentData, activations: NDArray[np.float32], lens: DissectionLens) -> Dissection:
    rows = data.rows("test")
    pairs = annotated_test_pairs(data)
    annotated = np.stack([np.searchsorted(rows, pairs[:, 0]), pairs[:, 1]], axis=1)

    def masks(position: int, name: str) -> NDArray[np.bool_] | None:
        return data.masks(int(rows[position]), name)

    images = AnnotatedImages(
        masks, data.targets[rows], annotated, data.patient_ids[rows], data.classes, data.image_ids[rows]
    )
    return dissect(activations, images, DissectionSettings(top_fraction=lens.top_fraction))


def _write_crossfits(path: Path, classes: tuple[str, ...], result: Dissection) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for name, fit in result.crossfits.items():
        if isinstance(fit, CrossFit):
            number = classes.index(name)
            arrays |= {f"{number}.{field.name}": getattr(fit, field.name) for field in fields(fit)}
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _evidence(result: Dissection) -> pd.DataFrame:
    """Units and concept counts as one long table."""
    shared = ["class", "unit", "reason"]
    units = result.units
    # That the 0.04 rule cannot be met concerns the fixed fraction alone.
    matched_reason = units["reason"].where(units["iou_matched"].isna(), "")
    parts = [
        units[shared].assign(metric="iou", value=units["value"], attainable=units["attainable"]),
        units[["class", "unit"]].assign(metric="iou_matched", value=units["iou_matched"], reason=matched_reason),
    ]
    counts = result.counts
    for metric in ("units_per_100", "components_per_100"):
        value, excess = counts[metric], counts[metric.replace("_per_100", "_excess_per_100")]
        part = counts[["class", "image_id", "reason"]]
        parts.append(part.assign(metric=metric, value=value, reference=value - excess, excess=excess))
    return pd.concat([part for part in parts if len(part)], ignore_index=True).assign(method="")
