"""Metrics of the order of the pixels alone: any increasing change of the map leaves them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import grouped_precision, owners, tie_groups, top_area_ious
from tailscope.alignment.attaining import best_on_grid
from tailscope.alignment.masking import PixelLists
from tailscope.alignment.pairing import TIE_SHARE, Pairs, informative, values_if_degenerate
from tailscope.alignment.registry import METRICS, ReferenceKind


@METRICS.register("iou_at_area")
@dataclass(frozen=True)
class IouAtArea:
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

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See the protocol."""
        return self._values(Pairs.of(saliency, mask))

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.CrossScored`."""
        lists = PixelLists.of(masks.reshape(len(masks), -1))
        return np.array([_top_area(row, lists) for row in _rows(saliency)]).reshape(len(saliency), len(masks))

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return values_if_degenerate(Pairs.of(saliency, mask), self._values)

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """See :func:`~tailscope.alignment.attaining.best_on_grid`."""
        return best_on_grid(self, mask, grid)

    def _values(self, pairs: Pairs) -> NDArray[np.float64]:
        maps = informative(pairs.maps)[0]
        values = [_top_area(row, PixelLists.of(mask[None])) for row, mask in zip(maps, pairs.masks, strict=True)]
        return pairs.shaped(np.array(values, dtype=np.float64).reshape(-1))


@METRICS.register("pixel_ap")
@dataclass(frozen=True)
class PixelAp:
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

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See the protocol."""
        return self._values(Pairs.of(saliency, mask))

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.CrossScored`."""
        return _precision(_rows(saliency), masks.reshape(len(masks), -1))

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return values_if_degenerate(Pairs.of(saliency, mask), self._values)

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """See :func:`~tailscope.alignment.attaining.best_on_grid`."""
        return best_on_grid(self, mask, grid)

    def _values(self, pairs: Pairs) -> NDArray[np.float64]:
        maps = informative(pairs.maps)[0]
        values = [_precision(row[None], mask[None])[0] for row, mask in zip(maps, pairs.masks, strict=True)]
        return pairs.shaped(np.array(values, dtype=np.float64).reshape(-1))


def _rows(saliency: NDArray[np.floating]) -> NDArray[np.float64]:
    return informative(np.asarray(saliency, dtype=np.float64).reshape(len(saliency), -1))[0]


def _ranked(row: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Pixels by falling value, the tie group of each pixel, and the end of each group."""
    order = np.argsort(-row, kind="stable").astype(np.int64)
    group, ends = tie_groups(row, order, TIE_SHARE * float(row[order[0]] - row[order[-1]]))
    return order, group, ends


def _top_area(row: NDArray[np.float64], lists: PixelLists) -> NDArray[np.float64]:
    _, group, ends = _ranked(row)
    return np.asarray(top_area_ious(group, ends, lists.starts, lists.pixels))


def _precision(rows: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M, P) maps against (N, P) masks: (M, N)."""
    lists = PixelLists.of(masks)
    starts, members = owners(lists.starts, lists.pixels, masks.shape[1])
    values = np.full((len(rows), len(masks)), np.nan)
    drawn = lists.areas > 0
    for at, row in enumerate(rows):
        order, _, ends = _ranked(row)
        sums = grouped_precision(order, ends, starts, members, len(masks))
        values[at, drawn] = sums[drawn] / lists.areas[drawn]
    return values
