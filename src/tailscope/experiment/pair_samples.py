"""Mean scores over (image, class) pairs for every class, seed and patient resample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples


@dataclass(frozen=True)
class LensMetric:
    """One metric of a lens, and the column of the evidence that is averaged.

    Args:
        lens: Name of the lens.
        name: Name of the metric in the findings.
        direction: Which values are better; None where neither is.
        column: Of the evidence.
        nothing: Why a class has no value although it has rows.
    """

    lens: str
    name: str
    direction: Literal["higher", "lower"] | None
    column: str = "excess"
    nothing: str = "no other patient has an annotation of this class"


@dataclass(frozen=True, eq=False)
class Found:
    """Values (A·S,) and resampled values (A·S, R) of one class, and what they rest on."""

    values: NDArray[np.float64]
    resampled: NDArray[np.float64]
    n: int = 0
    patients: int = 0
    redrawn: int = 0
    reason: str = ""


def class_samples(
    test: TestSet, grid: RunGrid, metric: LensMetric, table: pd.DataFrame, *, absent: str
) -> list[MetricSamples]:
    """One cell per class: the mean of a column over the pairs that have a value in every run.

    Args:
        test: The test split.
        grid: The runs.
        metric: Its name and column.
        table: Evidence of all runs for this metric: run, image_id, class and the column.
        absent: Why a class has no value where it has no rows.
    """
    cells = []
    for number, name in enumerate(test.classes):
        part = table[table["class"] == name]
        found = _mean_over_pairs(test, grid, part, metric) if len(part) else missing(test, grid, absent)
        cells.append(class_sample(test, grid, metric, number, found))
    return cells


def missing(test: TestSet, grid: RunGrid, reason: str) -> Found:
    """No value in any run, for this reason."""
    runs = len(grid.names)
    return Found(np.full(runs, np.nan), np.full((runs, test.resamples), np.nan), reason=reason)


def class_sample(test: TestSet, grid: RunGrid, metric: LensMetric, number: int, found: Found) -> MetricSamples:
    """What was found of one class, as the statistics want it."""
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


def _mean_over_pairs(test: TestSet, grid: RunGrid, table: pd.DataFrame, metric: LensMetric) -> Found:
    wide = table.pivot(index="image_id", columns="run", values=metric.column)[list(grid.names)]
    values = wide.to_numpy(dtype=np.float64)
    usable = np.isfinite(values).all(axis=1)  # by the same mask for all arms
    if not usable.any():
        return missing(test, grid, metric.nothing)
    rows = pd.Index(test.image_ids).get_indexer(wide.index)[usable]
    values = values[usable]
    chosen = np.zeros(len(test.image_ids), dtype=bool)
    chosen[rows] = True
    draws = test.draw(chosen[:, None])
    drawn = draws.multiplicity[:, rows].astype(np.float64)  # gathered once: all runs are over the same images
    weight = drawn.sum(axis=1)  # above 0, because each draw keeps one of the images
    resampled = np.stack([np.einsum("ij,j->i", drawn, column) / weight for column in values.T])
    return Found(values.mean(axis=0), resampled, rows.size, test.patients_among(chosen), draws.redrawn)
