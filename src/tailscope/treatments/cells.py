"""A loss over (image, class) cells: masking, precision and reduction, once for all losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tailscope.core.errors import InputError

Reduction: TypeAlias = Literal["mean", "sum_of_class_means"]


class CellLoss(nn.Module, ABC):
    """A loss that is a value per (image, class) cell, reduced over the cells whose target is known.

    Half-precision logits are computed in float32, float64 logits in float64, also under autocast. Masked cells (NaN
    targets) are replaced before the arithmetic, so they put no NaN into the gradient, whatever their logit is.
    A batch without any known target has the loss 0, with gradient 0. A target that is neither 0 nor 1 nor NaN (a soft
    label, an unmapped −1) makes the loss NaN, which training refuses.

    Args:
        num_classes: K; logits of another width are refused.
        reduction: ``"mean"`` over the known cells; or ``"sum_of_class_means"``: per class the mean over its known
            images, summed over the classes that have one.
    """

    def __init__(self, num_classes: int, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.num_classes = num_classes
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss.

        Args:
            logits: (B, K) floating.
            targets: (B, K) in {0, 1, NaN}, floating.

        Returns:
            Scalar, float32 (float64 for float64 logits).

        Raises:
            InputError: The shapes are not (B, K).
        """
        values, known = self._masked_values(logits, targets)
        kept = torch.where(known, values, 0)
        if self.reduction == "mean":
            return kept.sum() / known.sum().clamp(min=1)
        return (kept.sum(dim=0) / known.sum(dim=0).clamp(min=1)).sum()

    def cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The value per cell, before reduction: (B, K), NaN where the target is NaN; arguments as in the call."""
        values, known = self._masked_values(logits, targets)
        return torch.where(known, values, torch.nan)

    def _masked_values(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        _check_shapes(logits, targets, self.num_classes)
        known = ~targets.isnan()
        with torch.autocast(logits.device.type, enabled=False):
            exact = logits if logits.dtype == torch.float64 else logits.float()
            x = torch.where(known, exact, 0)
            y = torch.where(known, targets, 0).to(exact.dtype)
            values = self._values(x, y, known)
            # NaN rather than an error: to raise, every step would wait for the accelerator.
            return torch.where((y == 0) | (y == 1), values, torch.nan), known

    @abstractmethod
    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The value per cell; masked cells come as logit 0 and target 0, and what is returned there is ignored."""


def bce_cells(x: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy per cell for targets in {0, 1}, exact for every logit.

    ``logsigmoid`` rather than ``softplus``: torch cuts softplus to the identity beyond 20.
    """
    return -logsigmoid(toward_target(x, y))


def toward_target(x: Tensor, y: Tensor) -> Tensor:
    """The logit of the true answer: x where y is 1, −x where y is 0; p_t is its sigmoid."""
    return x * (2 * y - 1)


def _check_shapes(logits: Tensor, targets: Tensor, num_classes: int) -> None:
    if logits.ndim != 2 or logits.shape != targets.shape or logits.shape[1] != num_classes:
        raise InputError(
            f"`logits` and `targets` must both be (B, {num_classes}), one column per class; "
            f"got {tuple(logits.shape)} and {tuple(targets.shape)}"
        )
