"""Cross-entropy of logits to which the class priors are added while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, bce_cells
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import Form, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range
from tailscope.treatments.softmax_cross_entropy import SoftmaxCrossEntropy, softmax_plan

SAME_RANKING = "control started at another bias: the loss is control's on logits shifted by a constant per class"


class ShiftedBCE(CellLoss):
    """BCE of x + shift.

    Args:
        shift: (K,) added to the logits in the loss only.
    """

    shift: Tensor

    def __init__(self, shift: NDArray[np.float64]) -> None:
        super().__init__(len(shift))
        self.register_buffer("shift", torch.as_tensor(shift))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        return bce_cells(x + self.shift.to(x), y)


@TREATMENTS.register("logit_adjusted")
@dataclass(frozen=True)
class LogitAdjusted:
    """Cross-entropy of logits shifted by τ times the log prior, so that what the network learns is free of the prior.

    Sigmoid: BCE(x + τ·log(π_c/(1−π_c))) with π_c = n⁺_c/(n⁺_c+n⁻_c). Soft-max: CE(x + τ·log π) with
    π_c = n⁺_c/Σ n⁺. Predictions are the network's own logits, without the shift.

    Source: Menon, Jayasumana, Rawat, Jain, Veit, Kumar, "Long-tail learning via logit adjustment" (ICLR 2021),
    equation 10, which is the soft-max form. The sigmoid form treats each class as a two-class problem with priors
    π_c and 1−π_c, to which the paper's loss gives the difference of their logarithms. A bias in the last layer can
    undo it exactly: it is control started at another bias, and ranks alike but for the path of the optimiser.

    Args:
        tau: τ, 0 or more; 1 is the paper's choice without tuning.
        form: ``"sigmoid"`` or ``"softmax"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = LogitAdjusted()(ClassCounts(("mass",), (1,), (3,)))  # the shift is −ln 3, so p = ¼
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # ln 4
        1.3863
        >>> plan = LogitAdjusted(tau=0)(ClassCounts(("mass",), (1,), (3,)))  # the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    tau: float = 1.0
    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("tau 0: control", {"tau": 0})
    main: ClassVar[MainParameter] = MainParameter("tau", (0.5, 1.0, 2.0))

    def __post_init__(self) -> None:
        check_range("tau", self.tau, 0)
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        positives = np.array(class_counts.positives, dtype=np.float64)
        if self.form == "softmax":
            shift = self.tau * np.log(positives / positives.sum())
            return softmax_plan(SoftmaxCrossEntropy(len(positives), shift=shift))
        shift = self.tau * np.log(positives / np.array(class_counts.negatives))
        return TreatmentPlan(ShiftedBCE(shift), same_ranking=SAME_RANKING, corrects_prior=True)
