"""Overlap of the map with the annotation, soft or at a threshold: over the map, over the annotation, over both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import level_sums
from tailscope.alignment.layout import Corners, Levels
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import Frames
from tailscope.alignment.prepared import PreparedMetric, area_shares
from tailscope.alignment.registry import METRICS, ReferenceKind
from tailscope.core import InputError

Variant = Literal["corrected", "as_published"]
Over = Literal["map", "mask", "union"]
_EPSILON = 1e-8  # of the published denominators
_RESIZING = 1e-6  # float32 interpolation may lift a maximum of 1 by its rounding
_SUM_BITS = 62  # of an int64, so that the sum of all levels of a frame fits
_TABLE_WORTH = 16  # masks for one map, from which on a summed-area table is cheaper than the pixels
_NO_CORNERS = Corners(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class _OverlapMetric(PreparedMetric):
    """What the three overlaps share; each adds its denominator and its reference.

    The map is min–max scaled to [0, 1]; with a threshold θ it becomes 1 where the scaled map is θ or more. A
    degenerate map has no scale: its level is taken as drawn evenly from [0, 1], so it is 1/2 everywhere, or 1 − θ with
    a threshold. As published, the map is taken as it is. Levels are counted in 2⁻⁴⁶ (at 224 × 224), so sums are exact.
    """

    threshold: float | None = None
    variant: Variant = "corrected"

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    over: ClassVar[Over]

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"`threshold` must lie in (0, 1), or be None for soft overlap; got {self.threshold}")
        if self.variant not in ("corrected", "as_published"):
            raise InputError(f"`variant` must be corrected or as_published; got {self.variant!r}")

    @property
    def reference_kind(self) -> ReferenceKind:
        """Analytic where soft; over the union empirical."""
        return "analytic" if self.threshold is None and self.over != "union" else "empirical"

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Levels inside over the denominator."""
        inside, whole = self._sums(frames, masks, members)
        area = masks.bits.areas[members]
        total = whole[:, None] + 0 * inside
        below = {"map": total, "mask": area + 0 * inside, "union": area + total - inside}[self.over]
        if self.variant == "as_published":
            return np.asarray(inside / (below + _EPSILON))
        return np.asarray(np.where(area > 0, inside / np.where(area > 0, below, 1.0), np.nan))

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """By formula where soft, NaN but for degenerate maps elsewhere; as published no map counts as degenerate."""
        if self.reference_kind == "analytic":
            return self._formula(frames, masks, members)
        if self.variant == "as_published":
            return np.full((len(frames), members.shape[1]), np.nan)
        return self.of_degenerate(frames, masks, members)

    def _formula(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        return area_shares(frames, masks, members)

    def _sums(
        self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums of levels: (K, n) inside each mask and (K,) over the frame; NaN where a map as published has NaN."""
        values, levels = self._levels(frames)
        corners = masks.corners if members.shape[1] >= _TABLE_WORTH else _NO_CORNERS
        inside, whole = level_sums(values, levels, masks.bits, corners, members, frames.frame[1])
        blank = np.isnan(values).any(axis=1)
        inside[blank], whole[blank] = np.nan, np.nan
        return inside, whole

    def _levels(self, frames: Frames) -> tuple[NDArray[np.float64], Levels]:
        """(K, H·W) maps and how they become levels."""
        count = len(frames)
        unit = 2.0 ** (_SUM_BITS - frames.maps.shape[1].bit_length())
        threshold = np.nan if self.threshold is None else self.threshold
        if self.variant == "corrected":
            spread = np.where(frames.degenerate, 1.0, frames.peak - frames.lowest)
            flat = np.where(frames.degenerate, 0.5 if self.threshold is None else 1 - self.threshold, np.nan)
            return frames.maps, Levels(frames.lowest, spread, flat, threshold, unit)
        values = np.array(frames.given, dtype=np.float64, order="C")
        if (values < 0).any() or (values > 1 + _RESIZING).any():
            raise InputError("as published, `saliency` must lie in [0, 1]; scale it, or use the variant corrected")
        return values, Levels(np.zeros(count), np.ones(count), np.full(count, np.nan), threshold, unit)


@METRICS.register("ior")
@dataclass(frozen=True)
class IoR(_OverlapMetric):
    """Intersection over the salient region, Σa·B / Σa, in [0, 1], higher is better.

    Soft, an uninformed map scores the area share f. Unlike ``mass_inside`` it counts from the map's minimum, not
    from 0.

    Args:
        threshold: θ in (0, 1) on the min–max scaled map, or None for soft overlap.
        variant: ``as_published``: a in [0, 1] unscaled, ε = 1e-8 below, an all-zero map or empty mask scores 0.

    Raises:
        InputError: A setting is out of range.

    Source: METHODS section 4; as published: ``imba_explain/explain_apis/overlap.py``.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, False], [False, False]])
        >>> float(METRICS.build("ior")(np.array([[3.0, 1.0], [0.0, 0.0]]), mask))
        0.75
    """

    over: ClassVar[Over] = "map"


@METRICS.register("iobb")
@dataclass(frozen=True)
class IoBB(_OverlapMetric):
    """Intersection over the annotation, Σa·B / |B|, in [0, 1], higher is better.

    Soft, an uninformed map scores its own mean. A map that is high everywhere scores high: read the excess.

    Args:
        threshold: As in :class:`IoR`.
        variant: As in :class:`IoR`.

    Raises:
        InputError: A setting is out of range.

    Source: as :class:`IoR`.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True], [False, False]])
        >>> float(METRICS.build("iobb")(np.array([[4.0, 1.0], [0.0, 0.0]]), mask))
        0.625
    """

    over: ClassVar[Over] = "mask"

    def _formula(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean of the scaled map."""
        means = self._sums(frames, masks, members)[1] / frames.maps.shape[1]
        return np.asarray(np.where(masks.bits.areas > 0, 1.0, np.nan)[members] * means[:, None])


@METRICS.register("iou")
@dataclass(frozen=True)
class IoU(_OverlapMetric):
    """Intersection over union, Σa·B / (|B| + Σa − Σa·B), in [0, 1], higher is better.

    Args:
        threshold: As in :class:`IoR`.
        variant: As in :class:`IoR`.

    Raises:
        InputError: A setting is out of range.

    Source: as :class:`IoR`.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True], [False, False]])
        >>> float(METRICS.build("iou", threshold=0.5)(np.array([[4.0, 1.0], [2.0, 0.0]]), mask))  # 1 pixel of 3
        0.333...
    """

    over: ClassVar[Over] = "union"
