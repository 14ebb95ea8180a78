"""Decoupled training: features from the images as they come, and a classifier that is balanced afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from tailscope.core import check_choice
from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.adjustment import AfterTraining
from tailscope.treatments.head_scaling import LearntScale, TauNormalization
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.post_hoc import monotone
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.schedules import (
    require_draws,
    require_no_sampler,
    require_plain,
    require_prior_kept,
    scheduled,
)
from tailscope.treatments.settings import check_range

Method: TypeAlias = Literal["retrain", "tau_normalized", "learnt_scale"]


@TREATMENTS.register("decoupled")
@dataclass(frozen=True)
class Decoupled:
    """Features are learnt from the images as they come; then only the classifier is balanced.

    - ``retrain``: from ``share`` of the training on, the head starts anew and is trained on draws of ``sampler``, with
      the rest of the network frozen (batch norm as well) and the learning-rate schedule begun anew.
    - ``tau_normalized``: the head's rows are divided by their length to the power τ, after training.
    - ``learnt_scale``: one scale per class is fitted on the training images, weighted as ``sampler`` draws them.

    The last two change no order of the images within a class, so with independent sigmoids they are identical to the
    underlying treatment in AUROC, AP and every scale-free lens.

    Source: Kang, Xie, Rohrbach, Yan, Gordo, Feng, Kalantidis, "Decoupling representation and classifier for long-tailed
    recognition" (ICLR 2020), section 4: cRT, τ-norm, LWS. Deviations: both stages of ``retrain`` share the budget of
    the other arms; the scales are the exact minimum instead of some epochs of SGD; the biases stay as they are.

    Args:
        treatment: What the features are learnt with.
        method: Which of the three.
        share: Share of the training that the features get (``retrain``), in [0, 1).
        tau: τ, 0 or more (``tau_normalized``).
        sampler: Draws the images for the classifier (not for ``tau_normalized``).

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> plan = Decoupled()(ClassCounts(("mass",), (1,), (3,)))
        >>> plan.at(0.0).trains, plan.at(0.9).trains
        ('all', 'fresh_head')
    """

    limit: ClassVar[LimitCase] = LimitCase("any settings: the loss is the underlying treatment's, here control's")

    treatment: Choice = "control"
    method: Method = "retrain"
    share: float = 0.8
    tau: float = 1.0
    sampler: Choice = "class_aware_sampling"

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))
        object.__setattr__(self, "sampler", Part.of(self.sampler, "sampler"))
        check_choice("method", self.method, get_args(Method))
        check_range("share", self.share, 0, 1, open_end=True)
        check_range("tau", self.tau, 0)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            InputError: The treatment draws images itself, or the sampler draws none.
        """
        part = Part.of(self.treatment, "treatment")
        plan = part.build()(class_counts)
        if self.method == "retrain":
            return self.wrap(plan, class_counts)
        reads = ("head",) if self.method == "tau_normalized" else ("train", "head")
        step = AfterTraining((part.name, part.settings), self._fit(class_counts), reads)
        return monotone(plan, step, on_raw_logits=True)

    def wrap(self, plan: TreatmentPlan, class_counts: ClassCounts) -> TreatmentPlan:
        """See :class:`~tailscope.treatments.schedules.Schedule`.

        Raises:
            InputError: The method is no schedule.
        """
        check_choice("method", self.method, ("retrain",))
        require_plain(plan, "decoupled")
        require_no_sampler(plan, "decoupled", "its features are learnt from the images as they come, by definition")
        drawing = self._drawing(class_counts)
        require_prior_kept(plan, "decoupled", "its classifier is trained on balanced draws")
        draws = {"sample_weights": drawing.sample_weights, "attributes": drawing.attributes}
        later = scheduled(plan, **draws, leaves_out=drawing.leaves_out, trains="fresh_head")
        return scheduled(plan, phases=((self.share, later),))

    def _fit(self, class_counts: ClassCounts) -> TauNormalization | LearntScale:
        if self.method == "tau_normalized":
            return TauNormalization(self.tau)
        part = Part.of(self.sampler, "sampler")
        drawing = self._drawing(class_counts)
        if drawing.attributes:
            raise InputError(
                f"learnt_scale weighs images by their labels; a sampler that reads {', '.join(drawing.attributes)} is "
                "for `method: retrain`"
            )
        return LearntScale(require_draws(drawing, part))

    def _drawing(self, class_counts: ClassCounts) -> TreatmentPlan:
        part = Part.of(self.sampler, "sampler")
        drawing = part.build()(class_counts)
        require_draws(drawing, part)
        return drawing
