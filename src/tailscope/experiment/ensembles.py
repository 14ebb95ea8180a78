"""Ensembles: the mean over seeds of what an arm predicts, against control's ensemble."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from tailscope.core import write_table
from tailscope.experiment.comparing import comparison_settings
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import test_logits
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.performance_samples import performance_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples, compare

COLUMNS = ("metric", "class", "group", "arm", "value", "lo", "hi", "difference", "difference_lo", "difference_hi")


def compare_ensembles(
    folder: ExperimentFolder, config: ExperimentConfig, test: TestSet, grid: RunGrid
) -> pd.DataFrame | None:
    """AUROC and AP of every ensemble, and their difference to control's; written to ``ensembles.parquet``.

    There is one ensemble per arm, so intervals are percentiles over patients alone, and there is no verdict.

    Returns:
        Columns :data:`COLUMNS`, control's ensemble first; None where no ensemble was asked for.
    """
    if not config.ensembles:
        return None
    members = {f"ensemble of {config.compare.control}": config.compare.control}
    members |= {label: arm for label, arm in config.ensembles.items() if arm != config.compare.control}
    labels = tuple(members)
    scores = np.stack([_mean_probability(folder, grid, arm, test.classes) for arm in members.values()])
    samples = list(performance_samples(test, RunGrid(labels, (0,), labels), scores))
    table = pd.concat([_values(cell) for cell in samples], ignore_index=True)
    found = compare(samples, comparison_settings(config.compare))
    found = found[["metric", "class", "arm", "difference", "percentile_lo", "percentile_hi"]]
    found = found.rename(columns={"percentile_lo": "difference_lo", "percentile_hi": "difference_hi"})
    table = table.merge(found, on=["metric", "class", "arm"], how="left")[list(COLUMNS)]
    write_table(folder.path / "ensembles.parquet", table)
    return table


def _values(cell: MetricSamples) -> pd.DataFrame:
    """Value of each ensemble, with the 95 % percentile interval over patients; NaN where not estimable."""
    lo, hi = np.percentile(cell.resampled, [2.5, 97.5], axis=1)
    return pd.DataFrame(
        {
            "metric": cell.metric, "class": cell.class_name, "group": cell.group, "arm": cell.arms,
            "value": cell.values[:, 0], "lo": lo, "hi": hi,
        }
    )  # fmt: skip


def _mean_probability(
    folder: ExperimentFolder, grid: RunGrid, arm: str, classes: tuple[str, ...]
) -> NDArray[np.float64]:
    """(N, K) mean over the seeds of an arm."""
    names = [name for name, owner in grid.arm_of.items() if owner == arm]
    return np.asarray(np.mean([expit(test_logits(folder, name, classes).astype(np.float64)) for name in names], axis=0))
