"""What all losses share: shapes, precision, and targets that are not known."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from tailscope.core.errors import InputError


class MaskedLoss(nn.Module, ABC):
    """A loss of (B, K) logits in which cells with a NaN target have no say.

    Half-precision logits are computed in float32, float64 logits in float64, also under autocast. Masked cells are
    replaced before the arithmetic, so they put no NaN into the gradient, whatever their logit is. A batch without any
    known target has the loss 0, with gradient 0. A target that is neither 0 nor 1 nor NaN (a soft label, an unmapped
    −1) makes the loss NaN, which training refuses.

    Args:
        num_classes: K; logits of another width are refused.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

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
        x, y, known = self.masked(logits, targets)
        with torch.autocast(logits.device.type, enabled=False):
            value = self._reduced(x, y, known)
            # NaN rather than an error: to raise, every step would wait for the accelerator.
            return torch.where((y * y - y).any(), torch.nan, value)

    def masked(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and targets in the precision of the arithmetic, zeros where the target is NaN; and where it is known.

        Raises:
            InputError: The shapes are not (B, K).
        """
        self._check_shapes(logits, targets)
        unknown = targets.isnan()
        x = logits if logits.dtype == torch.float64 else logits.float()
        y = targets.to(x.dtype)
        # Most batches know every label, and filling costs as much as the loss; on an accelerator, to ask costs more.
        if unknown.device.type != "cpu" or bool(unknown.any()):
            x, y = x.masked_fill(unknown, 0), y.masked_fill(unknown, 0)
        return x, y, ~unknown

    @abstractmethod
    def _reduced(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The loss; masked cells come as logit 0 and target 0, and must not enter."""

    def _check_shapes(self, logits: Tensor, targets: Tensor) -> None:
        if logits.ndim != 2 or logits.shape != targets.shape or logits.shape[1] != self.num_classes:
            raise InputError(
                f"`logits` and `targets` must both be (B, {self.num_classes}), one column per class; "
                f"got {tuple(logits.shape)} and {tuple(targets.shape)}"
            )
