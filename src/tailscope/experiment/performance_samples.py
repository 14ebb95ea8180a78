"""AUROC and AP of every class, seed and patient resample, and their means over classes and class groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import auroc, average_precision, resampled_auroc, resampled_average_precision
from tailscope.stats import MetricSamples

Plain = Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]]
Resampled = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]], NDArray[np.float64]]


@dataclass(frozen=True)
class _Metric:
    name: str
    plain: Plain
    resampled: Resampled


_METRICS = (
    _Metric("auroc", auroc, resampled_auroc),
    _Metric("average_precision", average_precision, resampled_average_precision),
)


def performance_samples(test: TestSet, grid: RunGrid, logits: NDArray[np.floating]) -> Iterator[MetricSamples]:
    """Values of the performance lens.

    Args:
        test: The test split.
        grid: The runs.
        logits: (A·S, N, K), in the grid's order.
    """
    for metric in _METRICS:
        cells = [_cell(test, grid, logits[:, :, number], number, metric) for number in range(len(test.classes))]
        yield from with_means(cells, len(test.image_ids))


def _cell(test: TestSet, grid: RunGrid, scores: NDArray[np.floating], number: int, metric: _Metric) -> MetricSamples:
    labels = test.targets[:, number]
    positive, negative = labels == 1, labels == 0
    positives, negatives = test.label_patients(number)
    runs = len(grid.names)
    values = np.full(runs, np.nan)
    resampled = np.full((runs, test.resamples), np.nan)
    reason, redrawn = "", 0
    if positives and negatives:
        columns = np.repeat(labels[:, None], runs, axis=1)
        draws = test.draw(np.stack([positive, negative], axis=1))
        values = metric.plain(scores.T, columns)
        resampled = metric.resampled(scores.T, columns, draws.multiplicity).T
        redrawn = draws.redrawn
    else:
        reason = f"no {'positive' if not positives else 'negative'} test image"
    return MetricSamples(
        lens="performance",
        metric=metric.name,
        class_name=test.classes[number],
        group=test.groups[number],
        arms=grid.arms,
        values=grid.by_arm(values),
        resampled=grid.by_arm(resampled).mean(axis=1),
        n=int((positive | negative).sum()),
        patients=min(positives, negatives),
        positive_patients=positives,
        negative_patients=negatives,
        direction="higher",
        reason=reason,
        redrawn=redrawn,
    )
