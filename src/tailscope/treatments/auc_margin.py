"""AUC-margin loss: a saddle function whose minimum over the network raises AUROC itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tailscope.core.records import ClassCounts
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.masked import MaskedLoss
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import ASCENT, BOTH_SIDES, LEARNS, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import require_draws
from tailscope.treatments.settings import check_range


class AucMarginLoss(MaskedLoss):
    """mean₊(s−a)² + mean₋(s−b)² + 2α(m + mean₋s − mean₊s) − α² per class, s = σ(x); averaged over the classes.

    The means are taken within the batch, over the known labels of one side; a class without both sides there is left
    out. ``positive_mean`` a, ``negative_mean`` b and ``dual`` α, (K,) float32 each, start at 0. a and b descend with
    the network. α ascends, although the optimiser descends: its gradient comes with the opposite sign. It is projected
    onto α ≥ 0 at the start of each training pass, and the value never takes it below 0.

    Args:
        num_classes: K.
        margin: m, by which the mean score of the positives shall exceed that of the negatives.
    """

    def __init__(self, num_classes: int, margin: float) -> None:
        super().__init__(num_classes)
        self.margin = margin
        self.positive_mean = nn.Parameter(torch.zeros(num_classes))
        self.negative_mean = nn.Parameter(torch.zeros(num_classes))
        self.dual = nn.Parameter(torch.zeros(num_classes))

    def _reduced(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        self._project()
        positives, negatives = y.sum(dim=0), known.sum(dim=0) - y.sum(dim=0)
        a, b, dual = self.positive_mean.to(x), self.negative_mean.to(x), self._ascending().to(x)
        scores = torch.exp(logsigmoid(x))  # torch's sigmoid has no gradient beyond logit 17 in float32
        of_positive, of_negative = y / positives.clamp(min=1), (known.to(x) - y) / negatives.clamp(min=1)
        spread = ((scores - (b + y * (a - b))) ** 2 * (of_positive + of_negative)).sum(dim=0)
        shortfall = self.margin + (scores * (of_negative - of_positive)).sum(dim=0)
        has_both = (positives > 0) & (negatives > 0)
        values = torch.where(has_both, spread + dual * (2 * shortfall - dual), 0)
        return values.sum() / has_both.sum().clamp(min=1)

    def _project(self) -> None:
        if self.training:
            with torch.no_grad():
                self.dual.clamp_(min=0)

    def _ascending(self) -> Tensor:
        """α with a gradient of the opposite sign; a tensor of its own, so that the projection spoils no older graph."""
        constant = self.dual.detach()
        return constant.clamp(min=0) + (constant - self.dual)


def mean_square_scores(logits: Tensor, targets: Tensor) -> Tensor:
    """mean₊s² + mean₋s², averaged over the classes that have both sides; logits and targets (B, K).

    >>> mean_square_scores(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]])).item()
    0.5
    """
    squares = torch.sigmoid(logits) ** 2
    sides = [targets == side for side in (0, 1)]
    both = torch.stack([side.any(dim=0) for side in sides]).all(dim=0)
    means = [(squares * side).sum(dim=0)[both] / side.sum(dim=0)[both] for side in sides]
    return torch.stack(means).sum(dim=0).mean()


@TREATMENTS.register("auc_margin")
@dataclass(frozen=True)
class AucMargin:
    """AUC-margin loss: pairs of a positive and a negative shall differ by a margin, without going over pairs.

    min over the network, a and b, max over α ≥ 0. At the inner optimum a and b are the mean scores of the positives
    and the negatives, α = max(m + b − a, 0), and the value is var₊ + var₋ + max(m + b − a, 0)².

    It needs batches with both sides of each class, hence a sampler, and a learning rate with which a, b and α arrive:
    they are numbers between 0 and 1 + m, of which the network's own rate would move them through a fraction only.

    Source: Ying, Wen, Lyu, "Stochastic online AUC maximization" (NeurIPS 2016), for the saddle form; Yuan, Yan, Sonka,
    Yang, "Large-scale robust deep AUC maximization" (ICCV 2021), for the margin; the form without class prior is
    ``AUCMLoss`` version ``v2`` of their library LibAUC, and so are the starts at 0. Its code takes the mean of the
    negatives' scores over the whole batch in the term of α; here it is their own mean, as its documentation says.
    Classes are averaged. Their optimiser PESG, with its proximal term, is not part of it: the optimiser of the
    experiment moves everything, α uphill.

    Args:
        margin: m in [0, 1].
        sampler: The treatment whose draw weights are taken, by name or with settings; None leaves the images as they
            come.
        parameter_lr: Peak learning rate of a, b and α, 0 or more.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = AucMargin(sampler=None)(ClassCounts(("mass",), (1,), (1,)))
        >>> plan.loss(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]])).item()  # a = b = α = 0: ½² + ½²
        0.5
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "at the start, a, b and alpha 0: the mean squares of the scores of both sides",
        {"sampler": None},
        factor=None,
        value=mean_square_scores,
    )
    main: ClassVar[MainParameter] = MainParameter("margin", (0.6, 0.8, 1.0))

    margin: float = 1.0
    sampler: Choice | None = "class_aware_sampling"
    parameter_lr: float = 0.1

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0, 1)
        check_range("parameter_lr", self.parameter_lr, 0)
        if self.sampler is not None:
            object.__setattr__(self, "sampler", Part.of(self.sampler, "sampler"))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
            InputError: The sampler draws no images.
        """
        class_counts.require_both()
        loss = AucMarginLoss(len(class_counts.names), self.margin)
        needs = (LEARNS, BOTH_SIDES, ASCENT)
        plan = TreatmentPlan(loss, requirements=needs, parameter_lr=self.parameter_lr)
        return plan if self.sampler is None else self._drawn(plan, Part.of(self.sampler, "sampler"), class_counts)

    @staticmethod
    def _drawn(plan: TreatmentPlan, part: Part, class_counts: ClassCounts) -> TreatmentPlan:
        drawing = part.build()(class_counts)
        return replace(
            plan,
            sample_weights=require_draws(drawing, part),
            attributes=drawing.attributes,
            leaves_out=drawing.leaves_out,
        )
