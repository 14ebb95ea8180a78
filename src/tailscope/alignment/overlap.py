"""Overlap of the map with the annotation, soft or at a threshold: over the map, over the annotation, over both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import inside_sums
from tailscope.alignment.attaining import best_on_grid
from tailscope.alignment.masking import PixelLists
from tailscope.alignment.pairing import Pairs, informative, values_if_degenerate
from tailscope.alignment.registry import METRICS, ReferenceKind
from tailscope.core import InputError

Variant = Literal["corrected", "as_published"]
Over = Literal["map", "mask", "union"]
_EPSILON = 1e-8  # of the published denominators
_RESIZING = 1e-6  # float32 interpolation may lift a maximum of 1 by its rounding


@dataclass(frozen=True)
class _Overlap:
    """What the three overlaps share; each metric holds one and adds only its denominator.

    The map is min–max scaled to [0, 1]; with a threshold θ it becomes 1 where the scaled map is θ or more. A
    degenerate map has no scale: its level is taken as drawn evenly from [0, 1], so it is 1/2 everywhere, or 1 − θ with
    a threshold. As published, the map is taken as it is.
    """

    over: Over
    threshold: float | None
    variant: Variant

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"`threshold` must lie in (0, 1), or be None for soft overlap; got {self.threshold}")
        if self.variant not in ("corrected", "as_published"):
            raise InputError(f"`variant` must be corrected or as_published; got {self.variant!r}")

    def values(self, pairs: Pairs) -> NDArray[np.float64]:
        """The value of each pair, in the leading shape."""
        scaled = self.scaled(pairs.maps)
        inside = (scaled * pairs.masks).sum(axis=1)
        values = self._ratio(inside, scaled.sum(axis=1), pairs.masks.sum(axis=1))
        return values.reshape(pairs.lead) if self.variant == "as_published" else pairs.shaped(values)

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(M, H, W) maps against (N, H, W) masks: (M, N)."""
        scaled = self.scaled(np.asarray(saliency, dtype=np.float64).reshape(len(saliency), -1))
        lists = PixelLists.of(masks.reshape(len(masks), -1))
        inside = inside_sums(scaled, lists.starts, lists.pixels)
        values = self._ratio(inside, scaled.sum(axis=1)[:, None], lists.areas[None, :])
        if self.variant == "as_published":
            return values
        return np.asarray(np.where(lists.areas > 0, values, np.nan))

    def of_degenerate(self, pairs: Pairs) -> NDArray[np.float64]:
        """The value where the map counts as uniform, NaN elsewhere; as published no map does."""
        if self.variant == "as_published":
            return np.full(pairs.lead, np.nan)
        return values_if_degenerate(pairs, self.values)

    def scaled(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, P) maps as the ratio sees them, in [0, 1]."""
        if self.variant == "as_published":
            if (maps < 0).any() or (maps > 1 + _RESIZING).any():
                raise InputError("as published, `saliency` must lie in [0, 1]; scale it, or use the variant corrected")
            return maps if self.threshold is None else (maps >= self.threshold).astype(np.float64)
        maps, degenerate = informative(maps)
        lowest = maps.min(axis=1, keepdims=True)
        spread = np.where(degenerate[:, None], 1.0, maps.max(axis=1, keepdims=True) - lowest)
        scaled = (maps - lowest) / spread
        if self.threshold is None:
            return np.where(degenerate[:, None], 0.5, scaled)
        return np.where(degenerate[:, None], 1 - self.threshold, scaled >= self.threshold)

    def _ratio(
        self, inside: NDArray[np.float64], whole: NDArray[np.float64], area: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        below = {"map": whole, "mask": area + 0 * whole, "union": area + whole - inside}[self.over]
        if self.variant == "as_published":
            return np.asarray(inside / (below + _EPSILON))
        return np.asarray(inside / np.where(area > 0, below, 1.0))


@dataclass(frozen=True)
class _OverlapMetric(ABC):
    """What the three metrics share as members of the registry; each adds its denominator and its reference."""

    threshold: float | None = None
    variant: Variant = "corrected"

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    over: ClassVar[Over]

    def __post_init__(self) -> None:
        self._overlap()

    @property
    @abstractmethod
    def reference_kind(self) -> ReferenceKind:
        """Whether the value of an uninformed map is known by formula."""

    @abstractmethod
    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The value of an uninformed map, where it is known by formula."""

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See the protocol."""
        return self._overlap().values(Pairs.of(saliency, mask))

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.CrossScored`."""
        return self._overlap().cross(saliency, masks)

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """See :func:`~tailscope.alignment.attaining.best_on_grid`."""
        return best_on_grid(self, mask, grid)

    def _overlap(self) -> _Overlap:
        return _Overlap(self.over, self.threshold, self.variant)


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

    @property
    def reference_kind(self) -> ReferenceKind:
        """Analytic where soft."""
        return "analytic" if self.threshold is None else "empirical"

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The area share of the mask; with a threshold NaN, but for degenerate maps."""
        pairs = Pairs.of(saliency, mask)
        if self.threshold is None:
            return pairs.shaped(pairs.areas)
        return self._overlap().of_degenerate(pairs)


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

    @property
    def reference_kind(self) -> ReferenceKind:
        """Analytic where soft."""
        return "analytic" if self.threshold is None else "empirical"

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The mean of the scaled map; with a threshold NaN, but for degenerate maps."""
        pairs = Pairs.of(saliency, mask)
        if self.threshold is None:
            return pairs.shaped(self._overlap().scaled(pairs.maps).mean(axis=1))
        return self._overlap().of_degenerate(pairs)


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

    @property
    def reference_kind(self) -> ReferenceKind:
        """Empirical: the other masks of the class."""
        return "empirical"

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return self._overlap().of_degenerate(Pairs.of(saliency, mask))
