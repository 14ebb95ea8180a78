"""Focal loss, plain and class-balanced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, focus, toward_target
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range


class FocalLoss(CellLoss):
    """[αy + (1−α)(1−y)]·(1−p_t)^γ·BCE per cell; the gradient flows through the focusing weight as well.

    Args:
        alpha: (K,) weight of the positives in [0, 1].
        gamma: Focusing exponent, 0 or more.
    """

    alpha: Tensor

    def __init__(self, alpha: NDArray[np.floating], gamma: float) -> None:
        super().__init__(len(alpha))
        self.gamma = gamma
        self.register_buffer("alpha", torch.as_tensor(alpha))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        z = toward_target(x, y)
        alpha = self.alpha.to(x)
        weight = (1 - alpha) + (2 * alpha - 1) * y
        return weight * focus(torch.sigmoid(-z), self.gamma) * -logsigmoid(z)


@TREATMENTS.register("focal")
@dataclass(frozen=True)
class Focal:
    """Focal loss: cells that are already right weigh less.

    Source: Lin, Goyal, Girshick, He, Dollár, "Focal loss for dense object detection" (ICCV 2017), equation 5, here
    averaged over the cells instead of divided by the number of positives. The default α = 0.25 gives a positive a
    third of a negative's weight; ``"per_class"`` sets α_c = 1−π_c, the share of the negatives of the class.

    Args:
        gamma: Focusing exponent, 0 or more.
        alpha: Weight of the positives in [0, 1], or ``"per_class"``.
        variant: Both are the same here: the published code has no defect in this loss.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = Focal(gamma=0, alpha=0.5)(ClassCounts(("mass",), (1,), (9,)))  # half of the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # ln 2 / 2
        0.3466
    """

    gamma: float = 2.0
    alpha: float | Literal["per_class"] = 0.25
    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase(
        "gamma 0 and alpha ½: half of control", {"gamma": 0, "alpha": 0.5}, factor=0.5
    )
    main: ClassVar[MainParameter] = MainParameter("gamma", (1.0, 2.0, 4.0))

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        check_range("gamma", self.gamma, 0)
        if isinstance(self.alpha, str):
            check_choice("alpha", self.alpha, ("per_class", "a number in [0, 1]"))
        else:
            check_range("alpha", self.alpha, 0, 1)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: α is per class and a class has no positive or no negative.
        """
        if isinstance(self.alpha, str):
            class_counts.require_both()
            alpha = 1 - np.array(class_counts.prevalences)
        else:
            alpha = np.full(len(class_counts.names), float(self.alpha))
        return TreatmentPlan(FocalLoss(alpha, self.gamma))


@TREATMENTS.register("class_balanced_focal")
@dataclass(frozen=True)
class ClassBalancedFocal:
    """Focal loss whose α_c comes from the effective numbers of positives and negatives.

    α_c = E⁻/(E⁺+E⁻) with E = 1−β^n, so β near 1 weighs by the counts and β = 0 gives ½.

    Source: Cui, Jia, Lin, Song, Belongie, "Class-balanced loss based on effective number of samples" (CVPR 2019),
    proposition 1, as the two weights of a class, scaled to sum 1. ``corrected`` computes α in float64 with ``expm1``;
    ``as_published`` in float32, where 1−β^n loses digits and a class without positives gives NaN.

    Args:
        beta: β in [0, 1).
        gamma: Focusing exponent, 0 or more.
        variant: ``"corrected"`` or ``"as_published"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = ClassBalancedFocal(gamma=0)(ClassCounts(("mass",), (5,), (5,)))  # α = ½: half of the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.3466
    """

    beta: float = 0.9999
    gamma: float = 2.0
    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase(
        "gamma 0 and as many negatives as positives, so that alpha is ½: half of control",
        {"gamma": 0},
        factor=0.5,
        balanced=True,
    )
    main: ClassVar[MainParameter] = MainParameter("beta", (0.999, 0.9999, 0.99999))

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        check_range("beta", self.beta, 0, 1, open_end=True)
        check_range("gamma", self.gamma, 0)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative (``corrected``).
        """
        if self.variant == "as_published":
            return TreatmentPlan(FocalLoss(published_alpha(class_counts, self.beta), self.gamma))
        class_counts.require_both()
        return TreatmentPlan(FocalLoss(class_balanced_alpha(class_counts, self.beta), self.gamma))


def class_balanced_alpha(class_counts: ClassCounts, beta: float) -> NDArray[np.float64]:
    """E⁻/(E⁺+E⁻) per class, (K,) float64 in (0, 1), where E = −expm1(n·log β) is the effective number times 1−β.

    >>> class_balanced_alpha(ClassCounts(("mass", "hernia"), (5, 1), (5, 2)), beta=0.5).tolist()  # ¾ / (½ + ¾)
    [0.5, 0.6]
    """
    log_beta = math.log(beta) if beta > 0 else -math.inf
    positives = -np.expm1(np.array(class_counts.positives) * log_beta)
    negatives = -np.expm1(np.array(class_counts.negatives) * log_beta)
    return np.asarray(negatives / (positives + negatives))


def published_alpha(class_counts: ClassCounts, beta: float) -> NDArray[np.float32]:
    """The same in float32 by way of r = E⁻/E⁺ and r/(1+r), as published: NaN for a class without positives."""
    positives = 1 - beta ** torch.tensor(class_counts.positives, dtype=torch.float32)
    negatives = 1 - beta ** torch.tensor(class_counts.negatives, dtype=torch.float32)
    ratio = negatives / positives
    return np.asarray((ratio / (1 + ratio)).numpy())
