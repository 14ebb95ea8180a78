"""Cross-entropy against targets that are never quite certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor
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


class SmoothedBCE(CellLoss):
    """BCE against y' = y(1−ε) + ε/2.

    Args:
        num_classes: K.
        epsilon: ε in [0, 1).
    """

    def __init__(self, num_classes: int, epsilon: float) -> None:
        super().__init__(num_classes)
        self.epsilon = epsilon

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        z = toward_target(x, y)
        # The BCE of the wrong answer is that of the right one plus z, so ε/2 of the target moves ε/2·z over.
        return self.epsilon / 2 * z - logsigmoid(z)


class SmoothedCrossEntropy(SoftmaxLoss):
    """Cross-entropy against y' = (1−ε)y + ε/K.

    Args:
        num_classes: K.
        epsilon: ε in [0, 1).
    """

    def __init__(self, num_classes: int, epsilon: float) -> None:
        super().__init__(num_classes)
        self.epsilon = epsilon

    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        spread = -torch.log_softmax(x, dim=1).mean(dim=1)
        return (1 - self.epsilon) * -logsigmoid(true_log_odds(x, y)) + self.epsilon * spread


@TREATMENTS.register("label_smoothing")
@dataclass(frozen=True)
class LabelSmoothing:
    """Cross-entropy against targets of which the share ε is spread evenly over all answers.

    Sigmoid: a positive counts as 1−ε/2, a negative as ε/2. Soft-max: the true class as 1−ε+ε/K, every other as ε/K. The
    loss of the right answer then has its minimum at a finite logit, log((2−ε)/ε) with the sigmoid.

    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision" (CVPR
    2016), section 7, with the uniform distribution over the classes, which is the soft-max form. The sigmoid form is
    the same with two answers per class; it draws a rare class toward ½ as it does a frequent one.

    Args:
        epsilon: ε in [0, 1).
        form: ``"sigmoid"`` or ``"softmax"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = LabelSmoothing(epsilon=0)(ClassCounts(("mass",), (1,), (9,)))  # the control
        >>> round(plan.loss(torch.ones(1, 1), torch.ones(1, 1)).item(), 4)  # ln(1 + 1/e)
        0.3133
        >>> plan = LabelSmoothing(epsilon=0.2)(ClassCounts(("mass",), (1,), (9,)))
        >>> round(plan.loss(torch.ones(1, 1), torch.ones(1, 1)).item(), 4)  # a tenth of the target lies one logit off
        0.4133
    """

    epsilon: float = 0.1
    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("epsilon 0: control", {"epsilon": 0})
    main: ClassVar[MainParameter] = MainParameter("epsilon", (0.05, 0.1, 0.2))

    def __post_init__(self) -> None:
        check_range("epsilon", self.epsilon, 0, 1, open_end=True)
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only the number of classes is used."""
        num_classes = len(class_counts.names)
        if self.form == "softmax":
            return softmax_plan(SmoothedCrossEntropy(num_classes, self.epsilon))
        return TreatmentPlan(SmoothedBCE(num_classes, self.epsilon))
