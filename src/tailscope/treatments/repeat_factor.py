"""Repeat factor sampling: images of classes rarer than a threshold are drawn more often."""

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
class RepeatFactors:
    """The largest repeat factor among an image's positive classes; 1 for an image without any.

    Args:
        factors: K repeat factors, each 1 or more.

    Example:
        >>> RepeatFactors((1.0, 3.0))(np.array([[1, 0], [1, 1], [0, 0]])).tolist()
        [1.0, 3.0, 1.0]
    """

    factors: tuple[float, ...]

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float64]:
        """The weight per image, (N,) float64 of 1 or more, for targets (N, K) in {0, 1, NaN}.

        Raises:
            InputError: The targets are not (N, K).
        """
        return reduced(np.array([*self.factors, 1.0]), membership(targets, len(self.factors)), "max")


@TREATMENTS.register("repeat_factor_sampling")
@dataclass(frozen=True)
class RepeatFactorSampling:
    """Images of classes rarer than a threshold are drawn more often, by the root of their rarity; the loss is BCE.

    A class with share f_c of the images has the repeat factor r_c = max(1, √(t/f_c)); an image has the largest one of
    its positive classes, 1 without any. An unknown label (NaN) is not a positive.

    Source: Gupta, Dollár, Girshick, "LVIS: a dataset for large vocabulary instance segmentation" (CVPR 2019), repeat
    factor sampling. Deviations: there an epoch grows, each image standing in it r_n times, its fraction rounded at
    random; here an epoch has as many draws as there are training images, independent and with replacement, in
    proportion to r_n. f_c is the share among the images whose label is known. The paper's t is 0.001, for more than a
    thousand classes most of which stand in fewer than one image of a thousand. Data with ten to twenty findings hardly
    have such a class, and 0.001 would change nothing: 0.1 is where the tail and the medium classes begin (METHODS
    section 1), so that just the head keeps its rate.

    Args:
        threshold: t in [0, 1]: the share of the images below which a class is drawn more often.

    Raises:
        InputError: The setting makes no sense.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (50, 1), (50, 99))
        >>> RepeatFactorSampling(threshold=0.04)(counts).sample_weights(np.array([[1, 0], [0, 1]])).tolist()
        [1.0, 2.0]
        >>> RepeatFactorSampling(threshold=0)(counts).sample_weights(np.array([[1, 0], [0, 1]])).tolist()  # uniform
        [1.0, 1.0]
    """

    limit: ClassVar[LimitCase] = LimitCase(
        "threshold 0: uniform draws, the loss is control's",
        {"threshold": 0.0},
        uniform_draws=True,
        balanced=True,
        single_label=True,
    )
    main: ClassVar[MainParameter] = MainParameter("threshold", (0.03, 0.1, 0.3))

    threshold: float = 0.1

    def __post_init__(self) -> None:
        check_range("threshold", self.threshold, 0, 1)

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan.

        Raises:
            DataError: A class has no positive or no negative.
        """
        class_counts.require_both()
        factors = np.maximum(1.0, np.sqrt(self.threshold / np.array(class_counts.prevalences)))
        return TreatmentPlan(
            WeightedBCE(len(class_counts.names)), sample_weights=RepeatFactors(tuple(factors.tolist()))
        )
