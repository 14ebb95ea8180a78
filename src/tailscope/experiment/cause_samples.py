"""How specific the causes of every class are, for every seed and patient resample, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tailscope.dissection import CauseMetric, Causes
from tailscope.experiment.causes import CAUSES, read_causes
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.pair_samples import LensMetric
from tailscope.experiment.record_samples import record_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples

CAUSE_SAMPLES: dict[str, CauseMetric] = {
    "ablation_specificity": "specificity",
    "ablation_specificity_over_random": "specificity_over_random",
}


def cause_samples(test: TestSet, grid: RunGrid, folder: ExperimentFolder) -> Iterator[MetricSamples]:
    """What the detectors of a class do to its logit beyond other logits, and beyond like units.

    In standard deviations; neither end is better, for a network may spread a class over many units.

    Args:
        test: The test split.
        grid: The runs.
        folder: Where the evidence lies.
    """
    stored = [read_causes(folder, name, test.classes) for name in grid.names]
    table = folder.table(CAUSES, grid.names)
    reasons = table[table["reason"] != ""].groupby("class", sort=False)["reason"].first().to_dict()
    for name, metric in CAUSE_SAMPLES.items():
        yield from record_samples(
            test,
            grid,
            LensMetric("dissection", name, None),
            stored,
            partial(_score, metric),
            absent=reasons.__getitem__,
        )


def _score(metric: CauseMetric, record: Causes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return record.score(weights, metric)
