"""Between cross-entropy and mean absolute error: a loss for labels that may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import logsigmoid

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, toward_target
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import Form, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range
from tailscope.treatments.softmax import SoftmaxLoss
from tailscope.treatments.softmax_cross_entropy import softmax_plan, true_log_odds


class GeneralizedBCE(CellLoss):
    """(1−p^q)/q with p the probability of the true side.

    Args:
        num_classes: K.
        q: In [0, 1].
    """

    def __init__(self, num_classes: int, q: float) -> None:
        super().__init__(num_classes)
        self.q = q

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        return box_cox(logsigmoid(toward_target(x, y)), self.q)


class GeneralizedSoftmax(SoftmaxLoss):
    """(1−p^q)/q with p the soft-max probability of the true class.

    Args:
        num_classes: K.
        q: In [0, 1].
    """

    def __init__(self, num_classes: int, q: float) -> None:
        super().__init__(num_classes)
        self.q = q

    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        return box_cox(logsigmoid(true_log_odds(x, y)), self.q)


class _ExactPower(Function):
    """(1−p^q)/q of log p, with the gradient −p^q.

    ``expm1`` keeps the value where p is near 1, but torch takes its gradient as value + 1, which is 0 where p is small.
    """

    @staticmethod
    def forward(ctx: Any, log_p: Tensor, q: float) -> Tensor:
        power = q * log_p
        ctx.save_for_backward(power)
        return -torch.expm1(power) / q

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (power,) = ctx.saved_tensors
        return -torch.exp(power) * gradients[0], None


def box_cox(log_p: Tensor, q: float) -> Tensor:
    """(1−p^q)/q from log p, and −log p for q = 0; same shape, 0 or more.

    >>> box_cox(torch.tensor(0.25).log(), 0.5).item()  # (1 − ½) / ½
    1.0
    """
    if q == 0:
        return -log_p
    powered: Tensor = _ExactPower.apply(log_p, q)
    return powered


@TREATMENTS.register("generalized_cross_entropy")
@dataclass(frozen=True)
class GeneralizedCrossEntropy:
    """(1−p^q)/q, p the probability of the true answer: the more p misses, the less the cell weighs against control.

    Its gradient is p^q times control's, so a label that the network strongly contradicts is taken for wrong and hardly
    pulls. That holds for the missed positives of a rare class as well: it is a reference for noisy labels, no remedy
    for imbalance. At logit −100 and q = 0.7 a positive's gradient is below 1e-30 of control's.

    Source: Zhang, Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels"
    (NeurIPS 2018), equation 6, which is the soft-max form; the sigmoid form is the same with two answers per class. q
    to 0 is cross-entropy (q = 0 gives it exactly), q = 1 is 1−p: the mean absolute error with the sigmoid, half the
    summed absolute error with the soft-max. The truncated loss of their section 3.3 is not here.

    Args:
        q: In [0, 1].
        form: ``"sigmoid"`` or ``"softmax"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = GeneralizedCrossEntropy(q=1)(ClassCounts(("mass",), (1,), (9,)))
        >>> plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item()  # |1 − ½|
        0.5
        >>> plan = GeneralizedCrossEntropy(q=0)(ClassCounts(("mass",), (1,), (9,)))  # the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    q: float = 0.7
    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("q 0: control", {"q": 0})
    main: ClassVar[MainParameter] = MainParameter("q", (0.5, 0.7, 0.9))

    def __post_init__(self) -> None:
        check_range("q", self.q, 0, 1)
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only the number of classes is used."""
        num_classes = len(class_counts.names)
        if self.form == "softmax":
            return softmax_plan(GeneralizedSoftmax(num_classes, self.q))
        return TreatmentPlan(GeneralizedBCE(num_classes, self.q))
