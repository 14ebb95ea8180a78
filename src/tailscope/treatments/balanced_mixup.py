"""Balanced mix-up: each image is mixed with one that a balanced sampler draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tailscope.core.records import ClassCounts
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import Mixing, TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import (
    require_draws,
    require_no_sampler,
    require_plain,
    require_prior_kept,
    scheduled,
)
from tailscope.treatments.settings import check_range


@TREATMENTS.register("balanced_mixup")
@dataclass(frozen=True)
class BalancedMixup:
    """Images as they come, mixed with images of a balanced second stream: (1−λ)·image + λ·partner, λ ~ Beta(α, 1).

    Source: Galdran, Carneiro, González Ballester, "Balanced-MixUp for highly imbalanced medical image classification"
    (MICCAI 2021), section 2. There the labels are mixed; here the losses, (1−λ)·loss(x, y) + λ·loss(x, y′), which for
    cross-entropy is the same and which any loss over known labels allows. A copy of this method mixes every batch with
    itself (its second batch is the first); the audit counts such pairs.

    Args:
        treatment: The loss, by name or with settings.
        alpha: α, 0 or more; λ is α/(1+α) on average, so 0.2 gives the partner a sixth.
        sampler: Draws the partners.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> import numpy as np
        >>> mixing = BalancedMixup(alpha=1.0)(ClassCounts(("mass",), (1,), (3,))).mixing
        >>> shares = [mixing.share(np.random.default_rng(seed)) for seed in range(400)]  # Beta(1, 1) is uniform
        >>> round(float(np.mean(shares)), 1)
        0.5
    """

    limit: ClassVar[LimitCase] = LimitCase("alpha 0: no partner has a share, so control", {"alpha": 0.0})
    main: ClassVar[MainParameter] = MainParameter("alpha", (0.1, 0.2, 0.4))

    treatment: Choice = "control"
    alpha: float = 0.2
    sampler: Choice = "class_aware_sampling"

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))
        object.__setattr__(self, "sampler", Part.of(self.sampler, "sampler"))
        check_range("alpha", self.alpha, 0)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: The treatment draws images itself, or the sampler draws none.
        """
        return self.wrap(Part.of(self.treatment, "treatment").build()(class_counts), class_counts)

    def wrap(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        """See :class:`~tailscope.treatments.schedules.Schedule`."""
        require_plain(plan, "balanced_mixup")
        require_no_sampler(plan, "balanced_mixup", "its first stream is the images as they come, by definition")
        part = Part.of(self.sampler, "sampler")
        drawing = part.build()(class_counts)
        require_prior_kept(plan, "balanced_mixup", "its partners are drawn balanced")
        mixing = Mixing(require_draws(drawing, part), self.alpha, drawing.attributes, drawing.leaves_out)
        return scheduled(plan, mixing=mixing)
