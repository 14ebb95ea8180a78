"""Linear probes on the features of one run, scored on the test images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, Progress, write_json
from tailscope.experiment.features import read_features, why_no_features
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run
from tailscope.representation import Probes, fit_probes

REPRESENTATION = "representation"


def probes_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the ridge of every class and its losses on validation lie."""
    return folder.evidence_file(REPRESENTATION, f"probes-{run}.json")


def look_at_probes(folder: ExperimentFolder, run: Run, data: ExperimentData, progress: Progress) -> None:
    """Fit a probe per class on the training split, and write what it says of the test images.

    ``evidence/representation`` has a row per test image and class: method ``probe``, metric ``probe_logit``.

    Args:
        folder: Where the features lie and the scores go.
        run: The run; :func:`~tailscope.experiment.features.write_features` comes before.
        data: The experiment's data.
        progress: Is told.
    """
    rows = data.rows("test")
    reason = why_no_features(folder, run.name)
    scores, reasons = np.full((rows.size, len(data.classes)), np.nan), [reason] * len(data.classes)
    content: dict[str, Any] = {"reason": reason, "classes": {}}
    if not reason:
        progress.say(f"{run.name}: fitting probes")
        train, val = (read_features(folder, run.name, split, data) for split in ("train", "val"))
        probes = fit_probes(train, val)
        # Single precision drops the digits in which numbers of threads may differ.
        scores = probes.scores(read_features(folder, run.name, "test", data).features).astype(np.float32)
        reasons = list(probes.reasons)
        content["classes"] = _choices(probes, data.classes)
    write_json(probes_path(folder, run.name), content)
    table = _table(data, rows, scores.astype(np.float64), reasons).assign(run=run.name)
    write_evidence(folder.evidence(REPRESENTATION, run.name), table)


def _choices(probes: Probes, classes: tuple[str, ...]) -> dict[str, Any]:
    """Per class the ridge, and the balanced log loss on validation at every ridge that was tried."""
    return {
        name: {
            "ridge": _number(probes.ridge[number]),
            "validation_loss": {
                f"{ridge:g}": float(loss)
                for ridge, loss in zip(probes.ridges, probes.losses[:, number], strict=True)
                if math.isfinite(loss)
            },
            "reason": probes.reasons[number],
        }
        for number, name in enumerate(classes)
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _table(
    data: ExperimentData, rows: NDArray[np.int64], scores: NDArray[np.float64], reasons: list[str]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": np.repeat(data.image_ids[rows], len(data.classes)),
            "class": np.tile(np.array(data.classes), rows.size),
            "method": "probe",
            "metric": "probe_logit",
            "value": scores.ravel(),
            "reason": np.tile(np.array(reasons, dtype=object), rows.size),
        }
    )
