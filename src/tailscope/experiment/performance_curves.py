"""Reliability and decision curves of every arm and class, for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.experiment.performance_metrics import net_benefit_name, net_benefit_samples
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import CalibrationCurve, calibration_curve, net_benefit_of_treating_all
from tailscope.stats import ComparisonSettings, MetricSamples, arm_estimate, compare

Floats = NDArray[np.float64]

CALIBRATION_COLUMNS = ("class", "group", "arm", "version", "bin", "predicted", "observed", "n")
DECISION_COLUMNS = (
    "class", "group", "arm", "threshold", "net_benefit", "lo", "hi", "treat_all",
    "difference", "difference_lo", "difference_hi",
)  # fmt: skip
RAW, CORRECTED = "raw", "prior corrected"
DECISION_AT = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50)


def calibration_curves(test: TestSet, grid: RunGrid, predicted: Predicted, bins: int = 15) -> pd.DataFrame:
    """Predicted and observed risk in equal-mass bins, averaged over seeds by the number of the bin.

    Args:
        test: The test split.
        grid: The runs.
        predicted: What they predict.
        bins: Number of bins; fewer where there are fewer images.

    Returns:
        Columns :data:`CALIBRATION_COLUMNS`, bins from 1 by rising risk; n counts the images of one seed's bin. No rows
        for a class without a positive or without a negative.
    """
    records: list[dict[str, Any]] = []
    for version, logits in ((RAW, predicted.logits), (CORRECTED, predicted.corrected)):
        by_run = [calibration_curve(run, test.targets, bins) for run in logits]
        for place, arm in enumerate(grid.arms):
            of_arm = by_run[place * len(grid.seeds) : (place + 1) * len(grid.seeds)]
            for number, name in enumerate(test.classes):
                about = {"class": name, "group": test.groups[number], "arm": arm, "version": version}
                records += [{**about, **row} for row in _bins([curves[number] for curves in of_arm])]
    return pd.DataFrame(records, columns=list(CALIBRATION_COLUMNS))


def decision_curves(
    test: TestSet,
    grid: RunGrid,
    logits: NDArray[np.floating],
    settings: ComparisonSettings,
    thresholds: Sequence[float] = DECISION_AT,
) -> pd.DataFrame:
    """Net benefit of acting on an arm's probabilities, beside treating all; treating none is 0.

    Args:
        test: The test split.
        grid: The runs, control first.
        logits: (A·S, N, K) log-odds, in the grid's order.
        settings: Of the comparison with control.
        thresholds: Threshold probabilities in (0, 1).

    Returns:
        Columns :data:`DECISION_COLUMNS`, one row per class (then macro and groups), arm and threshold; intervals are
        95 %; the differences are to control, NaN for control itself. NaN where a class is not estimable.
    """
    samples = list(net_benefit_samples(test, grid, logits, thresholds))
    found = compare(samples, settings).set_index(["metric", "class", "arm"])[["difference", "lo", "hi"]]
    differences = {key: tuple(row) for key, row in zip(found.index, found.to_numpy(), strict=True)}
    cells = {(cell.metric, cell.class_name): cell for cell in samples}
    all_treated = net_benefit_of_treating_all(test.targets, thresholds)
    names = dict.fromkeys(cell.class_name for cell in samples)
    rows = [
        (*row, *differences.get((net_benefit_name(row[3]), name, row[2]), (np.nan,) * 3))
        for name in names
        for row in _benefits(test, name, cells, all_treated, thresholds)
    ]
    return pd.DataFrame(rows, columns=list(DECISION_COLUMNS))


def _bins(curves: list[CalibrationCurve]) -> Iterator[dict[str, Any]]:
    """The bins of one class and arm; all seeds have the same, because they are as many images."""
    predicted, observed, n = (np.mean([getattr(one, name) for one in curves], axis=0) for name in _OF_A_BIN)
    for place in range(len(n)):
        yield {"bin": place + 1, "predicted": predicted[place], "observed": observed[place], "n": int(n[place])}


_OF_A_BIN = ("predicted", "observed", "n")


def _benefits(
    test: TestSet,
    name: str,
    cells: dict[tuple[str, str], MetricSamples],
    all_treated: Floats,
    thresholds: Sequence[float],
) -> Iterator[tuple[Any, ...]]:
    """Rows of one class or mean over classes, up to the net benefit of treating all."""
    for place, threshold in enumerate(thresholds):
        cell = cells[net_benefit_name(threshold), name]
        reference = float(np.mean(all_treated[_members(test, cell), place])) if not cell.why_missing else np.nan
        for number, arm in enumerate(cell.arms):
            value = arm_estimate(cell, number)
            yield name, cell.group, arm, threshold, value.value, value.lo, value.hi, reference


def _members(test: TestSet, cell: MetricSamples) -> list[int]:
    """Classes that a value is over: one, or the estimable ones of a group."""
    if not cell.is_aggregate:
        return [test.classes.index(cell.class_name)]
    return [
        number
        for number, group in enumerate(test.groups)
        if cell.class_name in ("macro", group) and not test.why_unranked(number)
    ]
