"""The shortcut audit of one run: saliency on what is no finding, and what its removal does to the logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import METRICS, score_pairs
from tailscope.attribution import ATTRIBUTIONS, Attribution
from tailscope.core import ExperimentData, InputError, Progress
from tailscope.experiment.attributing import method_settings
from tailscope.experiment.confounders import Confounder, confounders_of, found_on_test
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.plan import Run
from tailscope.experiment.removal import LogitScale, Removal, removal_effect
from tailscope.models import Network
from tailscope.training import image_batches

ON = "on_"
REMOVAL = "removal_of_"
_COLUMNS = {
    "image_id": "str", "class": "str", "method": "str", "metric": "str", "layer": "object", "value": "float64",
    "reference": "float64", "excess": "float64", "reason": "str", "degenerate": "bool", "positive": "float64",
}  # fmt: skip


def look_at_shortcuts(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    data: ExperimentData,
    lens: AlignmentLens,
    progress: Progress,
) -> None:
    """Write the evidence ``shortcuts`` of one run.

    Each confounder is looked at on up to ``lens.shortcuts.images`` test images that have it, with and without the
    finding, for every class:

    - ``on_<confounder>``: share of the positive saliency that lies on it; the reference is its share of the picture;
    - ``removal_of_<confounder>``: by how many standard deviations of the class's test logit the logit falls when the
      confounder is inpainted; the reference is the same for the mirrored place on the same image, the placebo. Of
      ``outside_body`` there is no removal: to fill air from its border would paint skin into it, and black is what it
      is already.

    Maps are by Grad-CAM or else by the first method that gives all classes at the cost of one; where there is none, by
    the first method, for the classes that have annotations.

    Args:
        folder: Where the evidence goes; the record and the predictions of the run are read from it.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        lens: Methods and what is asked; ``layer`` is a name, already found.
        progress: Moves by images.

    Raises:
        InputError: The audit is not asked for, or a confounder is unknown.
    """
    if lens.shortcuts is None:
        raise InputError("`lenses.alignment.shortcuts` is null, so there is no audit to make; give it a section")
    asked = lens.shortcuts
    confounders = [found_on_test(data, name, asked.images) for name in confounders_of(data, asked)]
    look = _Look.of(lens, network, data)
    scale = LogitScale.of(folder, run, network, data, lens.batch_size) if asked.removal else None
    rows = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(one.rows for one in confounders)]))
    tables = [pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in _COLUMNS.items()})]
    with progress.task(f"{run.name}: shortcuts", rows.size) as advance:
        for positions, maps in look.batches(rows, lens.batch_size):
            for confounder in confounders:
                chosen = np.flatnonzero(np.isin(confounder.rows, rows[positions]))
                places = np.searchsorted(rows[positions], confounder.rows[chosen])
                if chosen.size:
                    tables += look.saliency(maps[places], confounder, chosen)
                if chosen.size and scale is not None and confounder.can_be_removed:
                    tables += look.falls(removal_effect(scale, data, confounder, chosen), confounder, chosen)
            advance(positions.size)
    whole = pd.concat(tables[1:] or tables, ignore_index=True)
    whole = whole.sort_values(["metric", "class", "image_id"], kind="stable", ignore_index=True)
    write_evidence(folder.evidence("shortcuts", run.name), whole[list(_COLUMNS)].assign(run=run.name))


@dataclass(frozen=True, eq=False)
class _Look:
    """One method on one network, and how its answers become rows of evidence."""

    method: str
    layer: str | None
    attribution: Attribution
    classes: list[int]
    network: Network
    data: ExperimentData

    @classmethod
    def of(cls, lens: AlignmentLens, network: Network, data: ExperimentData) -> _Look:
        settings = [method_settings(method, lens.layer) for method in lens.attributions]
        built = [
            ATTRIBUTIONS.build(method.name, **own) for method, own in zip(lens.attributions, settings, strict=True)
        ]
        # Grad-CAM where it is asked for, because the primary method is examined most; any other is second best.
        shared = [place for place, one in enumerate(built) if one.shares_passes]
        number = min(shared, key=lambda place: lens.attributions[place].name != "gradcam", default=None)
        annotated = np.unique(data.annotated.reshape(-1, 2)[:, 1]).tolist()
        classes = annotated if number is None else list(range(len(data.classes)))
        number = number or 0
        layer = settings[number].get("layer")
        return cls(lens.attributions[number].name, layer, built[number], classes, network, data)

    def batches(
        self, rows: NDArray[np.int64], batch_size: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(b,) positions in ``rows`` and (b, len(classes), h, w) maps."""
        for positions, images in image_batches(self.network, self.data.pixels, rows, batch_size):
            yield positions, self.attribution(self.network.module, images, self.classes).cpu().numpy()

    def saliency(
        self, maps: NDArray[np.float32], confounder: Confounder, chosen: NDArray[np.intp]
    ) -> Iterator[pd.DataFrame]:
        """One table per class: share of the saliency (b, len(classes), h, w) that lies on the confounder."""
        rows, masks = confounder.rows[chosen], confounder.masks[chosen]
        metrics = {ON + confounder.name: METRICS.build("mass_inside")}
        for place, number in enumerate(self.classes):
            scores = score_pairs(maps[:, place], masks, self.data.patient_ids[rows], metrics)
            kept = scores[["metric", "value", "reference", "excess", "reason", "degenerate"]]
            yield self._named(kept, rows, number).assign(method=self.method, layer=self.layer)

    def falls(self, found: Removal, confounder: Confounder, chosen: NDArray[np.intp]) -> Iterator[pd.DataFrame]:
        """One table per class: the standardised fall of its logit."""
        rows = confounder.rows[chosen]
        for number in range(len(self.data.classes)):
            value, placebo = found.value[:, number], found.placebo[:, number]
            why = [found.covered, np.isnan(value), np.isnan(placebo)]
            reason = np.select(why, ["covers the picture", "constant logit", "no mirrored place"], default="")
            columns = {"value": value, "reference": placebo, "excess": value - placebo, "reason": reason}
            table = pd.DataFrame(columns).assign(metric=REMOVAL + confounder.name, degenerate=False)
            yield self._named(table, rows, number).assign(method="inpainting", layer=None)

    def _named(self, table: pd.DataFrame, rows: NDArray[np.int64], number: int) -> pd.DataFrame:
        """Which image and class each row is about, and the label: 1, 0, or NaN where it is unknown."""
        return table.assign(
            image_id=self.data.image_ids[rows],
            positive=self.data.targets[rows, number].astype(np.float64),
            **{"class": self.data.classes[number]},
        )
