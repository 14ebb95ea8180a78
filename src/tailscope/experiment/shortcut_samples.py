"""The shortcut audit of every class, seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tailscope.experiment.pair_samples import LensMetric, class_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples

_NOTHING = "no image has a value in every run"


def shortcut_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Mean excess of ``on_<confounder>`` and ``removal_of_<confounder>``, per class; nearer to 0 from above is better.

    There are no means over classes: a shortcut is a matter of one class, and a mean would hide it.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence ``shortcuts`` of all runs: run, image_id, class, metric, excess.
    """
    for name, part in table.groupby("metric", sort=False):
        metric = LensMetric("alignment", str(name), "lower", nothing=_NOTHING)
        yield from class_samples(test, grid, metric, part, absent="no map of this class was made")
