"""What a treatment hands to training: its plan, and the protocol that every treatment keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core.records import ClassCounts
from tailscope.treatments.adjustment import AfterTraining

Variant: TypeAlias = Literal["corrected", "as_published"]
Form: TypeAlias = Literal["sigmoid", "softmax"]
Trains: TypeAlias = Literal["all", "fresh_head"]
# (targets (N, K)), and where the plan names `attributes` also their columns, each (N,): draw weight per image
SampleWeights: TypeAlias = Callable[..., NDArray[np.float64]]
BatchTransform: TypeAlias = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]

LEARNS = "loss_parameters"
BOTH_SIDES = "both_sides_in_batch"
POSITIVES = "positives_in_batch"
SINGLE_LABEL = "single_label"
ASCENT = "reach_of_dual_variable"


@dataclass(frozen=True)
class Mixing:
    """Every image of a batch is mixed with a partner from a second stream of draws.

    The share λ of the partner is drawn once per batch, λ ~ Beta(``alpha``, 1), mean α/(1+α); 0 for α = 0. Training
    feeds (1−λ)·image + λ·partner to the network; the loss is (1−λ)·loss(logits, targets) + λ·loss(logits, partner's
    targets).

    Args:
        partner_weights: As :attr:`TreatmentPlan.sample_weights`, for the second stream.
        alpha: α, 0 or more.
        attributes: Columns that ``partner_weights`` reads.
        leaves_out: Partners with weight 0 are meant.
    """

    partner_weights: SampleWeights
    alpha: float
    attributes: tuple[str, ...] = ()
    leaves_out: bool = False

    def share(self, generator: np.random.Generator) -> float:
        """λ of one batch."""
        return float(generator.beta(self.alpha, 1)) if self.alpha > 0 else 0.0


@dataclass(frozen=True, eq=False)
class TreatmentPlan:
    """What training does differently; a part is None where the treatment leaves it alone.

    The contract with training:

    - ``loss(logits (B, K), targets (B, K) in {0, 1, NaN})`` is a scalar. Logits stay as they come from the network;
      the loss itself leaves autocast. NaN targets have no say in it.
    - ``loss.parameters()`` may be learnt (then ``requirements`` holds ``"loss_parameters"``): training puts them into
      their own optimiser group with ``weight_decay=0``, and saves ``loss.state_dict()`` with the run.
      ``parameter_lr`` is the peak learning rate of that group; None takes that of the network.
    - ``sample_weights(targets (N, K)) -> (N,)`` float64: the weight with which each IMAGE is drawn, with replacement;
      0 or more, not normalised. A NaN target counts as unknown: not as a positive. If ``attributes`` names columns of
      the image table, they are handed over as a second argument, a mapping from name to (N,) values.
    - ``leaves_out``: weights of 0 are meant; the audit counts the images that are never seen, and does not object.
    - ``batch_transform(images (B, C, H, W), targets (B, K), generator)`` returns both anew, before the forward pass.
    - ``mixing`` mixes each batch with a second one; see :class:`Mixing`.
    - ``phases`` is a schedule: (share of the training in [0, 1) at which it starts, the plan that holds from then on),
      ascending. Until the first of them this plan holds. Phases change at the beginning of an epoch.
    - ``trains``: ``"fresh_head"`` draws the head's weights anew when the phase begins, and trains nothing else.
    - ``adjust_logits(logits)`` is applied when predicting, never in training.
    - ``after_training`` fits an adjustment of the logits when the weights are final; see
      :class:`~tailscope.treatments.adjustment.AfterTraining`.
    - ``corrects_prior``: the loss moves the logits by the training prevalences, which must then be those of the draws.
    - ``same_ranking``: why this arm ranks as control does by construction (METHODS section 2); empty where it does not.
    - ``requirements``: what training must offer beyond logits and targets, by name; checked before training, see
      :func:`~tailscope.treatments.requirements.unmet_requirements`.

    Example:
        >>> from torch.nn import BCEWithLogitsLoss
        >>> TreatmentPlan(BCEWithLogitsLoss()).sample_weights is None
        True
    """

    loss: nn.Module
    sample_weights: SampleWeights | None = None
    batch_transform: BatchTransform | None = None
    phases: tuple[tuple[float, TreatmentPlan], ...] | None = None
    adjust_logits: Callable[[Tensor], Tensor] | None = None
    requirements: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    leaves_out: bool = False
    mixing: Mixing | None = None
    trains: Trains = "all"
    parameter_lr: float | None = None
    after_training: AfterTraining | None = None
    same_ranking: str = ""
    corrects_prior: bool = False

    @property
    def stages(self) -> tuple[tuple[float, TreatmentPlan], ...]:
        """All plans in time: (share of the training at which it starts, plan), this one first, at 0."""
        return ((0.0, self), *(self.phases or ()))

    def at(self, share: float) -> TreatmentPlan:
        """The plan that holds when this share of the training is done."""
        return next(plan for start, plan in reversed(self.stages) if start <= share + 1e-12)

    def draw_weights(
        self, targets: NDArray[np.floating], attributes: dict[str, NDArray[Any]]
    ) -> NDArray[np.float64] | None:
        """(N,) float64 draw weights of the images, or None where each is visited once per epoch."""
        if self.sample_weights is None:
            return None
        return weights_of(self.sample_weights, targets, self.attributes, attributes)


def weights_of(
    sample_weights: SampleWeights,
    targets: NDArray[np.floating],
    names: tuple[str, ...],
    attributes: dict[str, NDArray[Any]],
) -> NDArray[np.float64]:
    """Call a sampler with the columns that its plan names, and with targets alone where it names none."""
    if not names:
        return np.asarray(sample_weights(targets), dtype=np.float64)
    return np.asarray(sample_weights(targets, {name: attributes[name] for name in names}), dtype=np.float64)


class ImbalanceTreatment(Protocol):
    """A method that handles imbalance: a loss, a sampler, a logit shift, or a schedule of these.

    What every treatment guarantees:

    - It is a frozen dataclass; its fields are its settings and are refused with an
      :class:`~tailscope.core.errors.InputError` where they make no sense.
    - Its plan's loss is finite, and so is the gradient, for logits within ±100; both are computed in float32 at least.
    - It reads nothing but the class counts of the training split. Where it uses them, a class without a positive or
      without a negative is refused by name (:class:`~tailscope.core.errors.DataError`); an ``as_published`` variant
      computes what the published code computes instead, defects included.
    - The plan can be pickled.

    Two class variables are optional. ``limit`` is a :class:`~tailscope.treatments.limits.LimitCase`, under which the
    treatment is a known multiple of control; the audit checks it. ``main`` is a
    :class:`~tailscope.treatments.limits.MainParameter`, the one setting that ``tailscope run --tune`` searches.
    """

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan for training on a split with these counts."""
        ...
