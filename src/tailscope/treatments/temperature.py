"""Temperature scaling, one temperature per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tailscope.core.records import ClassCounts
from tailscope.treatments.adjustment import AffineLogits, AfterTraining, FittedOn
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.post_hoc import monotone
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.scale_fitting import best_scale


@dataclass(frozen=True)
class TemperatureFit:
    """x/T_c with the T_c that minimises the class's cross-entropy on the validation images."""

    def __call__(self, fitted_on: FittedOn) -> AffineLogits:
        """The adjustment; a class without both sides keeps T = 1 and is noted."""
        fits = [best_scale(*column) for column in zip(fitted_on.val_logits.T, fitted_on.val_targets.T, strict=True)]
        named = zip(fitted_on.classes, fits, strict=True)
        notes = tuple(f"class {name!r}: {fit.note}" for name, fit in named if fit.note)
        return AffineLogits(tuple(fit.scale for fit in fits), (0.0,) * len(fits), notes)


@TREATMENTS.register("temperature")
@dataclass(frozen=True)
class Temperature:
    """After training, each class's logit is divided by a temperature that validation images choose.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks" (ICML 2017), section 4.2, with one
    temperature per class, because the classes are independent sigmoids. T lies in [0.01, 100].

    Args:
        treatment: What the network is trained with.

    Raises:
        InputError: The treatment makes no sense.

    Example:
        >>> Temperature()(ClassCounts(("mass",), (1,), (9,))).same_ranking
        'monotone per class after training: it ranks as control does'
    """

    limit: ClassVar[LimitCase] = LimitCase("any settings: the loss is the underlying treatment's, here control's")

    treatment: Choice = "control"

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only what the underlying treatment uses is used."""
        part = Part.of(self.treatment, "treatment")
        return monotone(
            part.build()(class_counts), AfterTraining((part.name, part.settings), TemperatureFit(), ("val",))
        )
