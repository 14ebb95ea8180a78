"""Distribution-balanced loss: weights that know which labels come together, and negatives that are pushed less."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range

NO_POSITIVE = 1e-30  # below every 1/n: an image without a positive has r above 1e20, so σ(β(r−μ)) is 1


@dataclass(frozen=True)
class Smoothing:
    """r̂ = α + σ(β(r−μ)): the re-balanced weight r, drawn into the interval from α to α + 1.

    Args:
        alpha: Lift α.
        beta: Steepness β.
        mu: Position μ.
    """

    alpha: float
    beta: float
    mu: float

    def __call__(self, weights: Tensor) -> Tensor:
        """r̂ for weights r of any shape, which are overwritten."""
        return weights.sub_(self.mu).mul_(self.beta).sigmoid_().add_(self.alpha)


class DistributionBalancedLoss(CellLoss):
    """r̂·[y·log(1+e^{−z}) + (1−y)·log(1+e^{λz})/λ] per cell, with z = x − ν_c; r̂ is a constant to the gradient.

    Args:
        rarity: (K,) 1/n⁺_c.
        offset: (K,) ν_c.
        smoothing: From r to r̂.
        negative_scale: λ, 1 or more.
    """

    rarity: Tensor
    offset: Tensor

    def __init__(
        self, rarity: NDArray[np.float64], offset: NDArray[np.float64], smoothing: Smoothing, negative_scale: float
    ) -> None:
        super().__init__(len(rarity))
        self.register_buffer("rarity", torch.as_tensor(rarity))
        self.register_buffer("offset", torch.as_tensor(offset))
        self.smoothing = smoothing
        self.negative_scale = negative_scale

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        # Arithmetic with y in {0, 1} instead of torch.where, which is several times slower on a CPU.
        toward = y * (1 + self.negative_scale) - self.negative_scale
        share = y * (1 - 1 / self.negative_scale) + 1 / self.negative_scale
        return -logsigmoid((x - self.offset.to(x)) * toward) * (self._weights(y) * share)

    def _weights(self, y: Tensor) -> Tensor:
        """(B, K) r̂; unknown labels come as 0 and count on neither side of the fraction."""
        rarity = self.rarity.to(y)
        return self.smoothing(torch.outer(1 / (y @ rarity).clamp(min=NO_POSITIVE), rarity))


@TREATMENTS.register("distribution_balanced")
@dataclass(frozen=True)
class DistributionBalanced:
    """Distribution-balanced loss: re-balanced weights and negative-tolerant regularisation.

    Re-balanced weights: r_nc = (1/n⁺_c) / Σ_{j positive in image n} 1/n⁺_j is the rate at which class c asks for image
    n, over the rate at which all positives of the image do; r̂ = α + σ(β(r−μ)) draws it into a bounded interval.
    Negative tolerance: each class is shifted by ν_c = κ·log(1/π_c − 1), and a negative's loss log(1+e^{λz})/λ flattens
    out sooner, so that the many negatives do not push a rare class down for ever.

    Source: Wu, Huang, Liu, Wang, Lin, "Distribution-balanced loss for multi-label classification in long-tailed
    datasets" (ECCV 2020), averaged over the cells. Their names: α, β, μ are ``alpha``, ``beta``, ``mu``; λ is
    ``negative_scale``; κ is ``bias``. Defaults are those of their code for COCO
    (``configs/coco/LT_resnet50_pfc_DB.py``); for VOC it takes μ 0.3 and λ 5. Four things differ:

    - π_c is the share among the known labels.
    - Their code divides ν by λ, which the paper does not; the default here is the paper's, their code's is κ/λ.
    - Their code multiplies by a focal term (γ 2, weight 2), the paper's "DB-Focal"; this is the loss without it.
    - They draw images by ``class_aware_sampling``; here the sampler is a choice of its own (``combined``).

    An image without a known positive has an infinite r, so r̂ = 1 + α (for β above 0), as their code gives.

    Args:
        alpha: α, the least weight, 0 or more.
        beta: β, how steeply the weight rises with r, 0 or more.
        mu: μ, the r at which it rises, 0 or more.
        negative_scale: λ, 1 or more; 1 is as tolerant as BCE.
        bias: κ, 0 or more.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (5, 5), (5, 5))  # one label per image: r = 1, r̂ = 0.1 + σ(8)
        >>> plan = DistributionBalanced(negative_scale=1, bias=0)(counts)
        >>> round(plan.loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)  # 1.0997·ln 2
        0.7622
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "lambda 1, kappa 0, one label per image, equal counts: alpha + sigmoid(beta·(1 − mu)) times control",
        {"negative_scale": 1.0, "bias": 0.0},
        factor=0.1 + 1 / (1 + math.exp(-10.0 * (1 - 0.2))),
        balanced=True,
        single_label=True,
    )
    main: ClassVar[MainParameter] = MainParameter("negative_scale", (1.0, 2.0, 5.0))

    alpha: float = 0.1
    beta: float = 10.0
    mu: float = 0.2
    negative_scale: float = 2.0
    bias: float = 0.05

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "mu", "bias"):
            check_range(name, getattr(self, name), 0)
        check_range("negative_scale", self.negative_scale, 1)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        positives, negatives = (np.array(side, float) for side in (class_counts.positives, class_counts.negatives))
        offset = self.bias * np.log(negatives / positives)
        smoothing = Smoothing(self.alpha, self.beta, self.mu)
        return TreatmentPlan(DistributionBalancedLoss(1 / positives, offset, smoothing, self.negative_scale))
