"""The values of every lens on every class, seed and patient resample, gathered from the evidence."""

from __future__ import annotations

from collections.abc import Iterator

from tailscope.experiment.cause_samples import cause_samples
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.lens_config import DissectionLens
from tailscope.experiment.lens_samples import alignment_samples, count_samples, crossfit_samples
from tailscope.experiment.performance_metrics import performance_metrics
from tailscope.experiment.performance_samples import performance_samples
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.representation_samples import probe_samples, swap_samples
from tailscope.experiment.shortcut_samples import shortcut_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import MetricSamples


def all_samples(folder: ExperimentFolder, prepared: Prepared, test: TestSet, grid: RunGrid) -> list[MetricSamples]:
    """The values of every lens, read from predictions and evidence alone."""
    lenses = prepared.config.lenses
    predicted = Predicted.read(folder, prepared.data, grid)
    samples = [*performance_samples(test, grid, predicted.logits), *performance_metrics(test, grid, predicted)]
    if lenses.alignment is not None:
        samples += alignment_samples(test, grid, folder.table("alignment", grid.names))
        if lenses.alignment.shortcuts is not None:
            samples += shortcut_samples(test, grid, folder.table("shortcuts", grid.names))
    if lenses.dissection is not None:
        samples += _unit_samples(folder, lenses.dissection, test, grid)
    if lenses.representation is not None:
        samples += probe_samples(test, grid, folder.table("representation", grid.names))
        samples += swap_samples(folder, prepared.data, test, grid)
    return samples


def _unit_samples(
    folder: ExperimentFolder, lens: DissectionLens, test: TestSet, grid: RunGrid
) -> Iterator[MetricSamples]:
    """Of the first layer; the others are for the tables."""
    yield from crossfit_samples(test, grid, folder)
    table = folder.table("dissection", grid.names)
    yield from count_samples(test, grid, table[table["layer"] == lens.layers[0]])
    if lens.causes is not None:
        yield from cause_samples(test, grid, folder)
