"""One weight per class from the effective number of its positives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import Form, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range
from tailscope.treatments.softmax_cross_entropy import SoftmaxCrossEntropy, softmax_plan


def effective_number_weights(class_counts: ClassCounts, beta: float) -> NDArray[np.float64]:
    """(1−β)/(1−β^n⁺_c) per class, scaled to mean 1: (K,) float64, above 0; the rare class weighs more.

    The denominator is −expm1(n⁺·log β), which keeps its digits for β near 1; 1−β is gone with the scaling.

    Args:
        class_counts: Each class with 1 positive or more.
        beta: β in [0, 1): 0 gives every class 1, and near 1 the weight falls as 1/n⁺.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (2, 1), (1, 2))
        >>> effective_number_weights(counts, beta=0.5).round(9).tolist()  # 1/(1 − ¼) to 1/(1 − ½): 2 to 3
        [0.8, 1.2]
    """
    log_beta = math.log(beta) if beta > 0 else -math.inf
    weights = 1 / -np.expm1(np.array(class_counts.positives, dtype=np.float64) * log_beta)
    return np.asarray(weights / weights.mean())


@TREATMENTS.register("effective_number")
@dataclass(frozen=True)
class EffectiveNumber:
    """Cross-entropy with one weight per class, the inverse of the effective number of its positives, mean 1.

    Source: Cui, Jia, Lin, Song, Belongie, "Class-balanced loss based on effective number of samples" (CVPR 2019),
    equations 10 (soft-max: w_y·CE) and 11 (sigmoid), weights scaled to sum K as there. Deviation of ``"sigmoid"``: the
    paper has one label per image, and that label's weight multiplies the BCE of every class; an image with several
    labels, or none, has no such weight. Here the weight of class c multiplies both terms of the BCE of class c, and the
    mean is over the cells, not the sum over the classes divided by the number of images. ``"softmax"`` divides by the
    number of images, not by the sum of their weights as torch's ``CrossEntropyLoss(weight)`` does.

    Args:
        beta: β in [0, 1).
        form: ``"sigmoid"`` or ``"softmax"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> import torch
        >>> plan = EffectiveNumber(beta=0)(ClassCounts(("mass", "hernia"), (5, 1), (5, 9)))  # the control
        >>> round(plan.loss(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)
        0.6931
    """

    beta: float = 0.9999
    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("beta 0: control", {"beta": 0})
    main: ClassVar[MainParameter] = MainParameter("beta", (0.999, 0.9999, 0.99999))

    def __post_init__(self) -> None:
        check_range("beta", self.beta, 0, 1, open_end=True)
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        num_classes, weights = len(class_counts.names), effective_number_weights(class_counts, self.beta)
        if self.form == "softmax":
            return softmax_plan(SoftmaxCrossEntropy(num_classes, class_weight=weights))
        return TreatmentPlan(WeightedBCE(num_classes, class_weight=weights))
