"""How much of the saliency lies inside the annotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import positive_shares
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import Frames
from tailscope.alignment.prepared import PreparedMetric, area_shares
from tailscope.alignment.registry import METRICS, ReferenceKind


@METRICS.register("mass_inside")
@dataclass(frozen=True)
class MassInside(PreparedMetric):
    """Share of the positive saliency that lies inside the annotation, in [0, 1], higher is better.

    An uninformed map scores the area share f of the mask, whatever its smoothness. This is the primary metric.

    Source: METHODS section 4; the "energy pointing game" of Wang et al., Score-CAM (2020), section 4.3.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, False], [False, False]])
        >>> metric = METRICS.build("mass_inside")
        >>> float(metric(np.array([[3.0, 1.0], [0.0, -5.0]]), mask)), float(metric(np.ones((2, 2)), mask))
        (0.75, 0.25)
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[ReferenceKind] = "analytic"

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Positive saliency inside over all positive saliency."""
        return np.asarray(positive_shares(frames.maps, masks.bits, members, frames.frame[1]))

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The area share of the mask."""
        return area_shares(frames, masks, members)
