"""Class-aware sampling: first a class, then one of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.membership import membership, reduced
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS

WithoutPositive: TypeAlias = Literal["class", "left_out"]


@dataclass(frozen=True)
class ClassAwareWeights:
    """The probability that a class drawn uniformly, and then an image drawn uniformly from it, is this image.

    Args:
        positives: K training counts, each 1 or more.
        without_positive: As in :class:`ClassAwareSampling`.

    Example:
        >>> ClassAwareWeights((2, 1))(np.array([[1, 0], [1, 1], [0, 0], [0, 0]])).round(3).tolist()
        [0.167, 0.5, 0.167, 0.167]
    """

    positives: tuple[int, ...]
    without_positive: WithoutPositive = "class"

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """The weight per image, (N,) float64, 0 or more, for targets (N, K) in {0, 1, NaN}.

        Raises:
            InputError: The targets are not (N, K).
        """
        member = membership(targets, len(self.positives))
        others = member[:, -1].sum() if self.without_positive == "class" else 0
        images = np.array([*self.positives, others], dtype=np.float64)
        used = images > 0
        weights = np.zeros(len(images))
        weights[used] = 1 / (used.sum() * images[used])
        return reduced(weights, member, "sum")


@TREATMENTS.register("class_aware_sampling")
@dataclass(frozen=True)
class ClassAwareSampling:
    """For each place of an epoch a class is drawn uniformly, then one of its images uniformly; the loss is BCE.

    An image with several positives is reached through each of them: its weight is the sum over its positive classes c
    of 1/(K′·n⁺_c), K′ the number of classes. The images without a positive are one more class (then K′ = K + 1), or
    are left out. An unknown label (NaN) is not a positive. With ``"class"`` the draws are those of
    ``weighted_sampling`` with ``reduce="sum"``: the weights differ by the factor K′ alone.

    Source: Shen, Lin, Huang, "Relay backpropagation for effective learning of deep convolutional neural networks" (ECCV
    2016), class-aware sampling, for one label per image; for several labels as in the code of Wu, Huang, Liu, Wang,
    Lin, "Distribution-balanced loss" (ECCV 2020), ``mllt/datasets/loader/sampler.py``. Deviations: both go through
    shuffled lists of classes and of images, each entry once per round; here the draws are independent, with
    replacement, at the same rates. An epoch has as many draws as there are training images. Neither ever draws an image
    without a positive: that is ``"left_out"``; ``"class"`` keeps the images that show what no finding looks like.

    Args:
        without_positive: ``"class"``, or ``"left_out"``: such images are never drawn.

    Raises:
        InputError: The setting makes no sense.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (2, 2), (2, 2))  # one label per image, equal counts: uniform
        >>> ClassAwareSampling()(counts).sample_weights(np.array([[1, 0], [0, 1], [1, 0], [0, 1]])).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "one label per image, equal counts: uniform draws, the loss is control's",
        uniform_draws=True,
        balanced=True,
        single_label=True,
    )

    without_positive: WithoutPositive = "class"

    def __post_init__(self) -> None:
        check_choice("without_positive", self.without_positive, get_args(WithoutPositive))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        return TreatmentPlan(
            WeightedBCE(len(class_counts.names)),
            sample_weights=ClassAwareWeights(class_counts.positives, self.without_positive),
            leaves_out=self.without_positive == "left_out",
        )
