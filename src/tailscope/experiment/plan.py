"""The runs of an experiment, their names and their order; nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tailscope.core import ExperimentData, digest
from tailscope.experiment.config import ExperimentConfig, seed_again, slug
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.reading import dump_config
from tailscope.experiment.training_lists import CHECKED_ONLY

# Views that came later, with what they are where nobody asks for them: not hashed then, so older folders stay valid.
_LATER_VIEWS = {"hierarchy": None, "class_map": None, "near_duplicates": "refuse", "label_readers": "any"}


@dataclass(frozen=True)
class Run:
    """One trained network: an arm and a seed.

    Args:
        arm: The arm's label.
        seed: The run's seed.
        name: ``<arm>-s<seed>-<hash8>``, the hash over data, model, training and treatment.
    """

    arm: str
    seed: int
    name: str


def is_fitted(folder: ExperimentFolder, run: Run) -> bool:
    """Whether the run is whole; ``run.json`` is written last."""
    return (folder.run(run.name) / "run.json").exists()


def planned_runs(config: ExperimentConfig, data: ExperimentData) -> tuple[Run, ...]:
    """All runs in the order of work: seed by seed, control first, so that an early look compares like with like.

    Arms that adjust another arm's logits come after the others, so that they find its weights; the second control,
    with its own seed, is the last of each seed.
    """
    counts = data.counts
    adjusts = {arm: config.treatment(arm).build()(counts).after_training is not None for arm in config.arms}
    ordered = sorted(config.arms, key=lambda arm: adjusts[arm])
    places: list[tuple[str, int]] = []
    for seed in config.seeds:
        places += [(arm, seed) for arm in ordered]
        places += [] if config.second_control is None else [(config.second_control, seed_again(seed))]
    return tuple(Run(arm, seed, f"{slug(arm)}-s{seed}-{run_hash(config, data, arm, seed)[:8]}") for arm, seed in places)


def with_arms(table: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """A table of runs with the arm and the seed of each.

    >>> with_arms(pd.DataFrame({"run": ["a"]}), [Run("control", 3, "a")]).values.tolist()
    [['a', 'control', 3]]
    """
    known = {run.name: run for run in runs}
    found = [known[name] for name in table["run"]]
    return table.assign(arm=[run.arm for run in found], seed=[run.seed for run in found])


def run_hash(config: ExperimentConfig, data: ExperimentData, arm: str, seed: int) -> str:
    """Hash of all that decides a run's weights."""
    treatment = config.treatment(arm)
    own_rate = {} if treatment.lr is None else {"lr": treatment.lr}
    return digest(
        {
            **identity(config, data),
            "treatment": {"name": treatment.name, "settings": treatment.settings, **own_rate},
            "seed": seed,
        }
    )


def folder_identity(config: ExperimentConfig, data: ExperimentData) -> dict[str, Any]:
    """What stands for a whole experiment folder; a change is refused.

    A search renames every run and keeps the arms' labels, so a folder is either searched, in one way, or not at all.
    """
    return {**identity(config, data), "tune": dump_config(config)["tune"]}


def identity(config: ExperimentConfig, data: ExperimentData) -> dict[str, Any]:
    """What all runs of one experiment folder share, and their hash covers."""
    content = dump_config(config)
    view = {key: value for key, value in content["data"].items() if key not in {"root", "cache"}}
    view = {key: value for key, value in view.items() if key not in _LATER_VIEWS or value != _LATER_VIEWS[key]}
    model = content["model"]
    model = {key: value for key, value in model.items() if key not in CHECKED_ONLY}
    if isinstance(model.get("path"), str):
        model = {**model, "path": digest(Path(model["path"]))}  # the weights count, not where they lie
    training = {key: value for key, value in content["training"].items() if key != "keep_checkpoints"}
    return {"data": view, "fingerprint": data.trained_on or data.fingerprint, "model": model, "training": training}
