"""Metrics of per-image scores, for every class, seed and patient resample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.pair_samples import Found, LensMetric, class_sample, missing
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples

Floats = NDArray[np.float64]
Plain = Callable[[NDArray[np.floating], NDArray[np.floating]], Floats]
Resampled = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]], Floats]
_MOST_WITHOUT = 0.05  # share of resamples without a value; beyond it the others are a choice, not a sample


class Measured(NamedTuple):
    """A metric of several runs on one class.

    Args:
        values: (M,) on the test set.
        resampled: (R, M) on every resample.
        reason: Why there is none; else empty.
    """

    values: Floats
    resampled: Floats
    reason: str = ""


# Scores (N, M) and labels (N, M) of M runs on one class, multiplicities (R, N) -> one entry per metric.
Measure = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]], Sequence[Measured]]


@dataclass(frozen=True)
class ScoreMetric:
    """A metric of scores against labels.

    Args:
        lens: Name of the lens.
        name: Name of the metric in the findings.
        plain: (N, M) scores and labels to (M,) values.
        resampled: The same and (R, N) multiplicities to (R, M) values.
        direction: Which values are better; None where neither is.
    """

    lens: str
    name: str
    plain: Plain
    resampled: Resampled
    direction: Literal["higher", "lower"] | None = "higher"


def score_samples(
    test: TestSet,
    grid: RunGrid,
    metric: ScoreMetric,
    scores: NDArray[np.floating],
    reasons: Sequence[str] = (),
) -> Iterator[MetricSamples]:
    """One cell per class, then the means over classes and class groups.

    Args:
        test: The test split.
        grid: The runs.
        metric: The metric.
        scores: (A·S, N, K), in the grid's order.
        reasons: K, why a class is without scores; empty where it has them. None at all if every class has.
    """

    def measure(
        columns: NDArray[np.floating], labels: NDArray[np.floating], multiplicity: NDArray[np.integer]
    ) -> tuple[Measured]:
        return (Measured(metric.plain(columns, labels), metric.resampled(columns, labels, multiplicity)),)

    named = LensMetric(metric.lens, metric.name, metric.direction)
    yield from joint_samples(test, grid, (named,), measure, scores, reasons)


def joint_samples(
    test: TestSet,
    grid: RunGrid,
    metrics: Sequence[LensMetric],
    measure: Measure,
    scores: NDArray[np.floating],
    reasons: Sequence[str] = (),
) -> Iterator[MetricSamples]:
    """Several metrics that are measured together: per metric one cell per class, then the means over classes.

    Args:
        test: The test split.
        grid: The runs.
        metrics: The metrics.
        measure: What measures all of them on one class.
        scores: (A·S, N, K), in the grid's order.
        reasons: As in :func:`score_samples`.
    """
    by_class = [
        _cells(test, grid, metrics, measure, scores[:, :, number], (number, reasons[number] if reasons else ""))
        for number in range(len(test.classes))
    ]
    for cells in zip(*by_class, strict=True):
        yield from with_means(list(cells), len(test.image_ids))


def _cells(
    test: TestSet,
    grid: RunGrid,
    metrics: Sequence[LensMetric],
    measure: Measure,
    scores: NDArray[np.floating],
    about: tuple[int, str],
) -> list[MetricSamples]:
    number, reason = about
    labels = test.targets[:, number]
    positive, negative = labels == 1, labels == 0
    reason = test.why_unranked(number) or reason
    found = [missing(test, grid, reason)] * len(metrics)
    if not reason:
        columns = np.repeat(labels[:, None], len(grid.names), axis=1)
        draws = test.draw(np.stack([positive, negative], axis=1))
        measured = measure(scores.T, columns, draws.multiplicity)
        found = [replace(_found(test, grid, one), redrawn=draws.redrawn) for one in measured]
    positives, negatives = test.label_patients(number)
    known = int((positive | negative).sum())
    cells = [
        class_sample(test, grid, metric, number, replace(one, n=known, patients=positives))
        for metric, one in zip(metrics, found, strict=True)
    ]
    return [replace(cell, patients=min(positives, negatives)) for cell in cells]


def _found(test: TestSet, grid: RunGrid, measured: Measured) -> Found:
    """What was measured; nothing where it was not, or where too many resamples have no value."""
    share = float((~np.isfinite(measured.resampled)).any(axis=1).mean())
    if measured.reason or share > _MOST_WITHOUT:
        return missing(test, grid, measured.reason or f"{share:.0%} of the patient resamples have no value")
    return Found(measured.values, measured.resampled.T)
