"""Weights per class that are learnt with the network: uncertainty weighting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, bce_cells
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.plan import LEARNS, TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS


class UncertaintyLoss(CellLoss):
    """Σ_c (e^{−s_c}·mean_n BCE_nc + s_c/2); the value of a cell is e^{−s_c}·BCE_nc + s_c/2.

    ``log_variance`` (K,), float32, starts at 0. It belongs into its own optimiser group without weight decay, and its
    state is saved with the run (see :class:`~tailscope.treatments.plan.TreatmentPlan`). A class without a known target
    in the batch has no term, not even s_c/2: its s would otherwise fall without any data.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, reduction="sum_of_class_means")
        self.log_variance = nn.Parameter(torch.zeros(num_classes))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        log_variance = self.log_variance.to(x)
        return torch.exp(-log_variance) * bce_cells(x, y) + log_variance / 2


class PublishedUncertaintyLoss(CellLoss):
    """The published form: mean over the cells of e^{−s_c}·BCE_nc, plus ½·Σ_c s_c, which outweighs the data K times.

    The value of a cell is e^{−s_c}·BCE_nc + ½·Σ_c s_c.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.log_variance = nn.Parameter(torch.zeros(num_classes))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        log_variance = self.log_variance.to(x)
        return torch.exp(-log_variance) * bce_cells(x, y) + log_variance.sum() / 2


@TREATMENTS.register("uncertainty")
@dataclass(frozen=True)
class Uncertainty:
    """One learnt log-variance per class weighs its BCE: a class that stays uncertain weighs less.

    Source: Kendall, Gal, Cipolla, "Multi-task learning using uncertainty to weigh losses for scene geometry and
    semantics" (CVPR 2018), equation 10, with s = log σ² and the classes as tasks.
    At the optimum e^{−s_c} = 1/(2·BCE_c). The published code (``imba_explain/losses/multi_task.py``) takes the mean
    over the classes in the data term but the sum in the regulariser, so that the weights settle K times too high;
    ``as_published`` does that.

    Args:
        variant: ``"corrected"`` or ``"as_published"``.

    Raises:
        InputError: The variant is unknown.

    Example:
        >>> plan = Uncertainty()(ClassCounts(("mass", "hernia"), (5, 1), (5, 9)))  # s = 0: K times the control
        >>> round(plan.loss(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)  # 2·ln 2
        1.3863
    """

    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase("s = 0, where it starts: K times control", per_class=True)

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only the number of classes is used."""
        form = PublishedUncertaintyLoss if self.variant == "as_published" else UncertaintyLoss
        return TreatmentPlan(form(len(class_counts.names)), requirements=(LEARNS,))
