"""How the classes of one run lie in its features: scatter, angles of the head's rows, effective rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, class_groups
from tailscope.experiment.features import read_features, read_head, why_no_features
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run, with_arms
from tailscope.representation import class_angles, class_scatter, effective_rank, mean_differences

GEOMETRY = "geometry"
EVERY_CLASS = "macro"


def write_geometry(folder: ExperimentFolder, run: Run, data: ExperimentData) -> None:
    """Write the geometry of the classes in the features of the test images.

    ``evidence/geometry`` has a row per class, per group and one for all (``macro``): scatter_ratio (within over
    between), classifier_cosine (mean cosine of the head's row with the other rows of the row's scope), self_duality and
    effective_rank (of all features, on the last row alone), reason.

    Args:
        folder: Where the features lie, and the table goes.
        run: The run; :func:`~tailscope.experiment.features.write_features` comes before.
        data: The experiment's data.
    """
    if reason := why_no_features(folder, run.name):
        write_evidence(folder.evidence(GEOMETRY, run.name), _missing(data, reason).assign(run=run.name))
        return
    features, head = read_features(folder, run.name, "test", data).features, read_head(folder, run.name).weight
    rows = data.rows("test")
    targets, groups = data.targets[rows], class_groups(data.counts.prevalences)
    scatter = class_scatter(features, targets, data.patient_ids[rows])
    angles = class_angles(mean_differences(features, targets), head, data.classes, groups)
    per_class = _classes(angles.row_cosines, scatter.values().ratio.reshape(-1), angles.classes)
    per_class["reason"] = [one or other for one, other in zip(scatter.reasons, angles.classes["reason"], strict=True)]
    rank = effective_rank(features)
    table = pd.concat([_groups(angles.groups, rank.value), per_class], ignore_index=True)
    write_evidence(folder.evidence(GEOMETRY, run.name), table.assign(run=run.name))


def _missing(data: ExperimentData, reason: str) -> pd.DataFrame:
    """No number of any class, for this reason."""
    table = pd.DataFrame({"class": data.classes, "group": class_groups(data.counts.prevalences), "reason": reason})
    return table.assign(scatter_ratio=np.nan, classifier_cosine=np.nan, self_duality=np.nan, effective_rank=np.nan)


def geometry_table(folder: ExperimentFolder, runs: tuple[Run, ...]) -> pd.DataFrame:
    """The geometry of some runs, with arm and seed."""
    return with_arms(folder.table(GEOMETRY, tuple(run.name for run in runs)), runs)


def _classes(cosines: NDArray[np.float64], ratios: NDArray[np.float64], classes: pd.DataFrame) -> pd.DataFrame:
    others = np.where(np.eye(len(cosines), dtype=bool), np.nan, cosines)
    known = np.isfinite(others)
    count = known.sum(axis=1)
    mean = np.where(count > 0, np.where(known, others, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
    return classes[["class", "group", "self_duality"]].assign(scatter_ratio=ratios, classifier_cosine=mean)


def _groups(groups: pd.DataFrame, rank: float) -> pd.DataFrame:
    names = [EVERY_CLASS if name == "all" else name for name in groups["group"]]
    ranks: list[Any] = [rank if name == EVERY_CLASS else np.nan for name in names]
    return pd.DataFrame(
        {
            "class": names,
            "group": names,
            "classifier_cosine": groups["row_cosine"].to_numpy(),
            "self_duality": groups["self_duality"].to_numpy(),
            "effective_rank": ranks,
            "reason": groups["reason"].to_numpy(),
        }
    )
