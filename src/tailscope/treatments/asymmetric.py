"""Asymmetric loss: positives and negatives are focused apart, and easy negatives are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tailscope.core import check_choice
from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss, focus
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.plan import Form, TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range
from tailscope.treatments.softmax import SoftmaxLoss
from tailscope.treatments.softmax_cross_entropy import softmax_plan, true_log_odds

PUBLISHED_CLAMP = 1e-8
MARGIN, EPSILON = 0.05, 0.1  # the defaults of the authors' code, each for the one form that has it


class AsymmetricLoss(CellLoss):
    """(1−p)^γ⁺·(−log p) for positives, p_m^γ⁻·(−log(1−p_m)) for negatives, p_m = max(p−m, 0).

    A negative with p ≤ m has loss and gradient 0; a positive keeps its gradient at every logit.

    Args:
        num_classes: K.
        gammas: (γ⁺, γ⁻), 0 or more.
        margin: m in [0, 1).
        detach_weight: Whether the focusing weight is a constant to the gradient.
    """

    def __init__(self, num_classes: int, gammas: tuple[float, float], margin: float, detach_weight: bool) -> None:
        super().__init__(num_classes)
        self.gamma_pos, self.gamma_neg = gammas
        self.margin = margin
        self.detach_weight = detach_weight

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        p, q = torch.sigmoid(x), torch.sigmoid(-x)
        positive = self._weight(q, self.gamma_pos) * -logsigmoid(x)
        return torch.where(y == 1, positive, self._negative(x, p, q))

    def _negative(self, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        if self.margin == 0:
            return self._weight(p, self.gamma_neg) * -logsigmoid(-x)
        # 1 − p_m as q + m, a sum of positive terms that never cancels; 1 for a dropped negative, whose logarithm is 0.
        return self._weight((p - self.margin).clamp(min=0), self.gamma_neg) * -torch.log((q + self.margin).clamp(max=1))

    def _weight(self, miss: Tensor, gamma: float) -> Tensor | float:
        weight = focus(miss, gamma)
        return weight.detach() if self.detach_weight and isinstance(weight, Tensor) else weight


class PublishedAsymmetricLoss(CellLoss):
    """The published form: −log(max(q, 1e-8))·(1−q)^γ, which takes the gradient from badly missed positives.

    q = σ·y + min(1−σ+m, 1)·(1−y). The clamp cuts the gradient of a positive below logit −18.

    Args:
        num_classes: K.
        gammas: (γ⁺, γ⁻), 0 or more.
        margin: m in [0, 1).
        detach_weight: Whether the focusing weight is a constant to the gradient.
    """

    def __init__(self, num_classes: int, gammas: tuple[float, float], margin: float, detach_weight: bool) -> None:
        super().__init__(num_classes)
        self.gamma_pos, self.gamma_neg = gammas
        self.margin = margin
        self.detach_weight = detach_weight

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002 - the mask is for batch statistics
        p = torch.sigmoid(x)
        q = torch.where(y == 1, p, (1 - p + self.margin).clamp(max=1))
        weight = (1 - q) ** torch.where(y == 1, self.gamma_pos, self.gamma_neg)
        return -torch.log(q.clamp(min=PUBLISHED_CLAMP)) * (weight.detach() if self.detach_weight else weight)


class AsymmetricSoftmaxLoss(SoftmaxLoss):
    """Cross-entropy against smoothed targets, y the true class: Σ_c t_c·w_c·(−log p_c).

    w_y = (1−p_y)^γ⁺ and t_y = 1−ε+ε/K; for every other class w_c = p_c^γ⁻ and t_c = ε/K.

    Args:
        num_classes: K.
        gammas: (γ⁺, γ⁻), 0 or more.
        epsilon: ε in [0, 1).
        detach_weight: Whether the focusing weights are constants to the gradient.
    """

    def __init__(self, num_classes: int, gammas: tuple[float, float], epsilon: float, detach_weight: bool) -> None:
        super().__init__(num_classes)
        self.gamma_pos, self.gamma_neg = gammas
        self.epsilon = epsilon
        self.detach_weight = detach_weight

    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        odds = true_log_odds(x, y)
        of_others = self.epsilon / self.num_classes
        true = (1 - self.epsilon + of_others) * self._weight(self.gamma_pos * logsigmoid(-odds)) * -logsigmoid(odds)
        log_p = torch.log_softmax(x, dim=1)
        others = (1 - y) * self._weight(self.gamma_neg * log_p) * -log_p
        return true + of_others * others.sum(dim=1)

    def _weight(self, log_weight: Tensor) -> Tensor:
        weight = torch.exp(log_weight)
        return weight.detach() if self.detach_weight else weight


@TREATMENTS.register("asymmetric")
@dataclass(frozen=True)
class Asymmetric:
    """Asymmetric loss: negatives are focused more than positives, and negatives below the margin are dropped.

    Source: Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric loss for multi-label
    classification" (ICCV 2021), equations 4 to 7, here averaged over the cells. Their code offers to switch off the
    gradient through the focusing weight, as ``detach_weight`` does. ``as_published`` is the code of the paper that
    tailscope starts from (``imba_explain/losses/asymmetric.py``), which clamps the probability at 1e-8.
    The soft-max form is in no equation of the paper: it is ``ASLSingleLabel`` of the authors' code
    (``Alibaba-MIIL/ASL``, ``src/loss_functions/losses.py``). There γ⁻ acts on the share ε of the target that is spread
    over all classes, so with ε = 0 it has no effect; there is no margin. Its γ⁺ is 0 by default, here 1 in both forms.

    Args:
        gamma_pos: Focusing exponent of the positives, 0 or more.
        gamma_neg: Focusing exponent of the negatives, 0 or more.
        margin: Probability by which negatives are shifted down, in [0, 1); sigmoid only, with soft-max leave it out.
        detach_weight: Whether the focusing weight is a constant to the gradient.
        variant: ``"corrected"`` or ``"as_published"``; soft-max has the first only.
        form: ``"sigmoid"`` or ``"softmax"``.
        epsilon: Share of the target that is spread over all classes, in [0, 1); soft-max only, with sigmoid leave it
            out.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = Asymmetric(gamma_pos=0, gamma_neg=0, margin=0)(ClassCounts(("mass",), (1,), (9,)))  # the control
        >>> round(plan.loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)
        0.6931
    """

    gamma_pos: float = 1.0
    gamma_neg: float = 4.0
    margin: float = MARGIN
    detach_weight: bool = False
    variant: Variant = "corrected"
    form: Form = "sigmoid"
    epsilon: float = EPSILON

    limit: ClassVar[LimitCase] = LimitCase(
        "gamma_pos 0, gamma_neg 0 and margin 0: control", {"gamma_pos": 0, "gamma_neg": 0, "margin": 0}
    )
    main: ClassVar[MainParameter] = MainParameter("gamma_neg", (2.0, 4.0, 6.0))

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        check_range("gamma_pos", self.gamma_pos, 0)
        check_range("gamma_neg", self.gamma_neg, 0)
        check_range("margin", self.margin, 0, 1, open_end=True)
        check_choice("detach_weight", self.detach_weight, (False, True))
        check_choice("form", self.form, get_args(Form))
        check_range("epsilon", self.epsilon, 0, 1, open_end=True)
        self._check_form()

    def _check_form(self) -> None:
        if self.form == "sigmoid" and self.epsilon != EPSILON:
            raise InputError(f"`epsilon` has no effect with form 'sigmoid'; got {self.epsilon!r}: leave it out")
        if self.form == "softmax" and self.margin not in (0, MARGIN):
            raise InputError(f"`margin` must be 0 with form 'softmax'; got {self.margin!r}: leave it out")
        if self.form == "softmax" and self.variant == "as_published":
            raise InputError("the published code has no soft-max form; with form 'softmax' use variant 'corrected'")

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; the counts are not used."""
        num_classes, gammas = len(class_counts.names), (self.gamma_pos, self.gamma_neg)
        if self.form == "softmax":
            return softmax_plan(AsymmetricSoftmaxLoss(num_classes, gammas, self.epsilon, self.detach_weight))
        loss = PublishedAsymmetricLoss if self.variant == "as_published" else AsymmetricLoss
        return TreatmentPlan(loss(num_classes, gammas, self.margin, self.detach_weight))
