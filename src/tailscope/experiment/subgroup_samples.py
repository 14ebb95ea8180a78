"""Performance inside a part of the test images, for every class, seed and patient resample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.performance_metrics import SPECIFICITY
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import (
    resampled_auroc,
    resampled_average_precision,
    resampled_sensitivity,
    resampled_specificity,
    threshold_at_specificity,
)
from tailscope.stats import ComparisonSettings, MetricSamples

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Scores and labels (n, M) of M runs, their thresholds (M,), multiplicities (R, n) -> (R, M).
Measure = Callable[[Floats, Floats, Floats, NDArray[np.integer]], Floats]

LEAST_PATIENTS = ComparisonSettings().min_patients
"""Patients with a positive and with a negative image that a subgroup needs to be ranked; as for a verdict."""

MEASURES: Mapping[str, Measure] = {
    "auroc": lambda scores, labels, _, multiplicity: resampled_auroc(scores, labels, multiplicity),
    "average_precision": lambda scores, labels, _, counts: resampled_average_precision(scores, labels, counts),
    "sensitivity": resampled_sensitivity,
    "specificity": resampled_specificity,
}
_AT_THRESHOLD = ("sensitivity", "specificity")


@dataclass(frozen=True, eq=False)
class Scored:
    """What all subgroups are cut from.

    Args:
        test: The test split.
        grid: The runs.
        logits: (A·S, N, K), in the grid's order.
        thresholds: (A·S, K) each run's operating points, from validation; NaN where there is none.
    """

    test: TestSet
    grid: RunGrid
    logits: NDArray[np.floating]
    thresholds: Floats

    @classmethod
    def of(cls, test: TestSet, grid: RunGrid, predicted: Predicted) -> Scored:
        """Operating points of at least 95 % specificity on the whole validation split."""
        limits = [threshold_at_specificity(one, predicted.val_targets, SPECIFICITY) for one in predicted.val_logits]
        return cls(test, grid, predicted.logits, np.stack(limits))


def subgroup_samples(scored: Scored, chosen: Flags, metrics: Sequence[str]) -> dict[str, list[MetricSamples]]:
    """Metrics among some of the test images, as if there were no others.

    Args:
        scored: The runs and what they say.
        chosen: (N,) images.
        metrics: Names out of :data:`MEASURES`.

    Returns:
        Metric to K cells. Where fewer than :data:`LEAST_PATIENTS` patients have a positive or a negative image a cell
        has a reason, its values (NaN without a positive or a negative image), and no resamples.
    """
    by_class = [_cells(scored, chosen, number, metrics) for number in range(len(scored.test.classes))]
    return {metric: [cells[place] for cells in by_class] for place, metric in enumerate(metrics)}


def gap_samples(side: MetricSamples, others: MetricSamples) -> MetricSamples:
    """One class: the metric in a subgroup minus the metric among the others, on the same resamples."""
    reason = side.reason or (f"among the others: {others.reason}" if others.reason else "")
    return replace(
        side,
        values=side.values - others.values,
        resampled=side.resampled - others.resampled,
        patients=min(side.patients, others.patients),
        reason=reason,
        redrawn=max(side.redrawn, others.redrawn),
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """One class among the n chosen images with a label, gathered once for all metrics.

    Args:
        scores: (n, A·S).
        labels: (n, A·S).
        drawn: (R, n) multiplicities; None where the class is not ranked.
        redrawn: Draws thrown away for them.
        positives: Patients with a positive image.
        negatives: Patients with a negative image.
        unranked: Why the class is not ranked; empty where it is.
    """

    scores: Floats
    labels: Floats
    drawn: NDArray[np.integer] | None
    redrawn: int
    positives: int
    negatives: int
    unranked: str

    @classmethod
    def of(cls, scored: Scored, chosen: Flags, number: int) -> _Side:
        test = scored.test
        sides = chosen[:, None] & (test.targets[:, number, None] == (1, 0))
        counts = test.patients_among(sides[:, 0]), test.patients_among(sides[:, 1])
        unranked = _why_unranked(*counts)
        rows = np.flatnonzero(sides.any(axis=1))
        scores = scored.logits[:, rows, number].T.astype(np.float64)
        labels = np.repeat(sides[rows, :1].astype(np.float64), scores.shape[1], axis=1)
        if unranked:
            return cls(scores, labels, None, 0, *counts, unranked)
        draws = test.draw(sides)
        return cls(scores, labels, draws.multiplicity.take(rows, axis=1), draws.redrawn, *counts, unranked)

    def patients(self, metric: str) -> int:
        """Patients that carry a metric: of the label that it is over, or of the rarer one."""
        of_one_label = {"sensitivity": self.positives, "specificity": self.negatives}
        return of_one_label.get(metric, min(self.positives, self.negatives))


def _cells(scored: Scored, chosen: Flags, number: int, metrics: Sequence[str]) -> list[MetricSamples]:
    side = _Side.of(scored, chosen, number)
    return [_cell(scored, side, number, metric) for metric in metrics]


def _cell(scored: Scored, side: _Side, number: int, metric: str) -> MetricSamples:
    test, grid, limits = scored.test, scored.grid, scored.thresholds[:, number]
    reason = side.unranked or _why_uncalled(metric, limits)
    values, resampled = np.full(len(grid.names), np.nan), np.full((len(grid.names), test.resamples), np.nan)
    if side.positives and side.negatives:
        once = np.ones((1, len(side.scores)), dtype=np.int32)
        values = MEASURES[metric](side.scores, side.labels, limits, once)[0]
    if not reason and side.drawn is not None:
        resampled = MEASURES[metric](side.scores, side.labels, limits, side.drawn).T
    return MetricSamples(
        lens="performance",
        metric=metric,
        class_name=test.classes[number],
        group=test.groups[number],
        arms=grid.arms,
        values=grid.by_arm(values),
        resampled=grid.by_arm(resampled).mean(axis=1),
        n=len(side.scores),
        patients=side.patients(metric),
        positive_patients=side.positives,
        negative_patients=side.negatives,
        reason=reason,
        redrawn=side.redrawn,
    )


def _why_unranked(positives: int, negatives: int) -> str:
    for count, what in ((positives, "positive"), (negatives, "negative")):
        if count < LEAST_PATIENTS:
            return f"{count} {what} {'patient' if count == 1 else 'patients'}, expected {LEAST_PATIENTS} or more"
    return ""


def _why_uncalled(metric: str, limits: Floats) -> str:
    has_none = metric in _AT_THRESHOLD and bool(np.isnan(limits).any())
    return "no operating point on validation" if has_none else ""
