"""Weighted sampling: which images are drawn how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from tailscope.core import check_choice
from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import PUBLISHED_EPSILON, WeightedBCE
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.membership import Reduce, membership, reduced
from tailscope.treatments.plan import SampleWeights, TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range, check_unused


@dataclass(frozen=True)
class ImageWeights:
    """One weight per image from the weights of its positive classes.

    Args:
        positives: K training counts, each 1 or more.
        reduce: How the weights of an image's positive classes become one.
        clip_quantile: As in :class:`WeightedSampling`.

    Example:
        >>> ImageWeights((2, 1))(np.array([[1, 0], [1, 1], [0, 0], [0, 0], [0, 0], [0, 0]])).tolist()
        [0.5, 1.0, 0.25, 0.25, 0.25, 0.25]
    """

    positives: tuple[int, ...]
    reduce: Reduce = "max"
    clip_quantile: float | None = None

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """The weight per image, (N,) float64 above 0, for targets (N, K) in {0, 1, NaN}.

        Raises:
            InputError: The targets are not (N, K).
        """
        member = membership(targets, len(self.positives))
        images = np.array([*self.positives, member[:, -1].sum()], dtype=np.float64)
        used = images > 0  # the additional class is empty where every image has a positive
        weights = np.zeros(len(images))
        weights[used] = _clipped(1 / images[used], self.clip_quantile)
        return reduced(weights, member, self.reduce)


@dataclass(frozen=True)
class PublishedWeights:
    """The published weights, one per CLASS, handed out as if per image: only the first K images are ever drawn.

    Args:
        class_weights: K weights from :func:`published_sampling_weights`.

    Example:
        >>> PublishedWeights((0.75, 0.25))(np.ones((4, 2))).tolist()
        [0.75, 0.25, 0.0, 0.0]
    """

    class_weights: tuple[float, ...]

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) float64: the class weights on the first K images, 0 on the others; the labels have no say.

        Raises:
            InputError: The targets are not (N, K), or N < K, where the published sampler draws images
                that do not exist.
        """
        membership(targets, len(self.class_weights))
        if len(targets) < len(self.class_weights):
            raise InputError(
                "variant 'as_published' hands the sampler one weight per class, as if per image; expected at least "
                f"{len(self.class_weights)} images, got {len(targets)}: use variant 'corrected'"
            )
        weights = np.zeros(len(targets))
        weights[: len(self.class_weights)] = self.class_weights
        return weights


@TREATMENTS.register("weighted_sampling")
@dataclass(frozen=True)
class WeightedSampling:
    """Images are drawn with replacement, by the rarity of their positive classes; the loss is BCE.

    r_n = reduce over the positive classes c of image n of 1/n⁺_c. The images without a positive count as one more
    class, whose count is their number. An unknown label (NaN) is not a positive.

    Source: inverse-frequency sampling as in the paper that tailscope starts from. The published code
    (``imba_explain/datasets/cls_dataset.py``) computes a weight per class, 1/(n⁺_c+1e-6), clips and normalises them,
    and hands them to a sampler of images, so that only the first K images are ever drawn; ``as_published`` does that.

    Args:
        reduce: ``"max"``, ``"mean"`` or ``"sum"`` over an image's positive classes.
        clip_quantile: Class weights (with that of the additional class) above this quantile of theirs, linear between
            two, are lowered to it; in [0, 1], None for no clipping.
        variant: ``"corrected"`` or ``"as_published"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (2, 2), (2, 2))  # one label per image, equal counts: uniform
        >>> WeightedSampling()(counts).sample_weights(np.array([[1, 0], [0, 1], [1, 0], [0, 1]])).tolist()
        [0.5, 0.5, 0.5, 0.5]
    """

    reduce: Reduce = "max"
    clip_quantile: float | None = None
    variant: Variant = "corrected"

    limit: ClassVar[LimitCase] = LimitCase(
        "one label per image, equal counts: uniform draws, and always control's loss", uniform_draws=True
    )

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        check_choice("reduce", self.reduce, get_args(Reduce))
        if self.clip_quantile is not None:
            check_range("clip_quantile", self.clip_quantile, 0, 1)
        if self.variant == "as_published":
            check_unused("reduce", self.reduce, "max")

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative (``corrected``).
        """
        return TreatmentPlan(WeightedBCE(len(class_counts.names)), sample_weights=self._weights(class_counts))

    def _weights(self, class_counts: ClassCounts) -> SampleWeights:
        if self.variant == "as_published":
            vector = published_sampling_weights(class_counts, self.clip_quantile)
            return PublishedWeights(tuple(float(weight) for weight in vector))
        class_counts.require_both()
        return ImageWeights(class_counts.positives, self.reduce, self.clip_quantile)


def published_sampling_weights(class_counts: ClassCounts, clip_quantile: float | None) -> NDArray[np.float64]:
    """1/(n⁺_c+1e-6) per class, clipped at a quantile, scaled to sum 1: (K,) float64.

    >>> published_sampling_weights(ClassCounts(("mass", "hernia"), (3, 1), (1, 3)), None).round(3).tolist()
    [0.25, 0.75]
    """
    weights = _clipped(1 / (np.array(class_counts.positives) + PUBLISHED_EPSILON), clip_quantile)
    return np.asarray(weights / weights.sum())


def _clipped(weights: NDArray[np.float64], quantile: float | None) -> NDArray[np.float64]:
    return weights if quantile is None else np.minimum(weights, np.quantile(weights, quantile))
