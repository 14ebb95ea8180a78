"""Labels that are a probability: the loss of a positive and that of a negative, mixed."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tailscope.treatments.plan import TreatmentPlan

_ROWS, _TRIALS = 5, 6
_SAME = 1e-4  # of the size of the loss: float32 keeps seven digits, and coupled labels move it by far more


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a batch.

    Args:
        targets: (B, K) in {0, 1, NaN}.
        soft: (B, K) probabilities in (0, 1), NaN where the label is in ``targets``; None where no label is soft.
    """

    targets: Tensor
    soft: Tensor | None = None

    def loss(self, loss: nn.Module, logits: Tensor) -> Tensor:
        """The loss, scalar; a soft label of p counts as p·loss(1) + (1−p)·loss(0), element by element.

        A loss is only ever handed targets in {0, 1, NaN}. Let a common u be uniform on (0, 1) and each soft label be 1
        where u < p: each is positive with its own p, so the mean of the loss over u is that sum, exactly, of a loss
        that is a sum over elements (:func:`adds_up`). Between two neighbouring probabilities of the batch the labels
        stay the same, so the mean takes one more evaluation than there are different probabilities.

        Source: own; binary cross-entropy becomes that with a soft target, of which it is a linear function.

        Example:
            >>> bce = nn.BCEWithLogitsLoss()
            >>> logits, unknown = torch.tensor([[2.0]]), torch.tensor([[torch.nan]])
            >>> mixed = Labels(unknown, torch.tensor([[0.25]])).loss(bce, logits)
            >>> bool(torch.isclose(mixed, bce(logits, torch.tensor([[0.25]]))))
            True
        """
        if self.soft is None:
            return _value(loss, logits, self.targets)
        is_soft = ~self.soft.isnan()
        levels = [0.0, *torch.unique(self.soft[is_soft]).tolist(), 1.0]
        parts = [
            (high - low) * _value(loss, logits, torch.where(is_soft, (self.soft > low).to(self.targets), self.targets))
            for low, high in itertools.pairwise(levels)
        ]
        return torch.stack(parts).sum()


def soft_problem(plan: TreatmentPlan, num_classes: int) -> str | None:
    """Why a treatment cannot be trained on soft labels, with a remedy; None if it can.

    Example:
        >>> soft_problem(TreatmentPlan(nn.BCEWithLogitsLoss()), 2) is None
        True
    """
    remedy = "set `data.uncertain` to zeros, ones or ignore and `data.label_readers` to any, majority or all"
    for _, stage in plan.stages:
        if stage.batch_transform is not None:
            return f"it makes labels of its own out of those of a batch, and can make none of a probability: {remedy}"
        if not adds_up(stage.loss, num_classes):
            return (
                "its loss is no sum over images and classes, because it weighs a label by other labels, so a label "
                f"that is a probability has no loss of its own: {remedy}, or use another treatment"
            )
    return None


def adds_up(loss: nn.Module, num_classes: int) -> bool:
    """Whether a loss is a sum over images and classes of what each logit and target give, as far as trials show.

    Of such a loss, and of no other, the values at two sets of labels add up to those at their union and intersection.

    Args:
        loss: Called with (B, K) logits and targets; not changed.
        num_classes: K.
    """
    tried = copy.deepcopy(loss)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(_TRIALS):
            logits = 2 * torch.randn(_ROWS, num_classes, generator=draw)
            one, other = (torch.rand(_ROWS, num_classes, generator=draw) < 0.5 for _ in range(2))
            sets = (one, other, one | other, one & other)
            left, right, union, common = (float(_value(tried, logits, labels.float())) for labels in sets)
            if not abs(left + right - union - common) <= _SAME * max(map(abs, (left, right, union, common, 1e-6))):
                return False
    return True


def _value(loss: nn.Module, logits: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = loss(logits, targets)
    return value
