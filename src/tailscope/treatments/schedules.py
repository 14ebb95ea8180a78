"""What schedules share: they wrap the plan of a loss (and a sampler), and refuse what they cannot wrap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.plan import SampleWeights, TreatmentPlan


@runtime_checkable
class Schedule(Protocol):
    """A treatment that changes in time what another treatment does."""

    treatment: object

    def wrap(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan of the whole schedule, around the plan of a loss and perhaps a sampler.

        Raises:
            InputError: The two do not go together; says why.
        """
        ...


def require_plain(plan: TreatmentPlan, schedule: str) -> None:
    """Refuse a plan that has a schedule, a mix-up or a step after training of its own.

    Raises:
        InputError: Names what the plan has.
    """
    has = {
        "phases": plan.phases is not None,
        "a mix-up": plan.mixing is not None,
        "a step after training": plan.after_training is not None,
    }
    if found := [name for name, there in has.items() if there]:
        raise InputError(f"{schedule} wraps a loss or a sampler; the given treatment has {found[0]} of its own")


def scheduled(plan: TreatmentPlan, **parts: Any) -> TreatmentPlan:
    """The plan with the parts of a schedule; under it, no treatment ranks as control by construction any longer."""
    return replace(plan, same_ranking="", **parts)


def require_no_sampler(plan: TreatmentPlan, schedule: str, why: str) -> None:
    """Refuse a plan that draws images by weight.

    Raises:
        InputError: Says why the two do not go together.
    """
    if plan.sample_weights is not None:
        raise InputError(f"{schedule} does not go with a sampler: {why}; leave the sampler out")


def require_prior_kept(plan: TreatmentPlan, what: str, why: str) -> None:
    """Refuse a loss that corrects for the prevalences of the images as they come, where these do not hold.

    Raises:
        InputError: Says why the two do not go together.
    """
    if plan.corrects_prior:
        raise InputError(
            f"{what} does not go with a loss that corrects for the prevalences of the images as they come: {why}; "
            "choose another loss"
        )


def require_draws(plan: TreatmentPlan, part: object) -> SampleWeights:
    """The draw weights of a sampler.

    Raises:
        InputError: The treatment draws no images.
    """
    if plan.sample_weights is None:
        raise InputError(f"`sampler`: {part} draws no images; choose a sampler such as class_aware_sampling")
    return plan.sample_weights
