"""The lenses on the epochs that a run has kept: when does a class rank, and when does its detector appear?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import METRICS, score_pairs
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import Progress, digest
from tailscope.dissection import CrossFit, Dissection, DissectionSettings, dissect
from tailscope.experiment.activations import Pass, remove_activations
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.attributing import method_settings
from tailscope.experiment.concept_images import concept_images
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import kept_network, kept_of, weights_digest
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens, AttributionSection, DissectionLens
from tailscope.experiment.lens_layers import find_layers
from tailscope.experiment.map_making import Question, maps_of
from tailscope.experiment.plan import Run, with_arms
from tailscope.models import Network
from tailscope.performance import auroc, average_precision
from tailscope.training import Job, predict_adjusted

TRAJECTORY = "trajectory"
DETECTORS = "detectors"

_NOT_RANKED = "no positive or no negative test image"
_NOT_ANNOTATED = "no annotated test image"
_NO_OTHER = "no other patient has an annotation of this class"
_COLUMNS = ("run", "arm", "seed", "epoch", "class", "metric", "value", "reason")


def measure_trajectory(
    folder: ExperimentFolder, config: ExperimentConfig, run: Run, pairs: AnnotatedPairs, progress: Progress
) -> None:
    """Look at every kept epoch of a finished run, and write ``evidence/trajectory``: a row per epoch, class and metric.

    ``auroc`` and ``average_precision`` on the test split; on the first layer of the dissection lens
    ``best_iou_matched``, cross-fitted and above its null, and ``detectors``, the number of units that pass the test;
    ``mass_inside``, the mean excess of Grad-CAM over the annotated test pairs. A lens that is off is left out.
    Everything but the weights is as in the run's own evidence, so the selected epoch, if kept, has the same numbers.

    Args:
        folder: Where the run lies and the table goes.
        config: The experiment's, with layers found.
        run: The run.
        pairs: The annotated test pairs of the experiment's data.
        progress: Moves by images and maps.

    Raises:
        InputError: An epoch that is asked for was not kept.
    """
    tables = [pd.DataFrame(columns=["class", "metric", "value", "layer", "method", "reason", "epoch"])]
    for epoch in kept_of(folder, config, run):
        at = _Epoch(folder, config, run, epoch, pairs, progress)
        tables += [table.assign(epoch=epoch) for table in at.tables()]
    whole = pd.concat(tables[1:] or tables, ignore_index=True).assign(run=run.name)
    write_evidence(folder.evidence(TRAJECTORY, run.name), whole)


def trajectory_table(folder: ExperimentFolder, runs: tuple[Run, ...]) -> pd.DataFrame:
    """The trajectories of some runs, one below the other: run, arm, seed, epoch, class, metric, value, reason."""
    return with_arms(folder.table(TRAJECTORY, tuple(run.name for run in runs)), runs)[list(_COLUMNS)]


def first_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """From which kept epoch on does each class have a detector, in how many seeds?

    A seed counts from the first kept epoch after which no kept epoch is without a detector; a detector that comes and
    goes is not there yet.

    Args:
        table: arm, seed, epoch, class, metric, value, reason; rows of other metrics than ``detectors`` are ignored.

    Returns:
        One row per arm and class, in the order of the table: ``seeds``, ``found`` (seeds with a detector to the last
        kept epoch), ``first`` and ``latest`` (smallest and largest such epoch among these), ``epoch`` (the first by
        which more than half of all seeds have it; NaN if they never do), ``reason`` (why nothing is known).

    Example:
        >>> table = pd.DataFrame({"arm": "control", "seed": 0, "epoch": [1, 2, 5], "class": "mass",
        ...                       "metric": "detectors", "value": [1.0, 0.0, 3.0], "reason": ""})
        >>> first_epochs(table)[["seeds", "found", "epoch"]].values.tolist()
        [[1.0, 1.0, 5.0]]
    """
    rows = []
    counts = table[table["metric"] == DETECTORS]
    for (arm, name), part in counts.groupby(["arm", "class"], sort=False):
        unknown = part[part["value"].isna()]
        reason = "" if unknown.empty else str(unknown["reason"].iloc[0])
        starts = [math.inf if reason else _lasting(one) for _, one in part.groupby("seed")]
        rows.append({"arm": arm, "class": name, **_summary(starts), "reason": reason})
    return pd.DataFrame(rows, columns=["arm", "class", "seeds", "found", "first", "latest", "epoch", "reason"])


def _lasting(one: pd.DataFrame) -> float:
    """First epoch of the unbroken stretch of epochs with a detector that ends with the last; infinite without one."""
    start = math.inf
    for epoch, value in one.sort_values("epoch", ascending=False)[["epoch", "value"]].itertuples(index=False):
        if value < 1:
            break
        start = float(epoch)
    return start


def _summary(starts: list[float]) -> dict[str, float]:
    ordered = sorted(starts)
    found = [start for start in ordered if math.isfinite(start)]
    by_most = ordered[len(ordered) // 2]
    return {
        "seeds": len(ordered),
        "found": len(found),
        "first": found[0] if found else math.nan,
        "latest": found[-1] if found else math.nan,
        "epoch": by_most if math.isfinite(by_most) else math.nan,
    }


@dataclass(frozen=True, eq=False)
class _Epoch:
    """One kept epoch of one run."""

    folder: ExperimentFolder
    config: ExperimentConfig
    run: Run
    epoch: int
    pairs: AnnotatedPairs
    progress: Progress

    @cached_property
    def network(self) -> Network:
        """As it was after the epoch."""
        return kept_network(self.folder, self.config, self.pairs.data, self.run, self.epoch)

    @property
    def title(self) -> str:
        """What is said of the work."""
        return f"{self.run.name}, epoch {self.epoch}"

    def tables(self) -> Iterator[pd.DataFrame]:
        """class, metric, value, reason of every lens that is on."""
        lenses = self.config.lenses
        yield self.ranking()
        if lenses.dissection is not None:
            yield self.units(lenses.dissection)
        if lenses.alignment is not None:
            yield self.saliency(lenses.alignment)

    def ranking(self) -> pd.DataFrame:
        """How well each class ranks, read as its treatment reads it at that time."""
        data, run = self.pairs.data, self.run
        rows = data.rows("test")
        plan = self.config.treatment(run.arm).build()(data.counts)
        stage = Job(self.network, plan, data, self.config.training_of(run.arm), run.seed).stage(self.epoch - 1)
        with self.progress.task(f"{self.title}: ranking", rows.size) as advance:
            logits = predict_adjusted(self.network, stage.plan, data.pixels, rows)
            advance(rows.size)
        found = {"auroc": auroc, "average_precision": average_precision}
        return pd.concat(
            [
                _per_class(data.classes, metric, measure(logits, data.targets[rows]), _NOT_RANKED)
                for metric, measure in found.items()
            ]
        )

    def units(self, lens: DissectionLens) -> pd.DataFrame:
        """The best unit of each class and the number of its detectors, on the first layer."""
        data = self.pairs.data
        shape = tuple(self.network.preprocessing(data.pixels[:1]).shape)
        layer = find_layers(self.config, self.network, shape)[0]["dissection"][0]
        rows, inputs = data.rows("test"), digest(weights_digest(self.network), data.fingerprint)
        scratch = self.folder.scratch(self.run.name) / f"activations-epoch-{self.epoch:03d}.scratch.npy"
        try:
            with self.progress.task(f"{self.title}: activations", rows.size) as advance:
                looked = Pass(self.network, [layer], data.pixels, rows, lens.batch_size)
                (activations,) = looked.write([scratch], inputs, advance)
            images = concept_images(data, confounders=lens.confounders)
            # What is tested together is as in the run's own table; no curve is drawn here.
            asked = DissectionSettings(lens.top_fraction, derangements=lens.derangements, fractions=())
            result = dissect(activations, images, asked, progress=self.progress)
        finally:
            remove_activations([scratch])
        table = pd.concat([_best(images.classes, result), _detectors(images.classes, result)])
        return table.assign(layer=layer.name)

    def saliency(self, lens: AlignmentLens) -> pd.DataFrame:
        """Grad-CAM's mass inside the annotation, above what lies on other patients'."""
        data = self.pairs.data
        section = next((one for one in lens.attributions if one.name == "gradcam"), AttributionSection(name="gradcam"))
        settings = method_settings(section, lens.layer)
        method, metric = ATTRIBUTIONS.build("gradcam", **settings), {"mass_inside": METRICS.build("mass_inside")}
        values = np.full(len(data.classes), math.nan)
        reasons = np.full(len(data.classes), _NOT_ANNOTATED, dtype=object)
        with self.progress.task(f"{self.title}: gradcam", len(self.pairs), "maps") as advance:
            for group in self.pairs.by_class:
                maps = maps_of(Question(method, self.network, data, group.pairs, lens.batch_size))
                excess = score_pairs(maps, group.masks, group.patients, metric)["excess"].to_numpy(dtype=np.float64)
                number = int(group.pairs[0, 1])
                reasons[number] = _NO_OTHER
                values[number] = excess[np.isfinite(excess)].mean() if np.isfinite(excess).any() else math.nan
                advance(len(group.pairs))
        return _per_class(data.classes, "mass_inside", values, reasons).assign(
            method="gradcam", layer=settings.get("layer")
        )


def _best(classes: tuple[str, ...], result: Dissection) -> pd.DataFrame:
    found = [result.crossfits[name] for name in classes]
    values = np.array([fit.value if isinstance(fit, CrossFit) else math.nan for fit in found])
    reasons = ["no pixel to score" if isinstance(fit, CrossFit) else fit for fit in found]
    return _per_class(classes, "best_iou_matched", values, reasons)


def _detectors(classes: tuple[str, ...], result: Dissection) -> pd.DataFrame:
    numbers, reasons = result.layer["detectors"], result.layer["reasons"]
    values = np.array([math.nan if numbers[name] is None else numbers[name] for name in classes], dtype=np.float64)
    return _per_class(classes, DETECTORS, values, [reasons[name] for name in classes])


def _per_class(
    classes: tuple[str, ...], metric: str, values: NDArray[np.float64], reasons: str | NDArray[np.object_] | list[str]
) -> pd.DataFrame:
    """One row per class; a reason stands only where there is no value."""
    table = pd.DataFrame({"class": classes, "metric": metric, "value": values, "reason": reasons})
    return table.assign(reason=table["reason"].where(table["value"].isna(), ""))
