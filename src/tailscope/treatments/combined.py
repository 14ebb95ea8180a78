"""A loss, a sampler and a schedule together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.drw import WEIGHED_TWICE, WEIGHTED_CLASSES
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import Schedule, require_draws, require_plain, require_prior_kept

_SAMPLER = "any sampler"
# (loss, sampler or schedule): why the two do not go together
IMPOSSIBLE = {
    ("logit_adjusted", _SAMPLER): "it corrects for the prevalences of the images as they come, which a sampler changes",
    **{(name, "drw"): WEIGHED_TWICE for name in WEIGHTED_CLASSES},
}


@TREATMENTS.register("combined")
@dataclass(frozen=True)
class Combined:
    """A loss, a sampler and a schedule in one arm; pairs that contradict each other are refused with the reason.

    Args:
        loss: A loss, by name or with settings.
        sampler: A sampler, or None for the images as they come. It takes the place of a sampler that the loss brings.
        schedule: ``drw``, ``warm_up``, ``balanced_mixup`` or ``decoupled`` without its own ``treatment``, or None.

    Raises:
        InputError: A part is no treatment, or two contradict each other.

    Example:
        >>> plan = Combined(loss="focal", sampler="repeat_factor_sampling")(ClassCounts(("mass",), (1,), (3,)))
        >>> type(plan.loss).__name__, plan.sample_weights is not None
        ('FocalLoss', True)
        >>> Combined(loss="logit_adjusted", sampler="weighted_sampling")
        Traceback (most recent call last):
            ...
        tailscope.core.errors.InputError: logit_adjusted does not go with weighted_sampling: it corrects for the
        prevalences of the images as they come, which a sampler changes
    """

    limit: ClassVar[LimitCase] = LimitCase("no part beyond control: control", {})

    loss: Choice = "control"
    sampler: Choice | None = None
    schedule: Choice | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "sampler", "schedule"):
            choice = getattr(self, name)
            if choice is not None:
                object.__setattr__(self, name, Part.of(self._inner(name, choice), name))
        self._refuse_contradictions()

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: A part is not what its place asks for, or the schedule cannot wrap the others.
            DataError: A class has no positive or no negative, where a part needs both.
        """
        plan = self._with_sampler(self._loss(class_counts), class_counts)
        if self.schedule is None:
            return plan
        part = Part.of(self.schedule, "schedule")
        schedule = part.build()
        if not isinstance(schedule, Schedule):
            raise InputError(f"`schedule`: {part} is none; choose drw, warm_up, balanced_mixup or decoupled")
        return schedule.wrap(plan, class_counts)

    def _loss(self, class_counts: ClassCounts) -> TreatmentPlan:
        part = Part.of(self.loss, "loss")
        plan = part.build()(class_counts)
        require_plain(plan, f"`loss`: {part}: combined")
        is_sampler = plan.sample_weights is not None and _is_control(plan)
        if is_sampler:
            raise InputError(f"`loss`: {part} is a sampler; state it as `sampler`")
        return plan

    def _with_sampler(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        if self.sampler is None:
            return plan
        part = Part.of(self.sampler, "sampler")
        drawing = part.build()(class_counts)
        require_plain(drawing, f"`sampler`: {part}: combined")
        require_prior_kept(plan, str(part), "a sampler changes them")
        weights = require_draws(drawing, part)
        if not _is_control(drawing):
            raise InputError(f"`sampler`: {part} has a loss of its own; state it as `loss`")
        return replace(plan, sample_weights=weights, attributes=drawing.attributes, leaves_out=drawing.leaves_out)

    def _refuse_contradictions(self) -> None:
        loss = Part.of(self.loss, "loss")
        for choice, kind in ((self.sampler, _SAMPLER), (self.schedule, None)):
            if choice is None:
                continue
            other = Part.of(choice, "sampler" if kind else "schedule")
            if why := IMPOSSIBLE.get((loss.name, kind or other.name)):
                raise InputError(f"{loss.name} does not go with {other.name}: {why}")

    @staticmethod
    def _inner(name: str, choice: Choice) -> Choice:
        """A schedule wraps the loss that stands beside it, so it states none itself."""
        if name != "schedule" or isinstance(choice, Part):
            return choice
        stated = {"name": choice} if isinstance(choice, str) else dict(choice)
        if "treatment" in stated:
            raise InputError("`schedule` wraps what `loss` and `sampler` name; leave its `treatment` out")
        # warm_up has no default treatment, because alone it would warm up to nothing
        return {**stated, "treatment": "control"} if stated.get("name") == "warm_up" else stated


def _is_control(plan: TreatmentPlan) -> bool:
    """Whether a plan's loss is control's: a sampler has no other."""
    return isinstance(plan.loss, WeightedBCE) and plan.loss.is_plain
