"""AUROC and AP of every class, seed and patient resample, and their means over classes and class groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.score_samples import ScoreMetric, score_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import auroc, average_precision, resampled_auroc, resampled_average_precision
from tailscope.stats import MetricSamples

_METRICS = (
    ScoreMetric("performance", "auroc", auroc, resampled_auroc),
    ScoreMetric("performance", "average_precision", average_precision, resampled_average_precision),
)


def performance_samples(test: TestSet, grid: RunGrid, logits: NDArray[np.floating]) -> Iterator[MetricSamples]:
    """Values of the performance lens.

    Args:
        test: The test split.
        grid: The runs.
        logits: (A·S, N, K), in the grid's order.
    """
    for metric in _METRICS:
        yield from score_samples(test, grid, metric, logits)
