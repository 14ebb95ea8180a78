"""A treatment's plan in time: which part of it holds in which epoch, and where the learning rate begins anew."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailscope.core import InputError
from tailscope.treatments import TreatmentPlan


@dataclass(frozen=True, eq=False)
class Stage:
    """Epochs in which one plan holds.

    Args:
        plan: What holds.
        first: First epoch.
        end: One past the last epoch.
        begin: First epoch of the stretch over which the learning rate runs through its schedule once.
        finish: One past the last epoch of that stretch.
    """

    plan: TreatmentPlan
    first: int
    end: int
    begin: int
    finish: int


def stages_of(plan: TreatmentPlan, epochs: int) -> tuple[Stage, ...]:
    """The stages of a training of so many epochs; phases shorter than an epoch are skipped over.

    A phase begins at the first epoch that has its share of the training behind it. A fresh head begins a new stretch of
    the learning-rate schedule.

    Raises:
        InputError: The last phase, with which the treatment is complete, would get no epoch.
    """
    starts = [(math.ceil(share * epochs - 1e-9), part) for share, part in plan.stages]
    if starts[-1][0] >= epochs:
        raise InputError(
            f"the treatment's last phase begins at {plan.stages[-1][0]:g} of the training, which leaves it none of "
            f"{epochs} epochs; {_remedy(plan.stages[-1][0], epochs)}"
        )
    later = [first for first, _ in starts[1:]] + [epochs]
    kept = [(first, part, end) for (first, part), end in zip(starts, later, strict=True) if end > first]
    cuts = sorted({0, epochs, *(first for first, part, _ in kept if part.trains == "fresh_head")})
    return tuple(
        Stage(part, first, end, max(cut for cut in cuts if cut <= first), min(cut for cut in cuts if cut > first))
        for first, part, end in kept
    )


def _remedy(share: float, epochs: int) -> str:
    enough = next(more for more in range(epochs + 1, 10**6) if math.ceil(share * more - 1e-9) < more)
    raised = f"raise `training.epochs` to {enough} or more"
    if epochs == 1:
        return raised
    return f"lower its `share` to {math.floor(100 * (epochs - 1) / epochs) / 100:g} or less, or {raised}"


def stage_at(stages: tuple[Stage, ...], epoch: int) -> Stage:
    """The stage in which an epoch lies."""
    return next(stage for stage in stages if stage.first <= epoch < stage.end)
