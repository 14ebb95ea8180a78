"""Prior shift: the logits of a trained network, moved to another prevalence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.adjustment import AffineLogits, AfterTraining, FittedOn
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.post_hoc import monotone
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range


@dataclass(frozen=True)
class ConstantShift:
    """The same shift whatever the network says.

    Args:
        shift: K numbers.
    """

    shift: tuple[float, ...]

    def __call__(self, fitted_on: FittedOn) -> AffineLogits:  # noqa: ARG002 - nothing is fitted
        """The adjustment."""
        return AffineLogits((1.0,) * len(self.shift), self.shift)


@TREATMENTS.register("prior_shift")
@dataclass(frozen=True)
class PriorShift:
    """After training, every class's logit moves from its training prevalence to another: x + τ·(log-odds′ − log-odds).

    It corrects the network for a population with other prevalences (Bayes' rule with τ = 1, if the two populations
    differ in nothing else), or with the default of one half treats all classes alike. It changes no order within a
    class.

    Source: Menon, Jayasumana, Rawat, Jain, Veit, Kumar, "Long-tail learning via logit adjustment" (ICLR 2021), section
    4.1, for independent sigmoids: log-odds in place of the log prior. Saerens, Latinne, Decaestecker (2002), equation
    2.4.

    Args:
        treatment: What the network is trained with.
        target: Prevalence of every class to move to, in (0, 1).
        tau: τ; 0 leaves the logits as they are.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = PriorShift()(ClassCounts(("mass",), (1,), (9,)))
        >>> [round(shift, 3) for shift in plan.after_training.fit(None).shift]  # log 9
        [2.197]
    """

    limit: ClassVar[LimitCase] = LimitCase("any settings: the loss is the underlying treatment's, here control's")

    treatment: Choice = "control"
    target: float = 0.5
    tau: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))
        check_range("target", self.target, 1e-6, 1 - 1e-6)
        check_range("tau", self.tau, 0)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: The underlying treatment predicts at other prevalences, or through a soft-max.
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        prevalence = np.array(class_counts.prevalences)
        moved = np.log(self.target / (1 - self.target)) - np.log(prevalence / (1 - prevalence))
        part = Part.of(self.treatment, "treatment")
        plan = part.build()(class_counts)
        if _changes_prior(plan):
            raise InputError(
                f"prior_shift does not go with {part}: that network no longer predicts at the training prevalences, "
                "and the shift would count them once more; choose a treatment that leaves draws and weights of the "
                "positives alone, or `temperature`"
            )
        step = AfterTraining((part.name, part.settings), ConstantShift(tuple(map(float, self.tau * moved))), ())
        return monotone(plan, step, on_raw_logits=True)


def _changes_prior(plan: TreatmentPlan) -> bool:
    weighs_positives = isinstance(plan.loss, WeightedBCE) and plan.loss.positive_weight is not None
    return plan.sample_weights is not None or plan.corrects_prior or weighs_positives
