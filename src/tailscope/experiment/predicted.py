"""What the runs predict, as it is and as the probabilities that it means."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.prior_correction import PriorCorrection
from tailscope.experiment.test_set import RunGrid
from tailscope.performance import platt_scaled

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Logits of all runs, in the grid's order.

    Args:
        logits: (A·S, N, K) of the test split.
        corrected: (A·S, N, K) prior-corrected log-odds of the same.
        val_logits: (A·S, V, K) of the validation split.
        val_targets: (V, K) in {0, 1, NaN}.
        notes: Arm to why its logits are left as they are by the prior correction.
    """

    logits: Floats
    corrected: Floats
    val_logits: Floats
    val_targets: Floats
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: ExperimentFolder, data: ExperimentData, grid: RunGrid) -> Predicted:
        """From the predictions, records and audits of finished runs."""
        corrections = {run: PriorCorrection.of(folder, run, data) for run in grid.names}
        splits = {run: _logits(folder, run, len(data.classes)) for run in grid.names}
        return cls(
            np.stack([splits[run]["test"] for run in grid.names]),
            np.stack([corrections[run](splits[run]["test"]) for run in grid.names]),
            np.stack([splits[run]["val"] for run in grid.names]),
            data.targets[data.rows("val")].astype(np.float64),
            {grid.arm_of[run]: one.why_none for run, one in corrections.items() if one.why_none},
        )

    def platt(self) -> tuple[Floats, list[str]]:
        """Log-odds (A·S, N, K) on each run's own calibration line on validation, and K reasons where a run has none."""
        pairs = zip(self.logits, self.val_logits, strict=True)
        scaled, reasons = zip(*(platt_scaled(test, val, self.val_targets) for test, val in pairs), strict=True)
        first = [next((reason for reason in column if reason), "") for column in zip(*reasons, strict=True)]
        return np.stack(scaled), [f"on validation, {reason}" if reason else "" for reason in first]


def _logits(folder: ExperimentFolder, run: str, count: int) -> dict[str, Floats]:
    table = pd.read_parquet(folder.predictions(run), columns=["split", "logit"])
    return {
        str(split): part["logit"].to_numpy(dtype=np.float64).reshape(-1, count)
        for split, part in table.groupby("split", sort=False)
    }
