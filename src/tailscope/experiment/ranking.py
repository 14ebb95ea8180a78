"""The performance lens on one run: every metric on the test split, from the predictions alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, class_groups
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run
from tailscope.performance import performance_table, threshold_at_specificity


def look_at_performance(folder: ExperimentFolder, run: Run, data: ExperimentData) -> None:
    """Write every performance metric of one run; operating points are chosen on the validation split."""
    test, limits = _test_and_limits(folder, run.name, len(data.classes))
    table = performance_table(
        _wide(test, "logit", len(data.classes)),
        _wide(test, "target", len(data.classes)),
        data.classes,
        groups=class_groups(data.counts.prevalences),
        thresholds=limits,
    )
    write_evidence(folder.evidence("performance", run.name), table.assign(run=run.name))


def called_positive(folder: ExperimentFolder, run: str, classes: tuple[str, ...]) -> pd.DataFrame:
    """Which test pairs one run calls positive, at the operating point chosen on validation (at least 95 % specificity).

    Args:
        folder: Where the predictions lie.
        run: The run's name.
        classes: K class names, in the order of the predictions.

    Returns:
        image_id, class, called (bool; False where no operating point exists), one row per test image and class.
    """
    test, limits = _test_and_limits(folder, run, len(classes))
    called = _wide(test, "logit", len(classes)) > limits
    return test[["image_id", "class"]].assign(called=called.ravel())


def _test_and_limits(folder: ExperimentFolder, run: str, count: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The predictions of the test split, and the operating point of each class, (count,), from validation."""
    predictions = pd.read_parquet(folder.predictions(run))
    val, test = (predictions[predictions["split"] == split] for split in ("val", "test"))
    return test, threshold_at_specificity(_wide(val, "logit", count), _wide(val, "target", count))


def _wide(table: pd.DataFrame, name: str, count: int) -> NDArray[np.float64]:
    return table[name].to_numpy(dtype=np.float64).reshape(-1, count)
