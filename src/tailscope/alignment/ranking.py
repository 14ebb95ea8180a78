"""Metrics of the order of the pixels alone: any increasing change of the map leaves them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import average_precisions, top_area_ious
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import Frames
from tailscope.alignment.prepared import PreparedMetric
from tailscope.alignment.registry import METRICS, ReferenceKind


@METRICS.register("iou_at_area")
@dataclass(frozen=True)
class IouAtArea(PreparedMetric):
    """IoU of the |B| largest pixels of the map with the annotation B, in [0, 1], higher is better.

    No threshold to choose, and no reward for covering much. Ties at the cut: the expected IoU over a random choice
    among the tied pixels (hypergeometric).

    Source: METHODS section 4.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True], [False, False]])
        >>> float(METRICS.build("iou_at_area")(np.array([[4.0, 1.0], [2.0, 0.0]]), mask))  # 1 pixel shared of 3
        0.333...
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[ReferenceKind] = "empirical"

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The IoU of each map's largest pixels with each of its masks."""
        # The kernel reads masks by rising area, so that it never takes back a pixel.
        rising = np.argsort(masks.bits.areas[members], axis=1, kind="stable")
        order, ends = frames.ranking
        sorted_scores = top_area_ious(order, ends, masks.bits, np.take_along_axis(members, rising, axis=1))
        values = np.empty_like(sorted_scores)
        np.put_along_axis(values, np.broadcast_to(rising, values.shape), sorted_scores, axis=1)
        return values

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return self.of_degenerate(frames, masks, members)


@METRICS.register("pixel_ap")
@dataclass(frozen=True)
class PixelAp(PreparedMetric):
    """Average precision of the pixels ranked by the map, in (0, 1], higher is better.

    Tied pixels enter the curve together, as in scikit-learn's ``average_precision_score``; a uniform map scores the
    area share f.

    Source: METHODS section 4.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True], [False, False]])
        >>> float(METRICS.build("pixel_ap")(np.array([[4.0, 1.0], [2.0, 0.0]]), mask))  # (1/1 + 2/3) / 2
        0.8333...
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[ReferenceKind] = "empirical"

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The average precision of each map for each of its masks."""
        order, ends = frames.ranking
        return np.asarray(average_precisions(order, ends, masks.bits, members))

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return self.of_degenerate(frames, masks, members)
