"""What an experiment would do and need, without training: runs, images per class and split, disk, memory, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import ExperimentData, Progress
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.assumed_spread import ASSUMPTIONS
from tailscope.experiment.comparing import comparison_settings
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import fresh_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.foretelling import warnings_of
from tailscope.experiment.label_views import view_runs
from tailscope.experiment.other_tests import OtherTestSet, prepare_other_tests
from tailscope.experiment.permuted import wants_permuted
from tailscope.experiment.plan import is_fitted, planned_runs
from tailscope.experiment.predicting import Design, observed_spreads, patients_behind, predicted_precision
from tailscope.experiment.preparing import Prepared, class_table, prepare_experiment, require_same_experiment
from tailscope.experiment.roles import roles_of
from tailscope.experiment.test_set import TestSet
from tailscope.experiment.trials import TRIALS
from tailscope.experiment.tuning import Search

_ADAM_COPIES = 4  # weights, gradients and Adam's two moments


@dataclass(frozen=True, eq=False)
class DryRun:
    """The plan of an experiment.

    Args:
        runs: arm, seed, run, in the order of work, and whether it is done; before a search is done, a run has no name.
        classes: Images per class and split, and group.
        precision: Per class and metric what the comparison will be able to say; see
            :func:`tailscope.experiment.predicting.predicted_precision`. Empty where there is only control.
        assumptions: What the precision rests on where no run shows it; empty where nothing is assumed.
        needs: What is needed, as (what, how much) lines.
        warnings: What cannot be decided, one sentence each.
        notes: What the user should know, one sentence each.
    """

    runs: pd.DataFrame
    classes: pd.DataFrame
    precision: pd.DataFrame
    assumptions: str
    needs: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def dry_run(config: ExperimentConfig, out: Path, progress: Progress) -> DryRun:
    """Check everything that ``run`` checks before training, and say what it would do.

    Raises:
        InputError: What ``run`` would refuse.
    """
    folder = ExperimentFolder(out)
    prepared = prepare_experiment(config, folder, progress)
    require_same_experiment(prepared, config, folder)
    search = None if config.tune is None else Search(config, prepared.data, folder)
    classes = class_table(prepared.data)
    design = _design(prepared)
    precision = _precision(prepared, folder, design, list(classes["class"]))
    runs = _runs(prepared, config, folder, search)
    others = prepare_other_tests(prepared, folder, progress)
    needs = (*_needs(prepared, len(runs)), *_search_needs(search), *map(_tested_on, others))
    notes = (*prepared.notes, *(f"on {other.title}: {note}" for other in others for note in other.prepared.notes))
    assumed = ASSUMPTIONS if (precision["source"] == "assumed").any() else ""
    return DryRun(runs, classes, precision, assumed, needs, warnings_of(precision, design), notes)


def _design(prepared: Prepared) -> Design:
    config, roles = prepared.config, roles_of(prepared.config, prepared.data.counts)
    compared = [arm for arm in roles.compared if arm not in roles.outside and arm != roles.again]
    return Design(len(compared) - 1, len(config.seeds), comparison_settings(config.compare))


def _precision(prepared: Prepared, folder: ExperimentFolder, design: Design, order: list[str]) -> pd.DataFrame:
    """From the folder's own findings where it has some, for it may be a pilot that is to be extended."""
    test = TestSet.of(prepared.data, prepared.config.compare.resamples, prepared.config.compare.seed)
    counts = patients_behind(test, _annotated_patients(prepared))
    counts = counts.sort_values("class", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)
    observed = observed_spreads(pd.read_parquet(folder.findings)) if folder.findings.exists() else {}
    return predicted_precision(counts if design.treatments else counts.head(0), design, observed)


def _annotated_patients(prepared: Prepared) -> dict[str, int]:
    """Patients with an annotated test image of each class, where maps are scored on annotations at all."""
    data, lens = prepared.data, prepared.config.lenses.alignment
    if lens is None or "mass_inside" not in {metric.name for metric in lens.metrics}:
        return {}
    pairs = annotated_test_pairs(data)
    return {
        name: len(set(data.patient_ids[pairs[pairs[:, 1] == number, 0]].tolist()))
        for number, name in enumerate(data.classes)
    }


def _runs(
    prepared: Prepared, config: ExperimentConfig, folder: ExperimentFolder, search: Search | None
) -> pd.DataFrame:
    records = None if search is None else search.recorded()
    if search is not None and records is not None:
        config = config.model_copy(update={"treatments": search.treatments(records)})
    viewed = view_runs(config, prepared.further, roles_of(config, prepared.data.counts))
    runs = (*planned_runs(config, prepared.data), *viewed)
    named = search is None or records is not None
    return pd.DataFrame(
        {
            "arm": [run.arm for run in runs],
            "seed": [run.seed for run in runs],
            "run": [run.name if named else "named by the search" for run in runs],
            "state": ["done" if named and is_fitted(folder, run) else "to do" for run in runs],
        }
    )


def _search_needs(search: Search | None) -> list[tuple[str, str]]:
    if search is None:
        return []
    arms, epochs = len(search.arms), search.config.require_tune().epochs or search.config.training.epochs
    number = f"{TRIALS * arms} ({TRIALS} trials × {arms} arms), {search.missing()} to do; epochs each: {epochs}"
    return [("trainings of the search", number)]


def _needs(prepared: Prepared, runs: int) -> tuple[tuple[str, str], ...]:
    config, data = prepared.config, prepared.data
    network = fresh_network(config, data, config.seeds[0])
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.module.state_dict().values())
    arms = len(config.arms) + (config.second_control is not None)
    steps = config.training.epochs * math.ceil(data.rows("train").size / config.training.batch_size)
    return (
        (
            "runs",
            f"{runs} ({arms} arms × {len(config.seeds)} seeds{_viewed(prepared, runs, arms)}){_further(prepared)}",
        ),
        ("images", " + ".join(f"{data.rows(split).size:,} {split}" for split in ("train", "val", "test"))),
        ("network", f"{sum(p.numel() for p in network.module.parameters()):,} parameters"),
        ("steps per run", f"{steps:,} of {config.training.batch_size} images"),
        ("disk: decoded pixels", _size(data.pixels.nbytes)),
        ("disk: weights and maps", _size(runs * (weights * (1 + _kept(prepared)) + _map_bytes(prepared)))),
        ("disk: scratch, deleted after each run", _size(_activation_bytes(prepared))),
        ("memory: network and optimiser", _size(_ADAM_COPIES * weights)),
        ("memory: one batch of pixels", _size(4 * config.training.batch_size * int(np.prod(data.pixels.shape[1:])))),
    )


def _tested_on(other: OtherTestSet) -> tuple[str, str]:
    """A further test set: its images, and the positives of each class that it labels."""
    data = other.prepared.data
    targets = data.targets[data.rows("test")]
    known = [number for number in range(len(data.classes)) if not np.isnan(targets[:, number]).all()]
    told = ", ".join(f"{int((targets[:, number] == 1).sum()):,} {data.classes[number]}" for number in known)
    return f"also tested on {other.title}", f"{len(targets):,} images ({told})"


def _viewed(prepared: Prepared, runs: int, arms: int) -> str:
    """How many of the runs are under further label views."""
    others, views = runs - arms * len(prepared.config.seeds), len(prepared.further)
    return f", and {others} under {views} further label view{'s' if views > 1 else ''}" if views else ""


def _further(prepared: Prepared) -> str:
    return ", and one training on permuted labels" if wants_permuted(prepared.config, prepared.data) else ""


def _kept(prepared: Prepared) -> int:
    """Epochs of a run whose weights are kept."""
    return len(prepared.config.training.keep_checkpoints)


def _map_bytes(prepared: Prepared) -> int:
    if "alignment" not in prepared.layers or prepared.config.lenses.alignment is None:
        return 0
    layer, frame = prepared.layers["alignment"][0].grid, prepared.data.pixels.shape[1:3]
    cells = 0
    for method in prepared.config.lenses.alignment.attributions:
        rows, columns = layer if "layer" in ATTRIBUTIONS.settings(method.name) else frame
        cells += rows * columns
    each = 2 if len(prepared.data.classes) > 1 else 1  # the own class, and another one as a reference
    return 4 * cells * each * _pairs(prepared.data)


def _pairs(data: ExperimentData) -> int:
    rows = data.annotated.reshape(-1, 2)[:, 0]
    return int((data.split[rows] == "test").sum())


def _activation_bytes(prepared: Prepared) -> int:
    layers = prepared.layers.get("dissection", ())
    values = sum(layer.channels * layer.grid[0] * layer.grid[1] for layer in layers)
    return 4 * values * int(prepared.data.rows("test").size)


def _size(count: float) -> str:
    """Bytes for people.

    >>> _size(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
