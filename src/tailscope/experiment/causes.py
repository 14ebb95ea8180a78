"""The causal check of dissection on one run: logits without a class's detectors, and without units like them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailscope.core import ExperimentData, InputError, Progress
from tailscope.dissection import (
    CAUSE_METRICS,
    NOT_ANNOTATED,
    AnnotatedImages,
    CausePlan,
    Causes,
    CauseSettings,
    ClassEvidence,
    LinearRest,
    MatchedCounts,
    MeanAblation,
    UnitSizes,
    linear_rest,
    matched_set,
    plan_causes,
    unit_effects,
)
from tailscope.experiment.class_records import read_class_records, write_class_records
from tailscope.experiment.fitting import test_logits
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run
from tailscope.experiment.removal import LogitScale
from tailscope.models import Layer, Network, find_layer
from tailscope.training import image_batches

CAUSES = "causes"
_TRIED = 8  # images on which the form of the rest of the network is tried


@dataclass(frozen=True, eq=False)
class SeenLayer:
    """A layer whose activations on the test split are at hand.

    Args:
        name: Dotted name, already found.
        activations: (N, U, h, w), an array or a memory map, rows as in ``images``.
        images: The test images.
        batch_size: Images, or sets of units, in one forward pass.
        settings: Of the check.
        known: Class to what dissection counted for it with the same seed; matched sets and thresholds are taken from
            there, and made anew where they are missing.
    """

    name: str
    activations: NDArray[np.float32]
    images: AnnotatedImages
    batch_size: int
    settings: CauseSettings = field(default_factory=CauseSettings)
    known: Mapping[str, ClassEvidence] = field(default_factory=dict)


def causes_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the per-image drops of a run lie."""
    return folder.evidence_file(CAUSES, f"drops-{run}.npz")


def read_causes(folder: ExperimentFolder, run: str, classes: tuple[str, ...]) -> dict[str, Causes]:
    """The drops of one run, by class; classes without a number are absent."""
    return read_class_records(causes_path(folder, run), classes, Causes)


def measure_causes(
    folder: ExperimentFolder, run: Run, network: Network, data: ExperimentData, seen: SeenLayer, progress: Progress
) -> None:
    """Set the detectors of each class to their mean, read the logits, and write what was found.

    Logits are those of the predictions: through the treatment's and the fitted adjustment, where there is one. The
    table has a row per class and metric of :data:`CAUSE_METRICS`, with m, and the mean importance of the detectors
    and of the random units (``importance``, ``random_importance``) with what it was measured by (``method``).

    Args:
        folder: Of the experiment; it holds the run's record and predictions.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        seen: The layer.
        progress: Moves by classes.

    Raises:
        InputError: The classes of ``seen.images`` do not begin with the network's; further ones (confounders) have no
            logit and are left out.
    """
    if seen.images.classes[: len(data.classes)] != data.classes:
        raise InputError(
            f"`images` must have the network's classes first, {', '.join(data.classes)}; got "
            f"{', '.join(seen.images.classes)}"
        )
    scale = LogitScale.of(folder, run, network, data, seen.batch_size)
    rest = _Rest.of(network, data, seen)
    logits = test_logits(folder, run.name, data.classes).astype(np.float64)
    found: dict[str, Causes | str] = {}
    tables = []
    with progress.task(f"{run.name}: causes", len(data.classes), "classes") as advance:
        for number, name in enumerate(data.classes):
            plan, importance = rest.plan(number)
            found[name] = plan if isinstance(plan, str) else plan.drops(logits, _adjusted(scale, rest.ablated(plan)))
            tables.append(_rows(found[name], importance).assign(**{"class": name}))
            advance(1)
    write_class_records(causes_path(folder, run.name), data.classes, found)
    table = pd.concat(tables, ignore_index=True)
    facts: dict[str, Any] = {"run": run.name, "layer": seen.name, "m": seen.settings.detectors}
    write_evidence(folder.evidence(CAUSES, run.name), table.assign(method=rest.importance_by, **facts))


@dataclass(frozen=True, eq=False)
class _Rest:
    """The network behind the layer, in closed form where it has one."""

    network: Network
    data: ExperimentData
    seen: SeenLayer
    layer: Layer
    sizes: UnitSizes
    linear: LinearRest | None

    @classmethod
    def of(cls, network: Network, data: ExperimentData, seen: SeenLayer) -> _Rest:
        """Try the form of the rest on the first test images."""
        images = next(image_batches(network, data.pixels, data.rows("test")[:_TRIED], _TRIED))[1]
        layer = find_layer(network.module, images[:1], seen.name, coarse=0)
        sizes = UnitSizes.of(seen.activations)
        return cls(network, data, seen, layer, sizes, linear_rest(network.module, images, layer, sizes.means))

    @cached_property
    def importance_by(self) -> str:
        """What units are matched on."""
        return "weight × activation" if self.linear else "gradient × activation"

    def plan(self, number: int) -> tuple[CausePlan | str, NDArray[np.float64]]:
        """The plan of a class, or why there is none, and the (U,) importance of every unit."""
        seen = self.seen
        known = seen.known.get(seen.images.classes[number])
        matched = known.matched if known else matched_set(seen.images, number, seen.settings.seed)
        if matched is None:
            return NOT_ANNOTATED, np.full(self.layer.channels, np.nan)
        importance = self._importance(number, matched.rows)
        counts = MatchedCounts.of(seen.activations, matched, known.matched_threshold if known else None)
        return plan_causes(seen.images, number, counts, (self.sizes.live, importance), seen.settings), importance

    def ablated(self, plan: CausePlan) -> NDArray[np.float64]:
        """(n, J, K) logits of the annotated positives without each set; NaN where it is not wanted."""
        if self.linear is not None:
            pooled = [self.seen.activations[row].mean(axis=(1, 2), dtype=np.float64) for row in plan.rows]
            found = self.linear.ablated(np.array(pooled), plan.sets, self.sizes.means)
            found[~plan.wanted] = np.nan
            return found
        ablation = MeanAblation(self.network.module, self.layer, self.sizes.means, self.seen.batch_size)
        parts = [ablation(images, plan.sets, plan.wanted[positions]) for positions, images in self._batches(plan.rows)]
        return np.concatenate(parts)

    def _importance(self, number: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(U,) mean |w_c · A| over the test images; behind another rest, mean |∂x_c/∂A · A| over the matched set."""
        if self.linear is not None:
            return np.asarray(np.abs(self.linear.weight[number]) * self.sizes.magnitudes)
        effects = [unit_effects(self.network.module, images, self.layer, number) for _, images in self._batches(rows)]
        return np.asarray(np.concatenate(effects).mean(axis=0))

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        chosen = self.data.rows("test")[rows]
        return image_batches(self.network, self.data.pixels, chosen, self.seen.batch_size)


def _adjusted(scale: LogitScale, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """As the logits of the predictions; what is NaN stays so."""
    adjusted = np.full_like(logits, np.nan)
    known = np.isfinite(logits).all(axis=2)
    adjusted[known] = scale.adjusted(logits[known].astype(np.float32))
    return adjusted


def _rows(found: Causes | str, importance: NDArray[np.float64]) -> pd.DataFrame:
    """One row per metric; NaN with the reason where there is no number."""
    names = [*CAUSE_METRICS, "importance", "random_importance"]
    if isinstance(found, str):
        return pd.DataFrame({"metric": names, "value": np.nan, "reason": found})
    values = [found.value(metric) for metric in CAUSE_METRICS]
    values += [float(importance[units].mean()) for units in (found.detectors, found.random)]
    return pd.DataFrame({"metric": names, "value": values, "reason": ""})
