"""Two-way loss: positives against negatives, over the classes of each image and over the images of each class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.masked import MaskedLoss
from tailscope.treatments.plan import POSITIVES, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range

Way: TypeAlias = Literal["both", "sample", "class"]

AXES: dict[Way, tuple[int, ...]] = {"both": (1, 0), "sample": (1,), "class": (0,)}
LOG2_E = math.log2(math.e)
OUT_OF_SET = 1e30  # finite, so that a set without a member leaves no ∞ − ∞ behind; it swallows every logit


class TwoWayLoss(MaskedLoss):
    """softplus(T_n·LSE_neg(x/T_n) + T_p·LSE_pos(−x/T_p)) per image and per class of the batch; two means, summed.

    LSE is the logarithm of the sum of exponentials over a set. Unknown labels are in neither set. An image or a class
    without a positive is left out of its mean; one without a negative counts there with the value 0.

    Args:
        num_classes: K.
        temperatures: (T_p, T_n), above 0.
        way: Over images, over classes, or both.
    """

    def __init__(self, num_classes: int, temperatures: tuple[float, float], way: Way) -> None:
        super().__init__(num_classes)
        self.temperature_positive, self.temperature_negative = temperatures
        self.way = way

    def _reduced(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        sets = (y, known.to(x) - y)
        scales = (-LOG2_E / self.temperature_positive, LOG2_E / self.temperature_negative)
        hard = (_members_only(x, sets[0], scales[0]), _members_only(x, sets[1], scales[1]))
        return torch.stack([self._over(axis, hard, sets) for axis in AXES[self.way]]).sum()

    def _over(self, axis: int, hard: tuple[Tensor, Tensor], sets: tuple[Tensor, Tensor]) -> Tensor:
        has_positive, has_negative = (members.sum(dim=axis) > 0 for members in sets)
        positive, negative = (_log2_sum_exp2(scaled, axis) for scaled in hard)
        margin = -(self.temperature_positive * positive + self.temperature_negative * negative) / LOG2_E
        values = torch.where(has_positive & has_negative, -logsigmoid(margin), 0)
        return values.sum() / has_positive.sum().clamp(min=1)


def one_label_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft-max cross-entropy of one-label images, all labels known; logits and targets (B, K).

    >>> round(one_label_cross_entropy(torch.zeros(1, 4), torch.eye(4)[:1]).item(), 4)  # ln 4
    1.3863
    """
    return cross_entropy(logits, targets.argmax(dim=1))


@TREATMENTS.register("two_way")
@dataclass(frozen=True)
class TwoWay:
    """Two-way loss: the hardest negatives are compared with the hardest positives, per image and per class.

    ``way="sample"`` compares the classes of one image, as soft-max does; ``"class"`` the images of one class in the
    batch, hence the ranking that AUROC and AP measure; ``"both"`` is their sum. The part over the images of a class
    changes with the batch size, and a rare class is left out of most small batches.

    Source: Kobayashi, "Two-way multi-label loss" (CVPR 2023); defaults and means as in the code of the paper. There, a
    logit outside its set is lowered by 100, so that with large logits it still has a say; here it has none. Unknown
    labels, which the paper does not have, are in neither set. As only differences of logits enter, a constant added
    to all of them changes nothing: probabilities need a calibration afterwards.

    Args:
        temperature_positive: T_p in [0.01, 100]; the lower, the more the hardest positive alone counts.
        temperature_negative: T_n in [0.01, 100]; the lower, the more the hardest negative alone counts.
        way: ``"both"``, ``"sample"`` or ``"class"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = TwoWay(temperature_positive=1, way="sample")(ClassCounts(("mass", "hernia"), (5, 1), (5, 9)))
        >>> round(plan.loss(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 0.0]])).item(), 4)  # log(1 + e^{3−1})
        2.1269
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "temperatures 1, per image, one label each: soft-max cross-entropy, of two classes log(1 + e^(x⁻ − x⁺))",
        {"temperature_positive": 1.0, "temperature_negative": 1.0, "way": "sample"},
        factor=None,
        single_label=True,
        value=one_label_cross_entropy,
    )
    main: ClassVar[MainParameter] = MainParameter("temperature_positive", (1.0, 4.0, 8.0))

    temperature_positive: float = 4.0
    temperature_negative: float = 1.0
    way: Way = "both"

    def __post_init__(self) -> None:
        check_range("temperature_positive", self.temperature_positive, 0.01, 100)
        check_range("temperature_negative", self.temperature_negative, 0.01, 100)
        check_choice("way", self.way, get_args(Way))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only the number of classes is used."""
        temperatures = (self.temperature_positive, self.temperature_negative)
        loss = TwoWayLoss(len(class_counts.names), temperatures, self.way)
        return TreatmentPlan(loss, requirements=(POSITIVES,))


def _members_only(x: Tensor, members: Tensor, scale: float) -> Tensor:
    """x·scale where ``members`` (B, K) is 1, about −1e30 where it is 0."""
    return torch.add((members - 1).mul_(OUT_OF_SET), x, alpha=scale)


def _log2_sum_exp2(x: Tensor, axis: int) -> Tensor:
    """log₂ Σ 2^x along an axis, for finite x.

    Base 2, because on a CPU torch's ``exp`` takes tens of times as long where its result underflows, as it does for all
    that is outside the set; ``exp2`` does not.
    """
    highest = x.detach().amax(dim=axis, keepdim=True)
    return (x - highest).exp2().sum(dim=axis).log2() + highest.squeeze(axis)
