"""What all steps after training share: the network of another treatment, and an order that does not change."""

from __future__ import annotations

from dataclasses import replace

from tailscope.treatments.adjustment import AfterTraining
from tailscope.treatments.parts import Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.schedules import require_plain


def monotone(plan: TreatmentPlan, step: AfterTraining) -> TreatmentPlan:
    """The plan with a step after training that keeps the order of the images within each class.

    Raises:
        InputError: The plan has a schedule, a mix-up or a step after training of its own.
    """
    require_plain(plan, "a step after training")
    name = Part(*step.base)
    return replace(
        plan, after_training=step, same_ranking=f"monotone per class after training: it ranks as {name} does"
    )
