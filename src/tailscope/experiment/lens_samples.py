"""Alignment and dissection scores of every class, seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.experiment.units import read_crossfits
from tailscope.stats import MetricSamples, resampled_mean

COUNT_METRICS = ("units_per_100", "components_per_100")


@dataclass(frozen=True)
class _Metric:
    lens: str
    name: str
    direction: Literal["higher", "lower"] | None
    column: str = "excess"


@dataclass(frozen=True, eq=False)
class _Found:
    """Values (A·S,) and resampled values (A·S, R) of one class, and what they rest on."""

    values: NDArray[np.float64]
    resampled: NDArray[np.float64]
    n: int = 0
    patients: int = 0
    redrawn: int = 0
    reason: str = ""


def metric_name(method: object, metric: object) -> str:
    """The metric's name in the findings; Grad-CAM, the primary method, goes without saying.

    >>> metric_name("gradcam", "mass_inside"), metric_name("smoothgrad", "mass_inside")
    ('mass_inside', 'smoothgrad.mass_inside')
    """
    return str(metric) if method in ("", "gradcam") else f"{method}.{metric}"


def alignment_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Mean excess over annotated pairs of every metric, and the share of degenerate maps of every method.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence of all runs: run, image_id, class, method, metric, excess, degenerate.
    """
    for (method, name), part in table.groupby(["method", "metric"], sort=False):
        yield from _by_class(test, grid, _Metric("alignment", metric_name(method, name), "higher"), part)
    for method, part in table.groupby("method", sort=False):
        shares = part[part["metric"] == part["metric"].iloc[0]].assign(
            degenerate=lambda frame: 1.0 * frame["degenerate"]
        )
        metric = _Metric("alignment", metric_name(method, "degenerate_share"), "lower", "degenerate")
        yield from _by_class(test, grid, metric, shares)


def count_samples(test: TestSet, grid: RunGrid, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Concept counts of every annotated pair, above the count with other patients' masks; neither end is better.

    Args:
        test: The test split.
        grid: The runs.
        table: Evidence of all runs: run, image_id, class, metric, excess.
    """
    for name in COUNT_METRICS:
        yield from _by_class(test, grid, _Metric("dissection", name, None), table[table["metric"] == name])


def crossfit_samples(test: TestSet, grid: RunGrid, folder: ExperimentFolder) -> Iterator[MetricSamples]:
    """The cross-fitted best ``iou_matched`` minus its null, per class: the primary metric of dissection."""
    metric = _Metric("dissection", "best_iou_matched", "higher")
    stored = [read_crossfits(folder, name, test.classes) for name in grid.names]
    cells = []
    for number, name in enumerate(test.classes):
        fits = [found[name] for found in stored if name in found]
        if len(fits) < len(stored):
            cells.append(
                _sample(test, grid, metric, number, _missing(test, grid, "fewer than 7 annotated test patients"))
            )
            continue
        rows = fits[0].rows  # the matched set is drawn by image id, so it is the same for all runs
        chosen = np.zeros(len(test.image_ids), dtype=bool)
        chosen[rows] = True
        annotated = chosen & (test.targets[:, number] == 1)
        draws = test.draw(annotated[:, None])
        weights = draws.multiplicity[:, rows].astype(np.float64)
        found = _Found(
            np.array([fit.value for fit in fits]),
            np.stack([fit.score(weights) for fit in fits]),
            n=rows.size,
            patients=test.patients_among(annotated),
            redrawn=draws.redrawn,
        )
        cells.append(_sample(test, grid, metric, number, found))
    yield from with_means(cells, len(test.image_ids))


def _by_class(test: TestSet, grid: RunGrid, metric: _Metric, table: pd.DataFrame) -> Iterator[MetricSamples]:
    cells = []
    for number, name in enumerate(test.classes):
        part = table[table["class"] == name]
        found = _mean_over_pairs(test, grid, part, metric) if len(part) else None
        cells.append(_sample(test, grid, metric, number, found or _missing(test, grid, "no annotated test image")))
    yield from with_means(cells, len(test.image_ids))


def _mean_over_pairs(test: TestSet, grid: RunGrid, table: pd.DataFrame, metric: _Metric) -> _Found:
    wide = table.pivot(index="image_id", columns="run", values=metric.column)[list(grid.names)]
    values = wide.to_numpy(dtype=np.float64)
    usable = np.isfinite(values).all(axis=1)  # by the same mask for all arms
    if not usable.any():
        return _missing(test, grid, "no other patient has an annotation of this class")
    rows = pd.Index(test.image_ids).get_indexer(wide.index)[usable]
    values = values[usable]
    chosen = np.zeros(len(test.image_ids), dtype=bool)
    chosen[rows] = True
    draws = test.draw(chosen[:, None])
    resampled = np.stack([resampled_mean(column, rows, draws.multiplicity) for column in values.T])
    return _Found(values.mean(axis=0), resampled, rows.size, test.patients_among(chosen), draws.redrawn)


def _missing(test: TestSet, grid: RunGrid, reason: str) -> _Found:
    runs = len(grid.names)
    return _Found(np.full(runs, np.nan), np.full((runs, test.resamples), np.nan), reason=reason)


def _sample(test: TestSet, grid: RunGrid, metric: _Metric, number: int, found: _Found) -> MetricSamples:
    return MetricSamples(
        lens=metric.lens,
        metric=metric.name,
        class_name=test.classes[number],
        group=test.groups[number],
        arms=grid.arms,
        values=grid.by_arm(found.values),
        resampled=grid.by_arm(found.resampled).mean(axis=1),
        n=found.n,
        patients=found.patients,
        positive_patients=found.patients,
        negative_patients=test.label_patients(number)[1],
        direction=metric.direction,
        reason=found.reason,
        redrawn=found.redrawn,
    )
