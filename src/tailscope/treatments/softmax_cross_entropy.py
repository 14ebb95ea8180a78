"""Cross-entropy of the soft-max over the classes, and the plan that every soft-max form hands out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.core.errors import InputError
from tailscope.treatments.plan import SINGLE_LABEL, TreatmentPlan
from tailscope.treatments.softmax import SoftmaxLoss, softmax_log_odds


class SoftmaxCrossEntropy(SoftmaxLoss):
    """w_y·CE(x + shift) per image, y its class; averaged over the images, whatever their weights.

    Args:
        num_classes: K.
        class_weight: (K,) w, or None for 1.
        shift: (K,) added to the logits in the loss only, or None for 0.

    Example:
        >>> loss = SoftmaxCrossEntropy(2, class_weight=np.array([3.0, 1.0]))
        >>> round(loss(torch.zeros(2, 2), torch.eye(2)).item(), 4)  # (3·ln 2 + ln 2) / 2
        1.3863
    """

    class_weight: Tensor
    shift: Tensor

    def __init__(
        self,
        num_classes: int,
        class_weight: NDArray[np.float64] | None = None,
        shift: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(num_classes)
        weight = np.ones(num_classes) if class_weight is None else class_weight
        self.register_buffer("class_weight", torch.as_tensor(weight))
        self.register_buffer("shift", torch.as_tensor(np.zeros(num_classes) if shift is None else shift))

    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        weight = (y * self.class_weight.to(x)).sum(dim=1)
        return weight * -logsigmoid(true_log_odds(x + self.shift.to(x), y))


def true_log_odds(x: Tensor, y: Tensor) -> Tensor:
    """log(p_y/(1−p_y)) of the true class: its soft-max probability p_y is the sigmoid of what is returned.

    Written so, neither log p_y nor log(1−p_y) cancels where the class is nearly certain.

    Args:
        x: (B, K) logits, K 2 or more.
        y: (B, K) in {0, 1}, one 1 per row; for a row of zeros the value is finite and without meaning.

    Returns:
        (B,).

    Example:
        >>> round(torch.sigmoid(true_log_odds(torch.zeros(1, 4), torch.eye(4)[:1])).item(), 6)
        0.25
    """
    others = x.masked_fill(y == 1, -torch.inf)
    return (x * y).sum(dim=1) - torch.logsumexp(others, dim=1)


def softmax_plan(loss: SoftmaxLoss, adjust_logits: Callable[[Tensor], Tensor] = softmax_log_odds) -> TreatmentPlan:
    """The plan of a soft-max form: one label per image is required, and predictions become log-odds.

    Args:
        loss: The form's loss.
        adjust_logits: From logits (B, K) to log-odds (B, K).

    Raises:
        InputError: There is one class only, whose soft-max probability is always 1.

    Example:
        >>> softmax_plan(SoftmaxCrossEntropy(2)).requirements
        ('single_label',)
    """
    if loss.num_classes < 2:
        raise InputError(
            f"form 'softmax' needs 2 or more classes; got {loss.num_classes}: use form 'sigmoid', or name more classes"
        )
    return TreatmentPlan(loss, adjust_logits=adjust_logits, requirements=(SINGLE_LABEL,))
