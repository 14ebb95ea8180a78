"""What a treatment hands to training: its plan, and the protocol that every treatment keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core.records import ClassCounts

Variant: TypeAlias = Literal["corrected", "as_published"]
SampleWeights: TypeAlias = Callable[[NDArray[np.floating]], NDArray[np.float64]]
BatchTransform: TypeAlias = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]

LEARNS = "loss_parameters"


@dataclass(frozen=True, eq=False)
class TreatmentPlan:
    """What training does differently; a part is None where the treatment leaves it alone.

    The contract with training:

    - ``loss(logits (B, K), targets (B, K) in {0, 1, NaN})`` is a scalar. Logits stay as they come from the network;
      the loss itself leaves autocast. NaN targets have no say in it.
    - ``loss.parameters()`` may be learnt (then ``requirements`` holds ``"loss_parameters"``): training puts them into
      their own optimiser group with ``weight_decay=0``, and saves ``loss.state_dict()`` with the run.
    - ``sample_weights(targets (N, K)) -> (N,)`` float64: the weight with which each IMAGE is drawn, with replacement;
      0 or more, not normalised. A NaN target counts as unknown: not as a positive.
    - ``batch_transform(images (B, C, H, W), targets (B, K), generator)`` returns both anew, before the forward pass.
    - ``phases`` is a schedule: (share of the training in [0, 1) at which it starts, the plan that holds from then on).
    - ``adjust_logits(logits)`` is applied when predicting, never in training.
    - ``requirements``: what training must offer beyond logits and targets, by name.

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
    """

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan for training on a split with these counts."""
        ...
