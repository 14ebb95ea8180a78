"""Real radiographs with planted truth: phantom lesions and tubes pasted into the images of another source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tailscope.core.errors import InputError
from tailscope.core.records import Dataset
from tailscope.data.pasted_plan import PastePlan, plan_pastes
from tailscope.data.pasting import PastedPixels, PasteSettings
from tailscope.data.phantom_rendering import RenderSettings
from tailscope.data.planting import (
    artifact_notes,
    label_rows,
    label_states,
    planted_shapes,
    prevalence_problems,
    shortcut_problems,
    ties_of,
)
from tailscope.data.preparation import patient_clusters
from tailscope.data.registry import DATASETS, Source
from tailscope.data.settings import SplitSettings
from tailscope.data.tables import annotation_table, image_table, label_table

READER = "pasted"


@DATASETS.register("pasted")
@dataclass(frozen=True)
class Pasted:
    """Real images of another source, into which the phantom's findings and artifacts are pasted with exact masks.

    The labels are what was pasted and nothing else: a real finding of the base stays in the picture, is not a label,
    and is as frequent with a pasted class as without it, since the plan never looks at the base's labels. Lesions lie
    where a made-up chest, drawn for each image as for the phantom, has its lungs and heart; that chest is only a
    stand-in for the real anatomy, so a lesion may stand a little beside the organ it belongs to. Vessels that a lesion
    would hide stay visible.

    Counts are exact in each split: ``round(share · images)`` positives of a class; artifacts as for the phantom, in
    ``round(strength · positives)`` positives and ``round((1 − strength) · base rate · negatives)`` negatives of
    training and validation. The split is published by this source, by patient, from (seed, patient) alone. Images
    without a patient id are patients of their own.

    Args:
        base: Name of the source of the real images.
        base_args: Its settings.
        findings: Class to its share of positives; the classes of the set.
        shortcuts: Class to its artifact and strength.
        test_shortcuts: ``free``: in the test split the artifact stands at its base rate with and without the class;
            ``tied``: as in training.
        size: Side in pixels, 64 to 512; the real images are stretched to it.
        subtlety: 0: every lesion at full contrast; 1: contrasts down to a fifth of it, drawn per lesion.
        contrast: What all lesions and artifacts add to the density, as a multiple of what they add in the phantom.
        copies: Images made of each real one, each with findings of its own, all in one split.
        test: Share of patients for the test split.
        val: Share of patients for validation.
        seed: Root seed.

    Raises:
        InputError: A setting is wrong; lists every problem.
        UnknownNameError: No source has the name of ``base``.

    Example:
        >>> base = {"train": 40, "val": 20, "test": 20, "prevalence": {"hernia": 0.2}, "minimum_positives": 2}
        >>> data = Pasted(base="phantom", base_args=base, findings={"mass": 0.25}, copies=2)(None)
        >>> data.classes, len(data.images), data.images["image_id"][0], set(data.annotations["class"])
        (('mass',), 160, 'phantom_000000#0', {'mass'})
    """

    base: str = "nih_chestxray14"
    base_args: Mapping[str, Any] = field(default_factory=dict)
    findings: Mapping[str, float] = field(default_factory=lambda: {"pneumothorax": 0.3, "mass": 0.3})
    shortcuts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test_shortcuts: Literal["free", "tied"] = "free"
    size: int = 64
    subtlety: float = 0.5
    contrast: float = 1.0
    copies: int = 1
    test: float = 0.4
    val: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        problems = prevalence_problems("findings", self.findings)
        problems += shortcut_problems(self.shortcuts, tuple(self.findings))
        if self.test_shortcuts not in ("free", "tied"):
            problems.append(f"`test_shortcuts` must be free or tied; got {self.test_shortcuts!r}")
        if not 0 < self.contrast <= 10:
            problems.append(f"`contrast` must be above 0, and 10 at most; got {self.contrast!r}")
        if not (isinstance(self.copies, int) and self.copies >= 1):
            problems.append(f"`copies` must be a whole number, 1 or more; got {self.copies!r}")
        if self.base == "pasted":
            problems.append("`base` must be a source of images without pastes; got 'pasted': name another source")
        for check in (self._settings, lambda: SplitSettings(test=self.test, val=self.val)):
            try:
                check()
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))
        self._source()

    def __call__(self, root: Path | None) -> Dataset:
        """Read the base below ``root``, and plan and outline every paste; no pixel is read.

        Raises:
            DataError: The base cannot be read, or a split has too few images.
        """
        base = self._source()(root)
        patients = patient_clusters(base.images)
        plan = plan_pastes(self._plan(), base.images["image_id"].tolist(), patients.tolist())
        ids, numbers, rows = plan["image_id"].tolist(), plan["number"].tolist(), label_rows(plan)
        findings, artifacts = planted_shapes([self._settings().rendering] * len(ids), ids, numbers, rows)
        classes = tuple(self.findings)
        pixels = PastedPixels(self._settings(), base.read_pixels, base.content, plan["base"].tolist(), numbers, rows)
        return Dataset(
            name="pasted",
            classes=classes,
            images=self._images(plan, base.images),
            labels=label_table(ids, classes, label_states(plan, classes), READER),
            annotations=annotation_table(findings, READER),
            read_pixels=pixels,
            content=pixels.content,
            notes=(*base.notes, *self._notes(base)),
            extra_masks=annotation_table(artifacts, READER),
        )

    def _source(self) -> Source:
        return DATASETS.build(self.base, **self.base_args)

    def _settings(self) -> PasteSettings:
        return PasteSettings(RenderSettings(self.seed, self.size, self.subtlety), self.contrast)

    def _plan(self) -> PastePlan:
        return PastePlan(
            seed=self.seed,
            findings=self.findings,
            test=self.test,
            val=self.val,
            copies=self.copies,
            ties=ties_of(self.shortcuts),
            tied_in_test=self.test_shortcuts == "tied",
        )

    def _images(self, plan: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
        real = base.iloc[plan["base"].to_numpy()]
        columns = {name: real[name].tolist() for name in ("view", "age", "sex")}
        own = {"image_id": plan["image_id"], "patient_id": plan["patient"], "split": plan["split"]}
        side = [self.size] * len(plan)
        return image_table(
            {**{name: values.tolist() for name, values in own.items()}, **columns, "width": side, "height": side}
        )

    def _notes(self, base: Dataset) -> tuple[str, ...]:
        without = (
            ()
            if base.images["patient_id"].notna().all()
            else ("real images without a patient id count as patients of their own",)
        )
        return (
            f"semi-synthetic: phantom findings and artifacts pasted into the images of {base.name} (seed {self.seed}, "
            f"contrast {self.contrast:g}, {self.copies} per real image); real findings stay, and are no labels",
            "lesions lie in a made-up chest that stands in for the real anatomy",
            *artifact_notes(self.shortcuts, self.test_shortcuts),
            *without,
        )
