"""Arms whose networks predict exactly what control's do: their setting changes nothing, or a run was copied."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid


def same_as_control(folder: ExperimentFolder, grid: RunGrid) -> tuple[str, ...]:
    """The arms whose logits equal control's bit for bit, on every image and in every seed, in the order of the arms."""
    seeds = len(grid.seeds)
    control, others = grid.names[:seeds], grid.names[seeds:]
    logits = {run: pd.read_parquet(folder.predictions(run), columns=["logit"]) for run in control}
    return tuple(
        arm
        for at, arm in enumerate(grid.arms[1:])
        if all(
            _equal(logits[one], pd.read_parquet(folder.predictions(other), columns=["logit"]))
            for one, other in zip(control, others[at * seeds : (at + 1) * seeds], strict=True)
        )
    )


def _equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return np.array_equal(one["logit"].to_numpy(), other["logit"].to_numpy())
