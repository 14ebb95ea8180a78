"""AUROC of probes and of swapped heads for every class, seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tailscope.core import ExperimentData
from tailscope.experiment.features import read_features, read_head, why_no_features
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.score_samples import ScoreMetric, score_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import auroc, resampled_auroc
from tailscope.representation import PROBE_METRIC, Halves, Swap
from tailscope.stats import MetricSamples

SWAP_COLUMNS = ("arm", "seed", "class", "group", "features_of", "head_of", "auroc", "reason")
_LENS = "representation"
_PROBE = ScoreMetric(_LENS, PROBE_METRIC, auroc, resampled_auroc)
_SWAPPED = (
    ScoreMetric(_LENS, "auroc_with_control_head", auroc, resampled_auroc),
    ScoreMetric(_LENS, "auroc_with_control_features", auroc, resampled_auroc),
)


def probe_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """``probe_auroc`` per class and its means: the primary metric of the lens.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence ``representation`` of all runs: run, image_id, class, metric, value, reason.
    """
    table = table[table["metric"] == "probe_logit"]
    parts = dict(iter(table.groupby("run")))
    wide = [
        parts[run]
        .pivot(index="image_id", columns="class", values="value")
        .loc[test.image_ids.tolist()][list(test.classes)]
        for run in grid.names
    ]
    scores = np.stack([part.to_numpy(dtype=np.float64) for part in wide])
    known = table[table["reason"] != ""].groupby("class")["reason"].first()
    yield from score_samples(test, grid, _PROBE, scores, [str(known.get(name, "")) for name in test.classes])


def swap_samples(
    folder: ExperimentFolder, data: ExperimentData, test: TestSet, grid: RunGrid
) -> Iterator[MetricSamples]:
    """Half a network of each arm with the other half of control's of the same seed; exploratory.

    ``auroc_with_control_head``: control's head on the arm's features; its difference from control is what the features
    alone do. ``auroc_with_control_features``: the arm's head on control's features; what the head alone does.
    """
    reason = _why_not(folder, grid)
    scores = np.full((len(grid.names), 2, len(test.image_ids), len(test.classes)), np.nan)
    for number, swap in enumerate(() if reason else _swaps(folder, data, grid)):
        scores[number] = swap.logits[1, 0], swap.logits[0, 1]
    for number, metric in enumerate(_SWAPPED):
        yield from score_samples(test, grid, metric, scores[:, number], [reason] * len(test.classes))


def swap_table(folder: ExperimentFolder, data: ExperimentData, test: TestSet, grid: RunGrid) -> pd.DataFrame:
    """AUROC of the four combinations of features and head, of every arm with control of the same seed.

    Returns:
        Columns :data:`SWAP_COLUMNS`, one row per treatment, seed, class and combination; ``features_of`` and
        ``head_of`` are arms.
    """
    reason, runs = _why_not(folder, grid), _runs(grid)
    missing = np.full((2, 2, len(test.classes)), np.nan)
    found = [missing] * len(runs) if reason else [swap.auroc(test.targets) for swap in _swaps(folder, data, grid)]
    rows = [
        (
            arm,
            seed,
            name,
            test.groups[number],
            *halves,
            float(values[place][number]),
            reason or test.why_unranked(number),
        )
        for (arm, seed), values in zip(runs, found, strict=True)
        if arm != grid.arms[0]
        for number, name in enumerate(test.classes)
        for place, halves in _combinations(grid.arms[0], arm)
    ]
    return pd.DataFrame(rows, columns=list(SWAP_COLUMNS))


def _combinations(control: str, arm: str) -> Iterator[tuple[tuple[int, int], tuple[str, str]]]:
    """Place in the table of values, and the arms of features and head."""
    for row, features in enumerate((control, arm)):
        for column, head in enumerate((control, arm)):
            yield (row, column), (features, head)


def _why_not(folder: ExperimentFolder, grid: RunGrid) -> str:
    """By the same mask for all arms: the first reason that a run has."""
    return next((reason for run in grid.names if (reason := why_no_features(folder, run))), "")


def _runs(grid: RunGrid) -> list[tuple[str, int]]:
    """(arm, seed) in the grid's order."""
    return [(arm, seed) for arm in grid.arms for seed in grid.seeds]


def _swaps(folder: ExperimentFolder, data: ExperimentData, grid: RunGrid) -> Iterator[Swap]:
    """Every run with control of its seed, in the grid's order; control's own with itself."""
    controls = [_halves(folder, data, run) for run in grid.names[: len(grid.seeds)]]
    for number, run in enumerate(grid.names):
        yield Swap.of(controls[number % len(grid.seeds)], _halves(folder, data, run))


def _halves(folder: ExperimentFolder, data: ExperimentData, run: str) -> Halves:
    return Halves(read_features(folder, run, "test", data).features, read_head(folder, run))
