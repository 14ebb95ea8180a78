"""Cross-entropy: plain (the control), weighted within classes, weighted between classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, bce_cells
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.plan import Form, TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range, check_unused
from tailscope.treatments.softmax_cross_entropy import SoftmaxCrossEntropy, softmax_plan

PUBLISHED_EPSILON = 1e-6


class WeightedBCE(CellLoss):
    """BCE with constant weights: w_c·(p_c·y·bce + (1−y)·bce).

    Args:
        num_classes: K.
        positive_weight: (K,) p_c, or None for 1.
        class_weight: (K,) w_c, or None for 1.

    Example:
        >>> loss = WeightedBCE(1, positive_weight=np.array([3.0]))
        >>> cells = loss.cells(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]))  # 3·ln 2 and ln 2
        >>> [round(value, 4) for value in cells.flatten().tolist()]
        [2.0794, 0.6931]
    """

    positive_weight: Tensor | None
    class_weight: Tensor | None

    def __init__(
        self,
        num_classes: int,
        positive_weight: NDArray[np.floating] | None = None,
        class_weight: NDArray[np.floating] | None = None,
    ) -> None:
        super().__init__(num_classes)
        for name, weight in (("positive_weight", positive_weight), ("class_weight", class_weight)):
            self.register_buffer(name, None if weight is None else torch.as_tensor(weight))

    @property
    def is_plain(self) -> bool:
        """Whether no weight was given: control's loss."""
        return self.positive_weight is None and self.class_weight is None

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        values = bce_cells(x, y)
        if self.positive_weight is not None:
            values = _weigh_positives(values, y, self.positive_weight.to(x))
        return values if self.class_weight is None else self.class_weight.to(x) * values


class BatchWeightedBCE(CellLoss):
    """BCE whose positive weight is the ratio of negatives to positives within the batch (the published intra weight).

    Args:
        num_classes: K.
        fallback: Positive weight of a class that has no positive or no negative in the batch.
    """

    def __init__(self, num_classes: int, fallback: float) -> None:
        super().__init__(num_classes)
        self.fallback = fallback

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        return _weigh_positives(bce_cells(x, y), y, batch_positive_weights(y, known, self.fallback))


@TREATMENTS.register("control")
@dataclass(frozen=True)
class Control:
    """Plain cross-entropy: no treatment, the arm against which the others are compared.

    Args:
        form: ``"sigmoid"``, a binary cross-entropy per class; or ``"softmax"``, one over the classes, for data with
            exactly one label per image.

    Raises:
        InputError: The form is unknown.

    Example:
        >>> plan = Control()(ClassCounts(("mass",), (1,), (9,)))
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # ln 2
        0.6931
        >>> plan = Control(form="softmax")(ClassCounts(("mass", "hernia"), (9, 1), (1, 9)))
        >>> round(plan.loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)  # ln 2: two classes are left
        0.6931
    """

    form: Form = "sigmoid"

    limit: ClassVar[LimitCase] = LimitCase("any counts: control itself")

    def __post_init__(self) -> None:
        check_choice("form", self.form, get_args(Form))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan: cross-entropy, all images alike."""
        num_classes = len(class_counts.names)
        if self.form == "softmax":
            return softmax_plan(SoftmaxCrossEntropy(num_classes))
        return TreatmentPlan(WeightedBCE(num_classes))


@TREATMENTS.register("intra_weighted")
@dataclass(frozen=True)
class IntraWeighted:
    """BCE whose positives weigh p_c = n⁻_c / n⁺_c, so that both sides of a class weigh the same.

    Source: the "intra-class" weighted BCE of the paper that tailscope starts from; the published code
    (``imba_explain/losses/weighted_bce.py``) takes the ratio within the batch, which changes with the batch size and
    never equals the stated weight. ``corrected`` takes it from the training set; ``as_published`` is the original:
    B⁻/(B⁺+1e-6) within the batch, and the smallest ratio of any class where a side is missing.

    Args:
        cap: Largest weight a positive may have, 1 or more; None for no cap.
        variant: ``"corrected"`` or ``"as_published"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = IntraWeighted()(ClassCounts(("mass",), (5,), (5,)))  # equal sides: the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    cap: float | None = None
    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase("as many negatives as positives: control", balanced=True)

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        if self.cap is not None:
            check_range("cap", self.cap, 1)
        if self.variant == "as_published":
            check_unused("cap", self.cap, None)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative (``corrected``).
        """
        num_classes = len(class_counts.names)
        if self.variant == "as_published":
            return TreatmentPlan(BatchWeightedBCE(num_classes, smallest_ratio(class_counts)))
        class_counts.require_both()
        return TreatmentPlan(WeightedBCE(num_classes, positive_weight=positive_weights(class_counts, self.cap)))


@TREATMENTS.register("inter_weighted")
@dataclass(frozen=True)
class InterWeighted:
    """BCE with a weight per class that falls with its frequency, mean 1 over the classes.

    w_c ∝ √((max n⁺ + Σ n⁺) / n⁺_c).

    Source: the "inter-class" weighted BCE of the paper that tailscope starts from. The published code
    (``imba_explain/losses/weighted_bce.py``) has the fraction upside down, so that the frequent class weighs more, and
    scales the weights to sum 1; ``as_published`` does that, in float32.

    Args:
        variant: ``"corrected"`` or ``"as_published"``.

    Raises:
        InputError: The variant is unknown.

    Example:
        >>> plan = InterWeighted()(ClassCounts(("mass", "hernia"), (5, 5), (5, 5)))  # equal counts: the control
        >>> round(plan.loss(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)
        0.6931
    """

    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase("equal positives in all classes: control", balanced=True)

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative (``corrected``).
        """
        if self.variant == "as_published":
            weights: NDArray[np.floating] = published_class_weights(class_counts)
        else:
            class_counts.require_both()
            weights = class_weights(class_counts)
        return TreatmentPlan(WeightedBCE(len(class_counts.names), class_weight=weights))


def positive_weights(class_counts: ClassCounts, cap: float | None = None, power: float = 1.0) -> NDArray[np.float64]:
    """(n⁻_c / n⁺_c)^power per class, (K,) float64, at most ``cap``.

    >>> positive_weights(ClassCounts(("mass", "hernia"), (50, 1), (50, 99)), cap=20).tolist()
    [1.0, 20.0]
    """
    ratios = np.array(class_counts.negatives, dtype=np.float64) / np.array(class_counts.positives)
    weights = ratios**power
    return np.asarray(weights if cap is None else np.minimum(weights, cap))


def smallest_ratio(class_counts: ClassCounts) -> float:
    """The smallest n⁻_c / n⁺_c of any class, in float32: the published fallback.

    >>> smallest_ratio(ClassCounts(("mass", "hernia"), (50, 1), (25, 99)))
    0.5
    """
    positives = np.array(class_counts.positives, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):  # a class without positives has an infinite ratio
        return float(np.min(np.array(class_counts.negatives, dtype=np.float32) / positives))


def batch_positive_weights(targets: Tensor, known: Tensor, fallback: float) -> Tensor:
    """The published positive weight: B⁻/(B⁺+1e-6) per class of a batch, or ``fallback`` where a side is missing.

    Args:
        targets: (B, K) in {0, 1}.
        known: (B, K) bool; other cells count on neither side.
        fallback: The weight of a one-sided class.

    Returns:
        (K,), the dtype of ``targets``.

    Example:
        >>> known = torch.ones(3, 2, dtype=torch.bool)
        >>> targets = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
        >>> batch_positive_weights(targets, known, fallback=0.5).round(decimals=3).tolist()
        [2.0, 0.5]
    """
    positives = torch.where(known, targets, 0).sum(dim=0)
    negatives = torch.where(known, 1 - targets, 0).sum(dim=0)
    has_both = (positives > 0) & (negatives > 0)
    return torch.where(has_both, negatives / (positives + PUBLISHED_EPSILON), fallback)


def class_weights(class_counts: ClassCounts) -> NDArray[np.float64]:
    """√((max n⁺ + Σ n⁺) / n⁺_c) scaled to mean 1, (K,) float64: the rare class weighs more.

    >>> class_weights(ClassCounts(("mass", "hernia"), (9, 1), (1, 9))).round(9).tolist()  # 1 to 3
    [0.5, 1.5]
    """
    positives = np.array(class_counts.positives, dtype=np.float64)
    weights = np.sqrt((positives.max() + positives.sum()) / positives)
    return np.asarray(weights / weights.mean())


def published_class_weights(class_counts: ClassCounts) -> NDArray[np.float32]:
    """√(n⁺_c / (max n⁺ + Σ n⁺)) scaled to sum 1, (K,) float32: the published weight, which favours the frequent class.

    >>> published_class_weights(ClassCounts(("mass", "hernia"), (9, 1), (1, 9))).tolist()
    [0.75, 0.25]
    """
    positives = np.array(class_counts.positives, dtype=np.float32)
    weights = np.sqrt(positives / (positives.max() + positives.sum()))
    return np.asarray(weights / weights.sum())


def _weigh_positives(values: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    # Arithmetic rather than a choice: comparing and choosing cost several times as much.
    return values * (1 + (weight - 1) * y)
