"""One validated configuration of an experiment; every problem is reported, all at once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from tailscope.core import InputError
from tailscope.experiment.data_config import DataSection, OtherTestSection
from tailscope.experiment.lens_config import Lenses
from tailscope.experiment.sections import OpenSection, Section, named
from tailscope.experiment.view_config import LabelViewSection, stated_view, view_arm
from tailscope.models import MODELS
from tailscope.training import TrainingSettings
from tailscope.treatments import TREATMENTS, ImbalanceTreatment

_SEEDS_APART = 10_000  # between a seed and that of the second control; few people write seeds of five digits


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


def seed_again(seed: int) -> int:
    """The seed of the second control that stands opposite one of ``seeds``.

    It depends on that seed alone, so that added seeds leave finished runs as they are.

    >>> seed_again(3)
    10003
    """
    return _SEEDS_APART + seed


class ModelSection(OpenSection):
    """Which network. Keys beyond ``source`` are its settings, such as name, pretrained and args."""

    source: str = "timm"

    @model_validator(mode="after")
    def _source_exists(self) -> ModelSection:
        MODELS.build(self.source, **self.settings)
        return self


class TreatmentSection(OpenSection):
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
        return bool({"name": self.name, **self.settings} == named(choice))


class CompareSection(Section):
    """How arms are compared with control.

    ``second_control`` trains control once more, with other seeds: the A/A arm, in which every difference is a false
    alarm.
    """

    control: str = "control"
    second_control: bool = False
    equivalence_margin: float = Field(0.02, gt=0, lt=1)
    lens_margin: float = Field(0.02, gt=0, lt=1)
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)


class AuditSection(Section):
    """What happens when the audit finds that a treatment does not do what it says.

    ``allow`` names arms that go on although their audit fails; the report shows the verdict.
    """

    allow: tuple[str, ...] = ()


class TuneSection(Section):
    """The same small search for every arm before its runs, scored on the validation split.

    ``epochs`` is the budget of a trial, by default that of a run; ``seed`` is none of ``seeds``; learning rates are
    tried from 1/``lr_range`` to ``lr_range`` times that of the arm.
    """

    epochs: int | None = Field(None, ge=1)
    seed: int = Field(1000, ge=0)
    lr_range: float = Field(4.0, gt=1, le=1000)


class ExperimentConfig(Section):
    """An experiment: data set × model × imbalance treatments × seeds × lenses."""

    name: str = Field("experiment", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: DataSection
    model: ModelSection
    treatments: tuple[Annotated[TreatmentSection, BeforeValidator(named)], ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    lenses: Lenses = Lenses()
    compare: CompareSection = CompareSection()
    audit: AuditSection = AuditSection()
    tune: TuneSection | None = None
    test_on: tuple[OtherTestSection, ...] = ()
    label_views: tuple[Annotated[LabelViewSection, BeforeValidator(stated_view)], ...] | None = None

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
    def _test_sets_have_names(self) -> ExperimentConfig:
        names = [slug(section.title).lower() for section in self.test_on]
        if shared := [
            section.title for section, name in zip(self.test_on, names, strict=True) if names.count(name) > 1
        ]:
            raise ValueError(f"`test_on` holds two data sets of the name {shared[0]!r}; give each a `name` of its own")
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

    @model_validator(mode="after")
    def _second_control_is_apart(self) -> ExperimentConfig:
        label = self.second_control
        if label is None:
            return self
        if same := [section.arm for section in self.treatments if slug(section.arm) == slug(label)]:
            raise ValueError(f"arm {same[0]!r} has the name of the second control, {label!r}; give it another `label`")
        searched = () if self.tune is None else (self.tune.seed,)
        if taken := {*self.seeds, *searched} & {seed_again(seed) for seed in self.seeds}:
            raise ValueError(
                f"`compare.second_control` trains with {_SEEDS_APART} + each of `seeds`, and {min(taken)} is taken by "
                "`seeds` or `tune.seed`; choose other seeds"
            )
        return self

    @model_validator(mode="after")
    def _views_are_apart(self) -> ExperimentConfig:
        if self.label_views is None:
            return self
        names = [view.name for view in self.label_views]
        if len(names) < 2:
            raise ValueError("`label_views` compares two views or more; add one, or set `data.uncertain` instead")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"`label_views` holds {twice[0]!r} twice; each must differ (a view can have a `label`)")
        for view in self.label_views:
            view.settings(self.data.view())  # refuses choices that do not go together
        folders = [slug(arm) for arm in (*self.arms, *self.viewed)]
        if shared := [arm for arm in self.viewed if folders.count(slug(arm)) > 1]:
            raise ValueError(f"arm {shared[0]!r} would share its folder's name; give the view or the arm a `label`")
        return self

    @property
    def further_views(self) -> tuple[str, ...]:
        """Names of the label views beyond the first, which is that of the arms themselves."""
        return tuple(view.name for view in (self.label_views or ())[1:])

    @property
    def viewed(self) -> dict[str, tuple[str, str]]:
        """Label of an arm under a further view to (arm, view)."""
        return {view_arm(arm, view): (arm, view) for view in self.further_views for arm in self.arms}

    @property
    def second_control(self) -> str | None:
        """Label of the second control, which is none of ``arms``; None where none was asked for."""
        return f"{self.compare.control} again (A/A)" if self.compare.second_control else None

    @property
    def every_seed(self) -> tuple[int, ...]:
        """The seeds of all runs, those of the second control last."""
        again = self.seeds if self.compare.second_control else ()
        return (*self.seeds, *(seed_again(seed) for seed in again))

    @property
    def arms(self) -> tuple[str, ...]:
        """Labels of the arms that have runs, control first; the second control is none of them."""
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
        """The section of one arm; of the second control, that of control, and under a view, that of its arm."""
        stated = self.compare.control if arm == self.second_control else self.viewed.get(arm, (arm,))[0]
        return next(treatment for treatment in self.treatments if treatment.arm == stated)
