"""A loss over (image, class) cells: masking, precision and reduction, once for all losses."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.treatments.masked import MaskedLoss

Reduction: TypeAlias = Literal["mean", "sum_of_class_means"]


class CellLoss(MaskedLoss):
    """A loss that is a value per (image, class) cell, reduced over the cells whose target is known.

    Args:
        num_classes: K; logits of another width are refused.
        reduction: ``"mean"`` over the known cells; or ``"sum_of_class_means"``: per class the mean over its known
            images, summed over the classes that have one.
    """

    def __init__(self, num_classes: int, reduction: Reduction = "mean") -> None:
        super().__init__(num_classes)
        self.reduction = reduction

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The value per cell, before reduction: (B, K), NaN where the target is NaN; arguments as in the call."""
        x, y, known = self.masked(logits, targets)
        with torch.autocast(logits.device.type, enabled=False):
            values = self._values(x, y, known)
            return torch.where(known & ((y == 0) | (y == 1)), values, torch.nan)

    def cell_values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """For losses that wrap this one: (B, K) values of cells; unknown ones come as logit 0 and target 0."""
        return self._values(x, y, known)

    def _reduced(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        values = self._values(x, y, known)
        kept = values.masked_fill(~known, 0)
        if self.reduction == "mean":
            return kept.sum() / known.sum().clamp(min=1)
        return (kept.sum(dim=0) / known.sum(dim=0).clamp(min=1)).sum()

    @abstractmethod
    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The value per cell; masked cells come as logit 0 and target 0, and what is returned there is ignored."""


def bce_cells(x: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy per cell for targets in {0, 1}, exact for every logit.

    ``logsigmoid`` rather than ``softplus``: torch cuts softplus to the identity beyond 20.
    """
    return -logsigmoid(toward_target(x, y))


def focus(miss: Tensor, gamma: float) -> Tensor | float:
    """miss^γ, a focusing weight, with a finite gradient also where the probability ``miss`` is 0.

    Args:
        miss: Probabilities, how far a cell is from right.
        gamma: γ, 0 or more.
    """
    if gamma == 0:
        return 1.0
    # Below 1 the power is infinitely steep at 0.
    return torch.pow(miss if gamma >= 1 else miss.clamp(min=torch.finfo(miss.dtype).tiny), gamma)


def toward_target(x: Tensor, y: Tensor) -> Tensor:
    """The logit of the true answer: x where y is 1, −x where y is 0; p_t is its sigmoid."""
    return x * (2 * y - 1)
