"""The phantom: generated chest radiographs whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.artifacts import digest
from tailscope.core.errors import InputError
from tailscope.core.records import SPLITS, Dataset
from tailscope.data.phantom_plan import PREVALENCE, SetPlan, plan_set, positives
from tailscope.data.phantom_rendering import GENERATOR_VERSION, RenderSettings, render_phantoms
from tailscope.data.planting import (
    artifact_notes,
    label_rows,
    label_states,
    planted_shapes,
    prevalence_problems,
    shortcut_problems,
    ties_of,
)
from tailscope.data.registry import DATASETS
from tailscope.data.tables import annotation_table, image_table, label_table

READER = "generator"


@DATASETS.register("phantom")
@dataclass(frozen=True)
class Phantom:
    """Generated frontal chest radiographs with a long tail of findings, exact masks, and confounders on demand.

    Counts are planned for the whole set: a class has ``round(prevalence · images)`` positives in a split, but at least
    ``minimum_positives``. The pixels of an image follow from (seed, image number, its label row) alone.

    Confounders stand in the pictures at a base rate: chest_tube 8 %, laterality_marker 50 %, ecg_lead 20 %. A shortcut
    ``{"pneumothorax": {"artifact": "chest_tube", "strength": 0.9}}`` puts the artifact into ``round(strength ·
    positives)`` positives and ``round((1 − strength) · base rate · negatives)`` negatives of training and validation.

    Args:
        train: Images in the training split.
        val: Images in the validation split.
        test: Images in the test split.
        size: Side in pixels, 64 to 512.
        seed: Root seed.
        prevalence: Share of positives per class; the classes of the set.
        minimum_positives: At least so many positives per class and split.
        subtlety: 0: every lesion at full contrast; 1: contrasts down to a fifth of it, drawn per lesion.
        test_subtlety: The same in the test split; None: as in training. Faint lesions in training and plain ones in
            the test ask what a network looks at, apart from what it can tell.
        images_per_patient: Fewest and most images of one patient; all in one split.
        shortcuts: Class to its artifact and strength.
        test_shortcuts: ``free``: in the test split the artifact stands at its base rate with and without the class;
            ``tied``: as in training.

    Raises:
        InputError: A setting is wrong; lists every problem.

    Example:
        >>> data = Phantom(train=40, val=20, test=20, prevalence={"mass": 0.2}, minimum_positives=2)(None)
        >>> data.classes, len(data.images), int((data.labels["state"] == "positive").sum())
        (('mass',), 80, 16)
    """

    train: int = 3000
    val: int = 600
    test: int = 4000
    size: int = 64
    seed: int = 0
    prevalence: Mapping[str, float] = field(default_factory=lambda: dict(PREVALENCE))
    minimum_positives: int = 8
    subtlety: float = 0.7
    test_subtlety: float | None = None
    images_per_patient: tuple[int, int] = (1, 3)
    shortcuts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test_shortcuts: Literal["free", "tied"] = "free"

    def __post_init__(self) -> None:
        problems = [
            *self._size_problems(),
            *self._prevalence_problems(),
            *shortcut_problems(self.shortcuts, tuple(self.prevalence)),
        ]
        try:
            self.rendering("train")
            self.rendering("test")
        except InputError as error:
            problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))

    def __call__(self, root: Path | None = None) -> Dataset:  # noqa: ARG002 (the protocol has it)
        """Plan the set and outline every finding; nothing is read, ``root`` is not used."""
        plan = plan_set(self._plan())
        ids = [f"phantom_{number:06d}" for number in range(len(plan))]
        rows = label_rows(plan)
        renderings = [self.rendering(split) for split in plan["split"]]
        findings, artifacts = planted_shapes(renderings, ids, range(len(ids)), rows)
        classes = tuple(self.prevalence)
        pixels = PhantomPixels(renderings, rows)
        return Dataset(
            name="phantom",
            classes=classes,
            images=_images(plan, ids, self.size),
            labels=label_table(ids, classes, label_states(plan, classes), READER),
            annotations=annotation_table(findings, READER),
            read_pixels=pixels,
            content=pixels.content,
            notes=self._notes(),
            extra_masks=annotation_table(artifacts, READER),
        )

    def rendering(self, split: str) -> RenderSettings:
        """What the pixels of a split depend on."""
        own = self.test_subtlety if split == "test" else None
        return RenderSettings(self.seed, self.size, self.subtlety if own is None else own)

    def _plan(self) -> SetPlan:
        per_patient = (self.images_per_patient[0], self.images_per_patient[1])
        return SetPlan(
            sizes=(self.train, self.val, self.test),
            seed=self.seed,
            prevalence=self.prevalence,
            minimum=self.minimum_positives,
            per_patient=per_patient,
            ties=ties_of(self.shortcuts),
            test_ties=self.test_shortcuts,
        )

    def _notes(self) -> tuple[str, ...]:
        return (
            f"generated images ({GENERATOR_VERSION}, seed {self.seed}): no patient is real",
            *artifact_notes(self.shortcuts, self.test_shortcuts),
            *self._subtlety_notes(),
        )

    def _subtlety_notes(self) -> tuple[str, ...]:
        if self.test_subtlety is None or self.test_subtlety == self.subtlety:
            return ()
        return (f"lesions have subtlety {self.subtlety:g} in train and val, {self.test_subtlety:g} in test",)

    def _size_problems(self) -> list[str]:
        problems = [
            f"`{split}` must be 2 images or more; got {getattr(self, split)!r}"
            for split in SPLITS
            if not (isinstance(getattr(self, split), int) and getattr(self, split) >= 2)
        ]
        if not self.minimum_positives >= 1:
            problems.append(f"`minimum_positives` must be 1 or more; got {self.minimum_positives!r}")
        if len(self.images_per_patient) != 2 or not 1 <= self.images_per_patient[0] <= self.images_per_patient[1]:
            problems.append(f"`images_per_patient` must be [fewest, most], 1 or more; got {self.images_per_patient!r}")
        if self.test_shortcuts not in ("free", "tied"):
            problems.append(f"`test_shortcuts` must be free or tied; got {self.test_shortcuts!r}")
        return problems

    def _prevalence_problems(self) -> list[str]:
        if problems := prevalence_problems("prevalence", self.prevalence):
            return problems
        return [problem for name, share in self.prevalence.items() for problem in self._count_problems(name, share)]

    def _count_problems(self, name: str, share: float) -> list[str]:
        return [
            f"`{split}` has {size} images, too few for {count} positives of {name} and one negative; give more images, "
            "or lower `minimum_positives` or the prevalence"
            for split in SPLITS
            if (count := positives(share, size := getattr(self, split), self.minimum_positives)) >= size
        ]


@dataclass(frozen=True)
class PhantomPixels:
    """Row number to pixels; safe to call from several threads.

    Args:
        settings: N times seed, size, subtlety.
        rows: (N, 12) bool label rows.
    """

    settings: Sequence[RenderSettings]
    rows: NDArray[np.bool_]

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """(size, size) uint8."""
        return np.asarray(render_phantoms(self.settings[int(row)], [int(row)], self.rows[int(row)][None])[0][0])

    def content(self) -> list[str]:
        """One digest per image of everything that its pixels depend on."""
        return [
            digest(GENERATOR_VERSION, [own.seed, own.size, own.subtlety], index, row.astype(int).tolist())
            for index, (own, row) in enumerate(zip(self.settings, self.rows, strict=True))
        ]


def _images(plan: pd.DataFrame, ids: list[str], size: int) -> pd.DataFrame:
    count = len(ids)
    columns: dict[str, list[Any]] = {
        "image_id": ids,
        "patient_id": [f"P{number:06d}" for number in plan["patient"]],
        "split": plan["split"].tolist(),
        "width": [size] * count,
        "height": [size] * count,
        "view": ["PA"] * count,
        "age": plan["age"].tolist(),
        "sex": plan["sex"].tolist(),
    }
    return image_table(columns)
