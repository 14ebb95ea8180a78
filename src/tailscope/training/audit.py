"""What the loss really pulls on: the gradient's mass per class, accumulated during the training steps."""

from __future__ import annotations

from typing import Any

import torch


class GradientMass:
    """Running sums of |∂L/∂x| over positives and over negatives, per class.

    It reads the gradient that the step has computed anyway, so it costs no pass of its own.

    Args:
        classes: K class names.

    Example:
        >>> mass = GradientMass(("mass",))
        >>> mass.add(torch.tensor([[-0.5], [0.25]]), torch.tensor([[1.0], [0.0]]), loss=0.7)
        >>> mass.summary()["positives"], mass.summary()["negatives"]
        ({'mass': 0.5}, {'mass': 0.25})
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._positives = torch.zeros(len(classes), dtype=torch.float64)
        self._negatives = torch.zeros(len(classes), dtype=torch.float64)
        self._loss = 0.0
        self._steps = 0

    def add(self, gradient: torch.Tensor, targets: torch.Tensor, loss: float) -> None:
        """Add one step: (B, K) gradient of the loss by the logits, and the (B, K) targets in {0, 1, NaN}."""
        size = gradient.detach().abs().double().cpu()
        known = targets.detach().cpu()
        self._positives += (size * (known == 1)).sum(dim=0)
        self._negatives += (size * (known == 0)).sum(dim=0)
        self._loss += loss
        self._steps += 1

    def summary(self) -> dict[str, Any]:
        """Sums per class, each class's share of the whole, the mean loss and the number of steps."""
        total = float((self._positives + self._negatives).sum())
        shares = (self._positives + self._negatives) / total if total else torch.full_like(self._positives, torch.nan)
        return {
            "positives": dict(zip(self.classes, self._positives.tolist(), strict=True)),
            "negatives": dict(zip(self.classes, self._negatives.tolist(), strict=True)),
            "share": dict(zip(self.classes, shares.tolist(), strict=True)),
            "mean_loss": self._loss / self._steps if self._steps else float("nan"),
            "steps": self._steps,
        }
