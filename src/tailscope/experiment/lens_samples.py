"""Alignment and dissection scores of every class, seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.experiment.units import read_crossfits
from tailscope.stats import MetricSamples, resampled_mean

COUNT_METRICS = ("units_per_100", "components_per_100")


def pair_samples(test: TestSet, grid: RunGrid, lens: str, table: pd.DataFrame) -> Iterator[MetricSamples]:
    """Means over annotated (image, class) pairs of a lens's excess.

    Args:
        test: The test split.
        grid: The runs.
        lens: ``alignment`` or ``dissection``.
        table: Evidence of all runs with run, image_id, class, method, metric, excess and, in alignment, degenerate.
    """
    for (method, metric), part in table.groupby(["method", "metric"], sort=True):
        yield from _by_class(test, grid, (lens, metric_name(method, metric)), part, ("excess", "higher"))
    if "degenerate" in table and len(table):
        first = table[table["metric"] == table["metric"].iloc[0]]
        for method, part in first.groupby("method", sort=True):
            numbers = part.assign(degenerate=part["degenerate"].astype(float))
            yield from _by_class(
                test, grid, (lens, metric_name(method, "degenerate_share")), numbers, ("degenerate", "lower")
            )


def _by_class(
    test: TestSet, grid: RunGrid, name: tuple[str, str], table: pd.DataFrame, column: tuple[str, str]
) -> Iterator[MetricSamples]:
    for number, class_name in enumerate(test.classes):
        part = table[table["class"] == class_name]
        if len(part):
            values = part.pivot(index="image_id", columns="run", values=column[0])[list(grid.names)]
            yield _pair_cell(test, grid, (*name, column[1]), number, values)
        else:
            yield _missing(test, grid, (*name, column[1]), number, "no annotated test image")


def _pair_cell(
    test: TestSet, grid: RunGrid, name: tuple[str, str, str], number: int, values: pd.DataFrame
) -> MetricSamples:
    rows = pd.Index(test.image_ids).get_indexer(values.index)
    numbers = values.to_numpy(dtype=np.float64)
    usable = np.isfinite(numbers).all(axis=1)  # by the same mask for all arms
    if not usable.any():
        return _missing(test, grid, name, number, "no other patient has an annotation of this class")
    rows, numbers = rows[usable], numbers[usable]
    chosen = np.zeros(len(test.image_ids), dtype=bool)
    chosen[rows] = True
    draws = test.draw(chosen[:, None])
    resampled = np.stack([resampled_mean(column, rows, draws.multiplicity) for column in numbers.T])
    return _sample(
        test,
        grid,
        name,
        number,
        (numbers.mean(axis=0), resampled),
        n=len(rows),
        patients=test.patients_among(chosen),
        redrawn=draws.redrawn,
    )


def crossfit_samples(test: TestSet, grid: RunGrid, folder: ExperimentFolder) -> Iterator[MetricSamples]:
    """The cross-fitted best ``iou_matched`` minus its null, per class (the primary metric of dissection)."""
    found = [read_crossfits(folder, name, test.classes) for name in grid.names]
    name = ("dissection", "best_iou_matched", "higher")
    for number, class_name in enumerate(test.classes):
        fits = [record.get(class_name) for record in found]
        whole = [fit for fit in fits if fit is not None]
        if len(whole) < len(fits):
            yield _missing(test, grid, name, number, "fewer than 7 annotated test patients")
            continue
        positive = test.targets[:, number] == 1
        chosen = np.zeros(len(test.image_ids), dtype=bool)
        chosen[whole[0].rows] = True
        annotated = chosen & positive
        draws = test.draw(annotated[:, None])
        values = np.array([fit.value for fit in whole])
        resampled = np.stack([fit.score(draws.multiplicity[:, fit.rows]) for fit in whole])
        patients = test.patients_among(annotated)
        yield _sample(
            test,
            grid,
            name,
            number,
            (values, resampled),
            n=int(chosen.sum()),
            patients=patients,
            redrawn=draws.redrawn,
        )


def _sample(
    test: TestSet,
    grid: RunGrid,
    name: tuple[str, str, str],
    number: int,
    found: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    n: int,
    patients: int,
    redrawn: int,
    reason: str = "",
) -> MetricSamples:
    lens, metric, direction = name
    return MetricSamples(
        lens=lens,
        metric=metric,
        class_name=test.classes[number],
        group=test.groups[number],
        arms=grid.arms,
        values=grid.by_arm(found[0]),
        resampled=grid.by_arm(found[1]).mean(axis=1),
        n=n,
        patients=patients,
        positive_patients=patients,
        negative_patients=test.label_patients(number)[1],
        direction="higher" if direction == "higher" else "lower",
        reason=reason,
        redrawn=redrawn,
    )


def _missing(test: TestSet, grid: RunGrid, name: tuple[str, str, str], number: int, reason: str) -> MetricSamples:
    runs = len(grid.names)
    empty = np.full(runs, np.nan), np.full((runs, test.resamples), np.nan)
    return _sample(test, grid, name, number, empty, n=0, patients=0, redrawn=0, reason=reason)


def metric_name(method: object, metric: object) -> str:
    """The metric's name in the findings; Grad-CAM, the primary method, goes without saying.

    >>> metric_name("gradcam", "mass_inside"), metric_name("smoothgrad", "mass_inside")
    ('mass_inside', 'smoothgrad.mass_inside')
    """
    return str(metric) if method in ("", "gradcam") else f"{method}.{metric}"
