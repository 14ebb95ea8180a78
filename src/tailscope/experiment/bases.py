"""Arms that rest on another arm: a step after its training, or the ensemble of its seeds."""

from __future__ import annotations

from typing import Any

from tailscope.core import ClassCounts
from tailscope.experiment.config import ExperimentConfig, TreatmentSection
from tailscope.treatments import AfterTraining

_ENSEMBLE = "ensemble"


def bases_of(config: ExperimentConfig, counts: ClassCounts) -> dict[str, str]:
    """Arm to the arm that it rests on; an arm that rests on none, or on a training that is no arm, is left out."""
    after = {arm: _trained_as(config, arm, counts) for arm in config.arms}
    return {**{arm: base for arm, base in after.items() if base is not None}, **config.ensembles}


def follow_bases(
    config: ExperimentConfig, bases: dict[str, str], chosen: dict[str, TreatmentSection]
) -> tuple[TreatmentSection, ...]:
    """All arms in their order, those that rest on another with what that one got.

    Args:
        config: As asked.
        bases: See :func:`bases_of`.
        chosen: The arms that were searched, as the search left them.
    """
    done = dict(chosen)
    # Ensembles last: they may rest on an arm that rests on another itself.
    for section in sorted(config.treatments, key=lambda one: one.name == _ENSEMBLE):
        if section.arm in bases:
            done[section.arm] = _resting_on(section, done[bases[section.arm]])
    return tuple(done[section.arm] for section in config.treatments)


def repeated_arm(config: ExperimentConfig, arm: str, step: AfterTraining) -> str | None:
    """The arm with the treatment and the training that ``step`` follows in ``arm``; None where it is no arm."""
    name, settings = step.base
    return next(
        (
            other
            for other in config.arms
            if config.treatment(other).is_stated_as({"name": name, **settings})
            and config.training_of(other) == config.training_of(arm)
        ),
        None,
    )


def _trained_as(config: ExperimentConfig, arm: str, counts: ClassCounts) -> str | None:
    """The arm whose training an arm would repeat, to adjust its logits afterwards."""
    section = config.treatment(arm)
    step = section.build()(counts).after_training
    if step is None or not hasattr(section.build(), "treatment"):
        return None
    return repeated_arm(config, arm, step)


def _resting_on(section: TreatmentSection, base: TreatmentSection) -> TreatmentSection:
    choice: Any = {"name": base.name, **base.settings} if base.settings else base.name
    part = "of" if section.name == _ENSEMBLE else "treatment"
    return section.model_copy(update={"label": section.arm, "lr": base.lr, part: choice})
