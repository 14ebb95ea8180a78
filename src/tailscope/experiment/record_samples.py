"""Scores of every class, seed and patient resample, from records that can be scored under any weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.pair_samples import Found, LensMetric, class_sample, missing
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples


class _HasRows(Protocol):
    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) test rows."""


Record = TypeVar("Record", bound=_HasRows)
Score = Callable[[Record, NDArray[np.float64]], NDArray[np.float64]]


def record_samples(
    test: TestSet,
    grid: RunGrid,
    metric: LensMetric,
    stored: Sequence[Mapping[str, Record]],
    score: Score[Record],
    *,
    absent: Callable[[str], str],
) -> Iterator[MetricSamples]:
    """One cell per class that has a record in every run, then the means over classes.

    Args:
        test: The test split.
        grid: The runs.
        metric: Its name.
        stored: Class to record, run by run as in ``grid``; the rows of a class are the same for all runs.
        score: A record and (R, n) weights of its rows to (R,) scores.
        absent: A class to the reason why it has no record in some run.
    """
    cells = []
    for number, name in enumerate(test.classes):
        records = [found[name] for found in stored if name in found]
        found = _scored(test, number, records, score) if len(records) == len(stored) else None
        found = found or missing(test, grid, absent(name))
        cells.append(class_sample(test, grid, metric, number, found))
    yield from with_means(cells, len(test.image_ids))


def _scored(test: TestSet, number: int, records: list[Record], score: Score[Record]) -> Found:
    rows = records[0].rows
    chosen = np.zeros(len(test.image_ids), dtype=bool)
    chosen[rows] = True
    annotated = chosen & (test.targets[:, number] == 1)
    draws = test.draw(annotated[:, None])
    weights = draws.multiplicity[:, rows].astype(np.float64)
    return Found(
        np.array([score(record, np.ones((1, rows.size)))[0] for record in records]),
        np.stack([score(record, weights) for record in records]),
        n=rows.size,
        patients=test.patients_among(annotated),
        redrawn=draws.redrawn,
    )
