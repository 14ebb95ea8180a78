"""Margins that grow with rarity: the label-distribution-aware margin loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, toward_target
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import Form, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range
from tailscope.treatments.softmax import SoftmaxLoss, softmax_log_odds
from tailscope.treatments.softmax_cross_entropy import softmax_plan, true_log_odds


class MarginBCE(CellLoss):
    """BCE of scale·(x − Δ⁺_c) for a positive, of scale·(x + Δ⁻_c) for a negative.

    Args:
        margins: (2, K): Δ⁺ and Δ⁻, 0 or more.
        scale: Factor of the logits.
    """

    margins: Tensor

    def __init__(self, margins: NDArray[np.float64], scale: float) -> None:
        super().__init__(margins.shape[1])
        self.scale = scale
        self.register_buffer("margins", torch.as_tensor(margins))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        of_positives, of_negatives = self.margins.to(x)
        margin = torch.where(y == 1, of_positives, of_negatives)
        return -logsigmoid(self.scale * (toward_target(x, y) - margin))


class MarginCrossEntropy(SoftmaxLoss):
    """Cross-entropy of scale·x, where the true class's logit has lost Δ_y before.

    Args:
        margins: (K,) Δ, 0 or more.
        scale: Factor of the logits.
    """

    margins: Tensor

    def __init__(self, margins: NDArray[np.float64], scale: float) -> None:
        super().__init__(len(margins))
        self.scale = scale
        self.register_buffer("margins", torch.as_tensor(margins))

    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        return -logsigmoid(true_log_odds(self.scale * (x - y * self.margins.to(x)), y))


@dataclass(frozen=True)
class ScaledLogits:
    """Log-odds from logits that the loss has seen times ``scale``.

    Args:
        scale: Factor of the logits.
        form: ``"sigmoid"`` or ``"softmax"``.

    Example:
        >>> ScaledLogits(30.0, "sigmoid")(torch.ones(1, 1)).item()
        30.0
    """

    scale: float
    form: Form

    def __call__(self, logits: Tensor) -> Tensor:
        """(B, K) from (B, K)."""
        scaled = self.scale * logits
        return softmax_log_odds(scaled) if self.form == "softmax" else scaled


@TREATMENTS.register("ldam")
@dataclass(frozen=True)
class LDAM:
    """Cross-entropy that asks of the true answer a margin of C/n^¼, n the number of images with that answer.

    Sigmoid: each class is a two-class problem of n⁺_c positives and n⁻_c negatives; a positive's logit loses C/n⁺^¼, a
    negative's gains C/n⁻^¼. Soft-max: only the logit of the true class loses C/n⁺_y^¼. C is one constant, such that the
    largest margin (sigmoid: of all classes and both sides) is ``max_margin``.

    Source: Cao, Wei, Gaidon, Arechiga, Ma, "Learning imbalanced datasets with label-distribution-aware margin loss"
    (NeurIPS 2019), equations 13 and 14, which are the soft-max form; the sigmoid form is the same with two classes, of
    logits x and 0. Scale: the loss is the cross-entropy of the scaled logits, not divided by the scale, as in the
    authors' code (``kaidic/LDAM-DRW``, ``losses.py``). Theirs is 30, because their last layer is a cosine; that layer
    is no part of this treatment, and for ordinary logits the scale is 1. Another scale stands in the predictions as
    well, so that they are log-odds. The deferred re-weighting of the same paper is the schedule ``drw``.

    Args:
        max_margin: The largest margin, in logits before scaling, 0 or more.
        scale: Factor of the logits, in [1, 100].
        form: ``"sigmoid"`` or ``"softmax"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = LDAM(max_margin=1)(ClassCounts(("mass",), (1,), (16,)))
        >>> plan.loss.margins.tolist()  # 16^¼ = 2
        [[1.0], [0.5]]
        >>> plan = LDAM(max_margin=0)(ClassCounts(("mass",), (1,), (16,)))  # the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    max_margin: float = 0.5
    scale: float = 1.0
    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("max_margin 0 and scale 1: control", {"max_margin": 0, "scale": 1})
    main: ClassVar[MainParameter] = MainParameter("max_margin", (0.25, 0.5, 1.0))

    def __post_init__(self) -> None:
        check_range("max_margin", self.max_margin, 0)
        check_range("scale", self.scale, 1, 100)
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        adjust = ScaledLogits(self.scale, self.form) if self.scale != 1 else None
        if self.form == "softmax":
            margins = rarity_margins(np.array(class_counts.positives), self.max_margin)
            return softmax_plan(MarginCrossEntropy(margins, self.scale), adjust or softmax_log_odds)
        margins = rarity_margins(np.array([class_counts.positives, class_counts.negatives]), self.max_margin)
        return TreatmentPlan(MarginBCE(margins, self.scale), adjust_logits=adjust)


def rarity_margins(images: NDArray[np.int64], max_margin: float) -> NDArray[np.float64]:
    """C/n^¼ for counts of 1 or more of any shape, C such that the largest is ``max_margin``; float64, same shape.

    >>> rarity_margins(np.array([1, 16, 81]), max_margin=0.6).round(9).tolist()
    [0.6, 0.3, 0.2]
    """
    return np.asarray(max_margin * (images.min() / images) ** 0.25)
