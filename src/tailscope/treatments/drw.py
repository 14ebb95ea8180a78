"""Deferred re-weighting: the classes are weighted only in the last part of the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cells import CellLoss
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.effective_number import effective_number_weights
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import require_plain, scheduled
from tailscope.treatments.settings import check_range

# Losses whose classes are weighted from the beginning, so that weights from a later moment on would weigh them twice.
WEIGHTED_CLASSES = ("effective_number", "inter_weighted")
WEIGHED_TWICE = "the classes are weighted from the beginning, and drw would weigh them once more"


class ClassWeightedCells(CellLoss):
    """Another loss's cells, multiplied by a weight per class.

    Args:
        inner: A loss over cells; its parameters stay its own.
        class_weight: (K,).
    """

    class_weight: Tensor

    def __init__(self, inner: CellLoss, class_weight: NDArray[np.floating]) -> None:
        super().__init__(inner.num_classes, inner.reduction)
        self.inner = inner
        self.register_buffer("class_weight", torch.as_tensor(class_weight))

    def _values(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        return self.class_weight.to(x) * self.inner.cell_values(x, y, known)


@TREATMENTS.register("drw")
@dataclass(frozen=True)
class Drw:
    """Deferred re-weighting: any loss over cells, from ``share`` of the training on with a weight per class.

    The weights are those of the effective numbers of positives, w_c ∝ (1−β)/(1−β^n⁺_c), mean 1.

    Source: Cao, Wei, Gaidon, Arechiga, Ma, "Learning imbalanced datasets with label-distribution-aware margin loss"
    (NeurIPS 2019), algorithm 1, with the weights of Cui et al. (CVPR 2019) as in their code, and the switch at 0.8 of
    the epochs (160 of 200 there). In multi-label data the weight of a class multiplies both sides of its cells, where
    the single-label original weighs an image by its label. The learning rate is not lowered at the switch; it follows
    the schedule of the experiment, the same in all arms.

    Args:
        treatment: The loss that is weighted, by name or with settings.
        share: Share of the training at which the weights begin, in [0, 1).
        beta: β in [0, 1).

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = Drw(beta=0.9)(ClassCounts(("mass", "hernia"), (9, 1), (1, 9)))
        >>> later = plan.at(0.9).loss.class_weight  # (1−0.9)/(1−0.9⁹) to 1, mean 1
        >>> [round(weight, 3) for weight in later.tolist()]
        [0.281, 1.719]
    """

    limit: ClassVar[LimitCase] = LimitCase("beta 0: every class weighs 1, so control throughout", {"beta": 0.0})
    main: ClassVar[MainParameter] = MainParameter("share", (0.6, 0.8, 0.9))

    treatment: Choice = "control"
    share: float = 0.8
    beta: float = 0.9999

    def __post_init__(self) -> None:
        part = Part.of(self.treatment, "treatment")
        object.__setattr__(self, "treatment", part)
        if part.name in WEIGHTED_CLASSES:
            raise InputError(f"{part.name} does not go with drw: {WEIGHED_TWICE}")
        check_range("share", self.share, 0, 1, open_end=True)
        check_range("beta", self.beta, 0, 1, open_end=True)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: The loss is none over cells, or is weighted from the beginning.
            DataError: A class has no positive or no negative.
        """
        return self.wrap(Part.of(self.treatment, "treatment").build()(class_counts), class_counts)

    def wrap(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        """See :class:`~tailscope.treatments.schedules.Schedule`."""
        require_plain(plan, "drw")
        class_counts.require_both()
        if not isinstance(plan.loss, CellLoss):
            raise InputError(
                f"drw weighs the cells (image, class) of a loss; {type(plan.loss).__name__} has no value per cell: "
                "choose a loss such as focal or ldam (with form: sigmoid)"
            )
        if isinstance(plan.loss, WeightedBCE) and plan.loss.class_weight is not None:
            raise InputError(f"this loss does not go with drw: {WEIGHED_TWICE}")
        weights = effective_number_weights(class_counts, self.beta)
        later = scheduled(plan, loss=ClassWeightedCells(plan.loss, weights))
        return scheduled(plan, phases=((self.share, later),))
