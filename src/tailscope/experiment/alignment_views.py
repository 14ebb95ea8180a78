"""The primary alignment metric over other selections of the same pairs: described, never tested."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.ranking import called_positive
from tailscope.experiment.test_set import RunGrid

ALL_PAIRS = "all pairs"
TRUE_POSITIVES = "true positives"
BOTH_PREDICT = "called by both arms"
DROPPED = "degenerate maps dropped"
AS_A_MISS = "degenerate maps as a miss"

_KEYS = ["class", "arm", "method"]


def view_table(
    folder: ExperimentFolder, grid: RunGrid, evidence: pd.DataFrame, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Mean excess under each view, mean over the seeds' pairs.

    The views: all pairs, on which every verdict rests; the pairs that the arm itself calls positive at its operating
    point; those that the arm and control both call; all without degenerate maps; and all with degenerate maps scored 0
    in place of chance. Selecting by an arm's own predictions, or by whether its map says something, selects on the
    outcome.

    Args:
        folder: Where the predictions lie.
        grid: The runs, control first.
        evidence: Rows of the primary metric with run, arm, image_id, class, method, value, reference, excess,
            degenerate.
        classes: K class names.

    Returns:
        class, arm, method, view, excess, n (pairs and seeds).
    """
    called = pd.concat([called_positive(folder, run, classes).assign(run=run) for run in grid.names])
    keys = ["run", "image_id", "class"]
    whole = evidence.merge(called, on=keys, how="left", validate="many_to_one")
    controls = {run: grid.names[number % len(grid.seeds)] for number, run in enumerate(grid.names)}
    of_control = called.rename(columns={"run": "control", "called": "control_called"})
    whole = whole.assign(control=whole["run"].map(controls))
    whole = whole.merge(of_control, on=["control", "image_id", "class"], how="left", validate="many_to_one")
    return pd.concat([_means(part, name) for name, part in _views(whole)], ignore_index=True)


def _views(pairs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    degenerate, called = pairs["degenerate"].astype(bool), pairs["called"].astype(bool)
    yield ALL_PAIRS, pairs
    yield TRUE_POSITIVES, pairs[called]
    yield BOTH_PREDICT, pairs[called & pairs["control_called"].astype(bool)]
    yield DROPPED, pairs[~degenerate]
    yield AS_A_MISS, pairs.assign(excess=pairs["excess"].where(~degenerate, -pairs["reference"]))


def _means(pairs: pd.DataFrame, view: str) -> pd.DataFrame:
    found = pairs.groupby(_KEYS, sort=False)["excess"].agg(excess="mean", n="count").reset_index()
    return found.assign(view=view)
