"""Warm-up: from control to a treatment, in steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import LEARNS, SampleWeights, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import require_plain, scheduled
from tailscope.treatments.settings import check_range


class BlendedLoss(nn.Module):
    """(1−w)·control + w·another loss.

    Args:
        inner: The other loss; its parameters stay its own.
        num_classes: K.
        weight: w in [0, 1].
    """

    def __init__(self, inner: nn.Module, num_classes: int, weight: float) -> None:
        super().__init__()
        self.control = WeightedBCE(num_classes)
        self.inner = inner
        self.weight = weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss; logits (B, K), targets (B, K) in {0, 1, NaN}."""
        control: Tensor = self.control(logits, targets)
        if self.weight == 0:
            return control
        inner: Tensor = self.inner(logits, targets)
        return (1 - self.weight) * control + self.weight * inner


@dataclass(frozen=True)
class BlendedWeights:
    """Draw weights between uniform and those of a sampler: (1−w)/N + w·r_n/Σr.

    Args:
        inner: The sampler.
        weight: w in [0, 1].
    """

    inner: SampleWeights
    weight: float

    def __call__(self, targets: NDArray[np.floating], *attributes: Any) -> NDArray[np.float64]:
        """(N,) float64, sum 1."""
        drawn = np.asarray(self.inner(targets, *attributes), dtype=np.float64)
        return np.asarray((1 - self.weight) / len(drawn) + self.weight * drawn / drawn.sum())


@TREATMENTS.register("warm_up")
@dataclass(frozen=True)
class WarmUp:
    """The training begins as control and becomes the treatment in equal steps; loss and draws change together.

    In step k of ``steps`` the loss is (1−k/steps)·control + k/steps·treatment, and so are the chances of the images to
    be drawn. From ``share`` of the training on the treatment holds alone.

    Source: own, after the common practice of starting from plain cross-entropy before a loss that is hard to start
    with (Yuan et al., ICCV 2021, start AUC maximisation from it).

    Args:
        treatment: The loss or sampler to arrive at.
        share: Share of the training that the warm-up takes, in [0, 1).
        steps: Number of steps, 1 or more; 1 is control up to ``share``. Steps shorter than an epoch are skipped over.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> import torch
        >>> treatment = WarmUp({"name": "pos_weighted", "power": 1.0}, share=0.4, steps=2)
        >>> plan = treatment(ClassCounts(("mass",), (1,), (3,)))
        >>> one = torch.zeros(1, 1), torch.ones(1, 1)
        >>> [round(plan.at(done).loss(*one).item() / 0.6931, 2) for done in (0.0, 0.2, 0.4)]  # ln 2 times 1, 2, 3
        [1.0, 2.0, 3.0]
    """

    limit: ClassVar[LimitCase] = LimitCase("a treatment that is control: control throughout", {"treatment": "control"})
    main: ClassVar[MainParameter] = MainParameter("share", (0.1, 0.2, 0.4))

    treatment: Choice
    share: float = 0.2
    steps: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))
        check_range("share", self.share, 0, 1, open_end=True)
        check_range("steps", self.steps, 1)
        if self.steps != int(self.steps):
            raise InputError(f"`steps` must be a whole number; got {self.steps!r}")

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: The treatment has a schedule of its own, or a soft-max.
        """
        return self.wrap(Part.of(self.treatment, "treatment").build()(class_counts), class_counts)

    def wrap(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        """See :class:`~tailscope.treatments.schedules.Schedule`."""
        require_plain(plan, "warm_up")
        if plan.adjust_logits is not None:
            raise InputError(
                "warm_up begins with binary cross-entropy, and the logits of this loss mean something else (a "
                "soft-max, a scale); choose `form: sigmoid` and no scale"
            )
        steps = [self._step(plan, len(class_counts.names), number) for number in range(int(self.steps))]
        later = [(self.share * number / self.steps, step) for number, step in enumerate(steps)][1:]
        return scheduled(steps[0], phases=(*later, (self.share, scheduled(plan))))

    def _step(self, plan: TreatmentPlan, num_classes: int, number: int) -> TreatmentPlan:
        weight = number / self.steps
        if not number:  # as control, which visits each image once
            plan = replace(plan, sample_weights=None, attributes=())
        drawn = None if plan.sample_weights is None else BlendedWeights(plan.sample_weights, weight)
        loss = BlendedLoss(plan.loss, num_classes, weight)
        # What the treatment needs of a batch, it needs where it holds alone.
        needs = tuple(name for name in plan.requirements if name == LEARNS)
        return scheduled(plan, loss=loss, sample_weights=drawn, leaves_out=False, requirements=needs)
