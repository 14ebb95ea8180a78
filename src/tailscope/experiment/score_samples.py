"""A ranking metric of per-image scores, for every class, seed and patient resample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.pair_samples import Found, LensMetric, class_sample, missing
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples

Plain = Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]]
Resampled = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]], NDArray[np.float64]]


@dataclass(frozen=True)
class ScoreMetric:
    """A metric, higher is better, of scores against labels.

    Args:
        lens: Name of the lens.
        name: Name of the metric in the findings.
        plain: (N, M) scores and labels to (M,) values.
        resampled: The same and (R, N) multiplicities to (R, M) values.
    """

    lens: str
    name: str
    plain: Plain
    resampled: Resampled


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
    cells = [
        _cell(test, grid, metric, scores[:, :, number], (number, reasons[number] if reasons else ""))
        for number in range(len(test.classes))
    ]
    yield from with_means(cells, len(test.image_ids))


def _cell(
    test: TestSet, grid: RunGrid, metric: ScoreMetric, scores: NDArray[np.floating], about: tuple[int, str]
) -> MetricSamples:
    number, reason = about
    labels = test.targets[:, number]
    positive, negative = labels == 1, labels == 0
    positives, negatives = test.label_patients(number)
    reason = test.why_unranked(number) or reason
    found = missing(test, grid, reason)
    if not reason:
        columns = np.repeat(labels[:, None], len(grid.names), axis=1)
        draws = test.draw(np.stack([positive, negative], axis=1))
        resampled = metric.resampled(scores.T, columns, draws.multiplicity).T
        found = Found(metric.plain(scores.T, columns), resampled, redrawn=draws.redrawn)
    known = replace(found, n=int((positive | negative).sum()), patients=positives)
    cell = class_sample(test, grid, LensMetric(metric.lens, metric.name, "higher"), number, known)
    return replace(cell, patients=min(positives, negatives))
