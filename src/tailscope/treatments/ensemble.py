"""The ensemble of the seeds of another treatment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tailscope.core.records import ClassCounts
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS


@TREATMENTS.register("ensemble")
@dataclass(frozen=True)
class Ensemble:
    """The mean of the probabilities that the runs of another arm predict, over all seeds; nothing is trained.

    There is one ensemble per arm, so nothing is known of its seed noise: it is compared with control's ensemble, with
    intervals over patients and without a verdict. The lenses look into single networks, so it has none.

    Source: Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive uncertainty estimation using deep
    ensembles" (NeurIPS 2017), section 2.4: members differ in their random initialisation and order, and probabilities
    are averaged.

    Args:
        of: The treatment of the arm whose seeds are averaged, by name or with the settings that the arm states.

    Raises:
        InputError: The treatment makes no sense.

    Example:
        >>> Ensemble(of="focal").of.name
        'focal'
    """

    limit: ClassVar[LimitCase] = LimitCase("one seed: the arm itself, so the loss is the underlying treatment's")

    of: Choice = "control"

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", Part.of(self.of, "of"))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan of the members."""
        return Part.of(self.of, "of").build()(class_counts)
