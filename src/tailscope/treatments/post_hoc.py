"""What all steps after training share: the network of another treatment, and an order that does not change."""

from __future__ import annotations

from dataclasses import replace

from tailscope.core.errors import InputError
from tailscope.treatments.adjustment import AfterTraining
from tailscope.treatments.parts import Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.schedules import require_plain


def monotone(plan: TreatmentPlan, step: AfterTraining, *, on_raw_logits: bool = False) -> TreatmentPlan:
    """The plan with a step after training that keeps the order of the images within each class.

    Args:
        plan: Of the underlying treatment.
        step: What follows.
        on_raw_logits: Whether the step is defined on the logits of independent sigmoids as the network gives them.

    Raises:
        InputError: The plan has a schedule, a mix-up or a step after training of its own, or its logits are read
            through a soft-max or a scale, for which the step is not defined.
    """
    require_plain(plan, "a step after training")
    if on_raw_logits and plan.adjust_logits is not None:
        raise InputError(
            f"{Part(*step.base)} reads its logits through a soft-max or a scale, and this step is defined for the "
            "logits of independent sigmoids; choose `form: sigmoid` and no scale, or `temperature`"
        )
    name = Part(*step.base)
    return replace(
        plan, after_training=step, same_ranking=f"monotone per class after training: it ranks as {name} does"
    )
