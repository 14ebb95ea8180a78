"""Alignment and dissection scores of every class, seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pandas as pd

from tailscope.dissection import CrossFit
from tailscope.experiment.attributing import metric_name
from tailscope.experiment.class_means import with_means
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.pair_samples import LensMetric, class_samples
from tailscope.experiment.record_samples import record_samples
from tailscope.experiment.saliency import ON_OTHER_CLASSES
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.experiment.units import read_crossfits
from tailscope.stats import MetricSamples

_TOO_FEW = "fewer than 7 annotated test patients"
COUNT_METRICS = ("units_per_100", "components_per_100")


def alignment_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Mean excess over annotated pairs of every metric, and the share of degenerate maps of every method.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence of all runs: run, image_id, class, method, metric, excess, degenerate.
    """
    for (method, name), part in table.groupby(["method", "metric"], sort=False):
        direction: Literal["higher", "lower"] = "lower" if name == ON_OTHER_CLASSES else "higher"
        yield from _with_means(test, grid, LensMetric("alignment", metric_name(method, name), direction), part)
    for method, part in table.groupby("method", sort=False):
        shares = part[part["metric"] == part["metric"].iloc[0]].assign(
            degenerate=lambda frame: 1.0 * frame["degenerate"]
        )
        metric = LensMetric("alignment", metric_name(method, "degenerate_share"), "lower", "degenerate")
        yield from _with_means(test, grid, metric, shares)


def count_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Concept counts of every annotated pair, above the count with other patients' masks; neither end is better.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence of all runs: run, image_id, class, metric, excess.
    """
    for name in COUNT_METRICS:
        yield from _with_means(test, grid, LensMetric("dissection", name, None), table[table["metric"] == name])


def crossfit_samples(test: TestSet, grid: RunGrid, folder: ExperimentFolder) -> Iterator[MetricSamples]:
    """The cross-fitted best ``iou_matched`` minus its null, per class: the primary metric of dissection."""
    metric = LensMetric("dissection", "best_iou_matched", "higher")
    stored = [read_crossfits(folder, name, test.classes) for name in grid.names]
    # The matched set is drawn by image id, so it is the same for all runs.
    yield from record_samples(test, grid, metric, stored, CrossFit.score, absent=lambda _: _TOO_FEW)


def _with_means(test: TestSet, grid: RunGrid, metric: LensMetric, table: pd.DataFrame) -> Iterator[MetricSamples]:
    cells = class_samples(test, grid, metric, table, absent="no annotated test image")
    yield from with_means(cells, len(test.image_ids))
