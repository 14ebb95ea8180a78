"""One validated configuration of an experiment; every problem is reported, all at once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tailscope.alignment import METRICS
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import InputError
from tailscope.data import DATASETS, DataSettings, SplitSettings
from tailscope.models import MODELS
from tailscope.training import TrainingSettings
from tailscope.treatments import TREATMENTS, ImbalanceTreatment

_OVERLAPS = ("iou", "ior", "iobb")
_DEFAULT_METRICS = ("mass_inside", "pointing_game", "iobb", "ior", "iou", "iou_at_area")


def _named(value: Any) -> Any:
    """A bare name stands for a choice without settings."""
    return {"name": value} if isinstance(value, str) else value


def _stated(value: Any) -> str:
    """A value of a configuration in the label of an arm; a treatment inside another with its own settings.

    >>> _stated({"name": "combined", "loss": {"name": "focal", "gamma": 1.0}, "sampler": "weighted_sampling"})
    'combined (loss=focal (gamma=1.0), sampler=weighted_sampling)'
    """
    if not isinstance(value, dict):
        return str(value)
    settings = ", ".join(f"{key}={_stated(inner)}" for key, inner in sorted(value.items()) if key != "name")
    name = str(value.get("name", ""))
    return f"{name} ({settings})" if settings else name


def slug(arm: str) -> str:
    """An arm's label as part of a folder's name.

    >>> slug("focal (gamma=1.0)")
    'focal-gamma=1.0'
    """
    return re.sub(r"[^A-Za-z0-9.=_+]+", "-", arm).strip("-")


def _pair(value: Any) -> Any:
    """A bare number stands for a square."""
    return (value, value) if isinstance(value, int) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OpenSection(BaseModel):
    """A section whose further keys are the settings of the choice that it names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the named choice."""
        return dict(self.model_extra or {})


class DataSection(_Section):
    """Which images and labels; ``args`` are the settings of the source."""

    source: str
    root: Path | None = None
    args: dict[str, Any] = {}
    cache: Path | None = None
    image_size: Annotated[tuple[int, int], BeforeValidator(_pair)] = (224, 224)
    resize: Literal["stretch", "pad"] = "stretch"
    channels: Literal[1, 3] | None = None
    classes: tuple[str, ...] | None = None
    labels: Literal["multi_label", "binary"] = "multi_label"
    uncertain: Literal["zeros", "ones", "ignore"] = "ignore"
    unmentioned: Literal["negative", "ignore"] = "negative"
    split: SplitSettings = Field(default_factory=SplitSettings)

    @model_validator(mode="after")
    def _source_exists(self) -> DataSection:
        DATASETS.build(self.source, **self.args)
        if min(self.image_size) < 16:
            raise ValueError(f"`image_size` must be 16 pixels or more; got {self.image_size}")
        return self

    def view(self) -> DataSettings:
        """The late choices about labels, split and pixels."""
        return DataSettings(
            image_size=self.image_size,
            resize=self.resize,
            channels=self.channels,
            classes=self.classes,
            labels=self.labels,
            uncertain=self.uncertain,
            unmentioned=self.unmentioned,
            split=self.split,
        )


class ModelSection(_OpenSection):
    """Which network. Keys beyond ``source`` are its settings, such as name, pretrained and args."""

    source: str = "timm"

    @model_validator(mode="after")
    def _source_exists(self) -> ModelSection:
        MODELS.build(self.source, **self.settings)
        return self


class TreatmentSection(_OpenSection):
    """One arm. Keys beyond these are settings of the treatment.

    ``label`` names the arm; ``lr`` is its own peak learning rate, in place of ``training.lr``.
    """

    name: str
    label: str | None = None
    lr: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _treatment_exists(self) -> TreatmentSection:
        self.build()
        return self

    def build(self) -> ImbalanceTreatment:
        """The treatment with its settings."""
        return TREATMENTS.build(self.name, **self.settings)

    @property
    def arm(self) -> str:
        """The label, by default the treatment with its stated settings."""
        if self.label is not None:
            return self.label
        rate = {} if self.lr is None else {"lr": self.lr}
        return _stated({"name": self.name, **self.settings, **rate})

    def is_stated_as(self, choice: Any) -> bool:
        """Whether a part's choice (a bare name, or name and settings) states the same treatment."""
        return bool({"name": self.name, **self.settings} == _named(choice))


class AttributionSection(_OpenSection):
    """One attribution method with its settings."""

    name: str

    @model_validator(mode="after")
    def _method_exists(self) -> AttributionSection:
        ATTRIBUTIONS.build(self.name, **self.settings)
        return self


class MetricSection(_OpenSection):
    """One alignment metric with its settings."""

    name: str

    @model_validator(mode="after")
    def _metric_exists(self) -> MetricSection:
        METRICS.build(self.name, **self.settings)
        if self.name in _OVERLAPS and self.settings.get("variant") == "as_published":
            raise ValueError(
                f"{self.name!r} as_published reads maps that are already scaled to [0, 1], and the lens keeps maps as "
                "they are; leave the variant out here, and use that form from Python"
            )
        return self

    @property
    def key(self) -> str:
        """The metric with its stated settings, as it stands in the tables."""
        stated = ",".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        return f"{self.name}[{stated}]" if stated else self.name


class PerformanceLens(_Section):
    """How well the classifier ranks; nothing to set."""


class SoundnessSection(_Section):
    """The checks of each attribution method, on up to ``pairs`` annotated pairs of the first seed of every arm.

    ``permuted_labels`` trains one more network, control's on permuted training labels, to which maps must not be like.
    """

    pairs: int = Field(24, ge=4)
    permuted_labels: bool = True


class ShortcutSection(_Section):
    """The shortcut audit: how much saliency lies on what is no finding, and what its removal does to the logits.

    ``confounders`` are names of the data set's extra masks and ``outside_body``; None takes all that there are, an
    empty list none. Up to ``images`` test images are looked at for each.
    """

    confounders: tuple[str, ...] | None = None
    images: int = Field(200, ge=10)
    removal: bool = True


class AlignmentLens(_Section):
    """Where the classifier looks, relative to what the expert drew.

    ``references`` are maps that know no model, ``untrained`` the network before training; excess over each stands
    beside the value of every pair. ``soundness`` and ``shortcuts`` are left out where they are null.
    """

    attributions: tuple[Annotated[AttributionSection, BeforeValidator(_named)], ...] = (
        AttributionSection(name="gradcam"),
    )
    metrics: tuple[Annotated[MetricSection, BeforeValidator(_named)], ...] = tuple(
        MetricSection(name=name) for name in _DEFAULT_METRICS
    )
    layer: str = "auto"
    batch_size: int = Field(64, ge=1)
    references: tuple[str, ...] = ("centre_gaussian", "class_mean_annotation", "edge", "random")
    untrained: bool = True
    soundness: SoundnessSection | None = SoundnessSection()
    shortcuts: ShortcutSection | None = ShortcutSection()

    def pairs(self) -> list[tuple[AttributionSection, MetricSection]]:
        """Every method with every metric."""
        return [(method, metric) for method in self.attributions for metric in self.metrics]

    @model_validator(mode="after")
    def _each_once(self) -> AlignmentLens:
        chosen = {
            "attributions": [method.name for method in self.attributions],
            "metrics": [metric.key for metric in self.metrics],
        }
        for what, names in chosen.items():
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"`{what}` holds {repeated[0]!r} twice; evidence and findings name each once")
            if not names:
                raise ValueError(f"`{what}` is empty; name at least one, or set the lens to null")
        return self


class DissectionLens(_Section):
    """What single units respond to."""

    layer: str = "auto"
    top_fraction: float = Field(0.005, gt=0, lt=0.5)
    batch_size: int = Field(64, ge=1)


class Lenses(_Section):
    """The ways of looking at each run; a lens that is null is left out."""

    performance: PerformanceLens = PerformanceLens()
    alignment: AlignmentLens | None = AlignmentLens()
    dissection: DissectionLens | None = DissectionLens()


class CompareSection(_Section):
    """How arms are compared with control."""

    control: str = "control"
    equivalence_margin: float = Field(0.02, gt=0, lt=1)
    lens_margin: float = Field(0.02, gt=0, lt=1)
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class AuditSection(_Section):
    """What happens when the audit finds that a treatment does not do what it says.

    ``allow`` names arms that go on although their audit fails; the report shows the verdict.
    """

    allow: tuple[str, ...] = ()


class TuneSection(_Section):
    """The same small search for every arm before its runs, scored on the validation split.

    ``epochs`` is the budget of a trial, by default that of a run; ``seed`` is none of ``seeds``; learning rates are
    tried from 1/``lr_range`` to ``lr_range`` times that of the arm.
    """

    epochs: int | None = Field(None, ge=1)
    seed: int = Field(1000, ge=0)
    lr_range: float = Field(4.0, gt=1, le=1000)


class ExperimentConfig(_Section):
    """An experiment: data set × model × imbalance treatments × seeds × lenses."""

    name: str = Field("experiment", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: DataSection
    model: ModelSection
    treatments: tuple[Annotated[TreatmentSection, BeforeValidator(_named)], ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    lenses: Lenses = Lenses()
    compare: CompareSection = CompareSection()
    audit: AuditSection = AuditSection()
    tune: TuneSection | None = None

    @model_validator(mode="after")
    def _arms_and_seeds(self) -> ExperimentConfig:
        arms = [treatment.arm for treatment in self.treatments]
        repeats: tuple[tuple[str, list[Any]], ...] = (("treatments", arms), ("seeds", list(self.seeds)))
        folders = [slug(arm) for arm in arms]
        if len(set(arms)) == len(arms) and (shared := [arm for arm in arms if folders.count(slug(arm)) > 1]):
            raise ValueError(f"arms {shared[0]!r} and {shared[1]!r} would share the folder name {slug(shared[0])!r}")
        for what, values in repeats:
            if repeated := sorted({value for value in values if values.count(value) > 1}, key=str):
                raise ValueError(f"`{what}` holds {repeated[0]!r} twice; each must differ (an arm can have a `label`)")
        if min(self.seeds) < 0:
            raise ValueError(f"`seeds` must be 0 or more; got {min(self.seeds)}")
        if self.compare.control not in self._trained:
            known = ", ".join(self._trained)
            raise ValueError(
                f"`compare.control` is {self.compare.control!r}, which is no trained arm; arms: "
                f"{known}. Add it to `treatments`, or set `compare.control` to one of these"
            )
        if strangers := sorted(set(self.audit.allow) - set(arms)):
            raise ValueError(f"`audit.allow` names {strangers[0]!r}, which is no arm; arms: {', '.join(arms)}")
        return self

    @model_validator(mode="after")
    def _ensembles_have_members(self) -> ExperimentConfig:
        for section in self._ensemble_sections:
            if len(self.seeds) < 2:
                raise ValueError(f"arm {section.arm!r} averages over seeds; state two or more `seeds`")
            if self._averaged(section) is None:
                raise ValueError(
                    f"arm {section.arm!r} averages the seeds of an arm that is not among `treatments`; add it there "
                    "with the same settings"
                )
        return self

    @model_validator(mode="after")
    def _search_has_its_own_seed(self) -> ExperimentConfig:
        if self.tune is not None and self.tune.seed in self.seeds:
            raise ValueError(
                f"`tune.seed` is {self.tune.seed}, which is among `seeds`; choose another, so that the search never "
                "sees what a run sees"
            )
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """Labels of the arms that have runs, control first."""
        return (self.compare.control, *(label for label in self._trained if label != self.compare.control))

    @property
    def ensembles(self) -> dict[str, str]:
        """Label of each ensemble to the arm whose seeds it averages."""
        return {section.arm: str(self._averaged(section)) for section in self._ensemble_sections}

    def training_of(self, arm: str) -> TrainingSettings:
        """How the runs of one arm are trained: as all are, but for its own learning rate if it has one."""
        lr = self.treatment(arm).lr
        return self.training if lr is None else replace(self.training, lr=lr)

    def require_tune(self) -> TuneSection:
        """The settings of the search.

        Raises:
            InputError: No search was asked for.
        """
        if self.tune is None:
            raise InputError("the configuration has no `tune` section; add one, or use --tune")
        return self.tune

    def _averaged(self, ensemble: TreatmentSection) -> str | None:
        """The arm whose seeds an ensemble averages; None where it is not among the treatments.

        Two arms may state the same treatment with another ``lr``; an ensemble's own ``lr`` says which is meant.
        """
        of = ensemble.settings.get("of", "control")
        same = (section for section in self._trained_sections if section.is_stated_as(of))
        return next((section.arm for section in same if ensemble.lr in (None, section.lr)), None)

    @property
    def _trained_sections(self) -> list[TreatmentSection]:
        return [section for section in self.treatments if section.name != "ensemble"]

    @property
    def _ensemble_sections(self) -> list[TreatmentSection]:
        return [section for section in self.treatments if section.name == "ensemble"]

    @property
    def _trained(self) -> list[str]:
        return [section.arm for section in self._trained_sections]

    def treatment(self, arm: str) -> TreatmentSection:
        """The section of one arm."""
        return next(treatment for treatment in self.treatments if treatment.arm == arm)
