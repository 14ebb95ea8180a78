"""The audits of all runs, and the records of their adjustments, as tables for the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from tailscope.core import ClassCounts, read_json
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid
from tailscope.treatments import Part, PriorShift

_BALANCE = ("positives", "positives_drawn", "negatives", "negatives_drawn")


def audit_table(folder: ExperimentFolder, grid: RunGrid) -> pd.DataFrame:
    """One row per run: verdict and sentence, draws, scale of loss and gradient against control, selected epoch.

    Scales are those of the last stage, in which the treatment is complete. ``weights_from`` is the arm whose weights,
    and therefore whose audit, a run has.
    """
    records = []
    for run, arm in grid.arm_of.items():
        audit, record = _audit(folder, run), read_json(folder.run(run) / "run.json")
        sampling, gradient = audit["sampling"], _complete(audit)
        records.append(
            {
                "arm": arm,
                "seed": record["seed"],
                "verdict": audit["verdict"],
                "sentence": audit["sentence"],
                "problems": [check for check in audit["checks"] if check["verdict"] != "ok"],
                "allowed": audit["allowed"],
                "weights_from": grid.arm_of.get(record.get("weights_from", ""), ""),
                "images": sampling["images"],
                "images_drawn": sampling["images_drawn"],
                "images_drawn_expected": sampling["images_drawn_expected"],
                "loss_ratio": gradient["loss_ratio"],
                "gradient_norm_ratio": gradient["gradient_norm_ratio"],
                "trained_norm_ratio": audit["epochs"][-1]["gradient_norm_ratio"],
                "lr": record["lr"],
                "selected_epoch": record["selected_epoch"] + 1,
            }
        )
    return pd.DataFrame(records)


def gradient_shares(folder: ExperimentFolder, grid: RunGrid) -> pd.DataFrame:
    """Share of the gradient of each class group, in [0, 1], at initialisation and in the last epoch: mean over seeds.

    Columns arm, moment (``start``, ``end``), group, share, share_control, on the same logits.
    """
    records = []
    for run, arm in grid.arm_of.items():
        audit = _audit(folder, run)
        for moment, found in (("start", _complete(audit)), ("end", audit["epochs"][-1])):
            records += [
                {"arm": arm, "moment": moment, "group": group, **{key: row[key] for key in ("share", "share_control")}}
                for group, row in found["groups"].items()
            ]
    frame = pd.DataFrame(records)
    return frame.groupby(["arm", "moment", "group"], as_index=False, sort=False).mean()


def draw_table(folder: ExperimentFolder, grid: RunGrid) -> pd.DataFrame:
    """Per arm and class the share of positive images among the images, expected and realised among the draws.

    Of the first seed; columns arm, class, prevalence, expected, realised.
    """
    records: list[dict[str, Any]] = []
    for run in grid.names[:: len(grid.seeds)]:
        shares = _audit(folder, run)["sampling"]["classes"]
        records += [
            {
                "arm": grid.arm_of[run],
                "class": name,
                **{key: row[key] for key in ("prevalence", "expected", "realised")},
            }
            for name, row in shares.items()
        ]
    return pd.DataFrame(records)


def balance_table(folder: ExperimentFolder, grid: RunGrid) -> pd.DataFrame:
    """What samplers that balance a further column do to it, as planned; of the first seed, which stands for all.

    Columns arm, column, class, group, and per side of the class the group's share of the images and of the draws, in
    [0, 1]; no rows where no arm has such a sampler.
    """
    records = []
    for run in grid.names[:: len(grid.seeds)]:
        balance = _audit(folder, run).get("balance")
        if balance is None:
            continue
        arm = {"arm": grid.arm_of[run], "column": balance["column"]}
        records += [
            {**arm, "class": name, "group": group, **{key: row[key] for key in _BALANCE}}
            for name, groups in balance["classes"].items()
            for group, row in groups.items()
        ]
    return pd.DataFrame(records, columns=["arm", "column", "class", "group", *_BALANCE])


def adjustment_notes(folder: ExperimentFolder, config: ExperimentConfig, grid: RunGrid) -> dict[str, tuple[str, ...]]:
    """Arm to what is to be known of the adjustment of its logits, one sentence each.

    What the fits noted is merged over the seeds, and names the seeds where it is not all of them.
    """
    noted: dict[str, dict[str, list[int]]] = {arm: {} for arm in grid.arms}
    for run, arm in grid.arm_of.items():
        record = read_json(folder.run(run) / "run.json")
        for note in (record.get("adjustment") or {}).get("notes", ()):
            noted[arm].setdefault(note, []).append(record["seed"])
    found = {
        arm: (*_population(config, arm), *(_with_seeds(note, seeds, grid) for note, seeds in notes.items()))
        for arm, notes in noted.items()
    }
    return {arm: notes for arm, notes in found.items() if notes}


def trained_with(config: ExperimentConfig, counts: ClassCounts, arms: Iterable[str]) -> dict[str, str]:
    """Arm that adjusts logits after a training, to the treatment of that training with its settings."""
    found = {}
    for arm in arms:
        section = config.treatment(arm)
        step = section.build()(counts).after_training
        if step is not None:
            name, settings = step.base
            found[arm] = str(Part(name, settings if section.lr is None else {**settings, "lr": f"{section.lr:.3g}"}))
    return found


def _population(config: ExperimentConfig, arm: str) -> tuple[str, ...]:
    """For which population a prior shift is meant."""
    treatment = config.treatment(arm).build()
    if not isinstance(treatment, PriorShift):
        return ()
    meant = "are meant for" if treatment.tau == 1 else f"are moved (by τ = {treatment.tau:g}) towards"
    return (
        f"its probabilities {meant} a population in which every class has the prevalence {treatment.target:g}; "
        "calibration is measured here at the test split's own prevalences",
    )


def _with_seeds(note: str, seeds: list[int], grid: RunGrid) -> str:
    if len(seeds) == len(grid.seeds):
        return note
    return f"{note} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})"


def _complete(audit: dict[str, Any]) -> dict[str, Any]:
    """The gradient before training in the last stage, in which the treatment is complete."""
    found: dict[str, Any] = list(audit["gradients"].values())[-1]
    return found


def _audit(folder: ExperimentFolder, run: str) -> dict[str, Any]:
    audit: dict[str, Any] = read_json(folder.run(run) / "audit.json")
    return audit
