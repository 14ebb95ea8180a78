"""The audits of all runs as tables for the page."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tailscope.core import read_json
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid


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


def _complete(audit: dict[str, Any]) -> dict[str, Any]:
    """The gradient before training in the last stage, in which the treatment is complete."""
    found: dict[str, Any] = list(audit["gradients"].values())[-1]
    return found


def _audit(folder: ExperimentFolder, run: str) -> dict[str, Any]:
    audit: dict[str, Any] = read_json(folder.run(run) / "audit.json")
    return audit
