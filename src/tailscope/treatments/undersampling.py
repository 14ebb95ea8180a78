"""Random undersampling: images of frequent classes are drawn less often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.membership import membership, reduced
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.settings import check_range


@dataclass(frozen=True)
class KeptShares:
    """The largest share to keep among an image's classes; the images without a positive are one more class.

    Args:
        positives: K training counts, each 1 or more.
        ratio: As in :class:`RandomUndersampling`.

    Example:
        >>> KeptShares((4, 1), ratio=2.0)(np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 0]])).tolist()
        [0.5, 0.5, 0.5, 1.0, 1.0]
    """

    positives: tuple[int, ...]
    ratio: float

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """The weight per image, (N,) float64 in (0, 1], for targets (N, K) in {0, 1, NaN}.

        Raises:
            InputError: The targets are not (N, K).
        """
        member = membership(targets, len(self.positives))
        images = np.array([*self.positives, max(1, member[:, -1].sum())], dtype=np.float64)
        kept = np.minimum(1.0, self.ratio * min(self.positives) / images)
        return reduced(kept, member, "max")


@TREATMENTS.register("random_undersampling")
@dataclass(frozen=True)
class RandomUndersampling:
    """Images of classes with more than ``ratio`` times the positives of the rarest are drawn less; the loss is BCE.

    Of class c the share min(1, ratio·n⁺_min/n⁺_c) is kept; the images without a positive count as one more class, whose
    count is their number. An image is kept by the largest share among its positive classes, so that a rare finding is
    not lost because a frequent one stands beside it. An unknown label (NaN) is not a positive.

    Source: random majority undersampling, as in Buda, Maki, Mazurowski, "A systematic study of the class imbalance
    problem in convolutional neural networks" (Neural Networks 106, 2018). Deviations: the classic form throws images
    away before training, for good; here the share is the draw weight, so every image remains possible and each epoch
    sees another subset. An epoch has as many draws as there are training images, with replacement, so the budget is
    that of the other arms. Because draw weights are relative, ratio 1 draws as ``weighted_sampling`` with
    ``reduce="max"`` does (unless the images without a positive are fewer than the rarest class); a ratio below 1 would
    change nothing more and is refused. Above 1, as by default, the classes up to ``ratio`` times the rarest keep their
    proportions.

    Args:
        ratio: How many times the positives of the rarest class a class keeps, 1 or more.

    Raises:
        InputError: The setting makes no sense.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (2, 2), (2, 2))  # one label per image, equal counts: uniform
        >>> RandomUndersampling()(counts).sample_weights(np.array([[1, 0], [0, 1], [1, 0], [0, 1]])).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "one label per image, equal counts: uniform draws, the loss is control's",
        uniform_draws=True,
        balanced=True,
        single_label=True,
    )
    main: ClassVar[MainParameter] = MainParameter("ratio", (1.0, 3.0, 10.0))

    ratio: float = 3.0

    def __post_init__(self) -> None:
        check_range("ratio", self.ratio, 1)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        return TreatmentPlan(
            WeightedBCE(len(class_counts.names)), sample_weights=KeptShares(class_counts.positives, self.ratio)
        )
