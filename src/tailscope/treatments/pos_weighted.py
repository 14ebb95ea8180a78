"""BCE whose positives weigh a power of the ratio of negatives to positives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE, positive_weights
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range


@TREATMENTS.register("pos_weighted")
@dataclass(frozen=True)
class PosWeighted:
    """BCE whose positives weigh (n⁻_c/n⁺_c)^power, at most ``cap``.

    Power 1 gives both sides of a class the same weight in sum and is ``intra_weighted``; ½ is the square-root form,
    which leaves the rare side the lighter one; 0 is control. A class with more positives than negatives has a weight
    below 1.

    Source: for power 1 the weighted likelihood of King, Zeng, "Logistic regression in rare events data" (Political
    Analysis 2001), for a population of which half is positive, but for a factor per class: there both sides are
    weighted, here the negatives keep weight 1, as with ``pos_weight`` of torch's ``BCEWithLogitsLoss``. The square root
    is that of Mahajan et al., "Exploring the limits of weakly supervised pretraining" (ECCV 2018), who draw images by
    the root of their label's frequency; here it weighs positives.

    Args:
        power: Exponent of the ratio, in [0, 2].
        cap: Largest weight a positive may have, 1 or more; None for no cap.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> import torch
        >>> counts = ClassCounts(("mass",), (1,), (9,))
        >>> plan = PosWeighted(power=0.5)(counts)  # a positive weighs √9
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # 3·ln 2
        2.0794
        >>> round(PosWeighted(power=0)(counts).loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # the control
        0.6931
    """

    power: float = 0.5
    cap: float | None = None

    limit: ClassVar[LimitCase] = LimitCase("power 0: control", {"power": 0})
    main: ClassVar[MainParameter] = MainParameter("power", (0.25, 0.5, 1.0))

    def __post_init__(self) -> None:
        check_range("power", self.power, 0, 2)
        if self.cap is not None:
            check_range("cap", self.cap, 1)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        weights = positive_weights(class_counts, self.cap, self.power)
        return TreatmentPlan(WeightedBCE(len(class_counts.names), positive_weight=weights))
