"""Does the largest value of the map hit the annotation?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from tailscope.alignment.attaining import best_on_grid
from tailscope.alignment.pairing import TIE_SHARE, Pairs, informative
from tailscope.alignment.registry import METRICS, ReferenceKind
from tailscope.core import InputError


@METRICS.register("pointing_game")
@dataclass(frozen=True)
class PointingGame:
    """Whether the map's maximum lies in the annotation: 1 hit, 0 miss, higher is better.

    Tied maxima give the share of them that hits. An uninformed map scores the area share of the dilated mask.

    Args:
        tolerance_px: Radius in pixels of the disc by which the mask is dilated: a pixel hits if the centre of some
            mask pixel lies within it. 15 is TorchRay's.
        variant: ``corrected``; ``torchray``: the distance must be below the tolerance, so 0 never hits;
            ``as_published``: hits and pixels are counted over all pixels down to the ``top_k``-th largest value, no
            tolerance, and a map whose ``top_k``-th value is 0 counts nothing (NaN). Pool :meth:`counts` for the
            published score.
        top_k: Of ``as_published`` only.

    Raises:
        InputError: A setting is out of range, or has no effect in this variant.

    Source: Zhang et al., Top-down neural attention by excitation backprop (2018), section 4.1;
    ``torchray/benchmark/pointing_game.py``; as published: ``imba_explain/explain_apis/pointing_game.py``.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, False, False]])
        >>> tied = np.array([[2.0, 2.0, 0.0]])
        >>> [float(METRICS.build("pointing_game", tolerance_px=px)(tied, mask)) for px in (0, 1)]
        [0.5, 1.0]
    """

    tolerance_px: float = 0
    variant: Literal["corrected", "torchray", "as_published"] = "corrected"
    top_k: int = 1

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[ReferenceKind] = "analytic"

    def __post_init__(self) -> None:
        if self.variant not in ("corrected", "torchray", "as_published"):
            raise InputError(f"`variant` must be corrected, torchray or as_published; got {self.variant!r}")
        if not 0 <= self.tolerance_px < float("inf"):
            raise InputError(f"`tolerance_px` must be 0 or more and finite; got {self.tolerance_px}")
        if self.top_k < 1:
            raise InputError(f"`top_k` must be 1 or more; got {self.top_k}")
        published = self.variant == "as_published"
        if (self.top_k != 1 and not published) or (self.tolerance_px and published):
            raise InputError(
                f"`top_k` belongs to the variant as_published and `tolerance_px` to the others; got {self}; drop one"
            )

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Share of the map's maxima that hit; see the protocol."""
        if self.variant == "as_published":
            hits, total = self.counts(saliency, mask)
            return np.asarray(np.where(total > 0, hits / np.maximum(total, 1), np.nan))
        pairs = Pairs.of(saliency, mask)
        maps = informative(pairs.maps)[0]
        peak, lowest = maps.max(axis=1, keepdims=True), maps.min(axis=1, keepdims=True)
        tied = maps >= peak - TIE_SHARE * (peak - lowest)
        return pairs.shaped((tied & self._target(pairs)).sum(axis=1) / tied.sum(axis=1))

    def counts(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
        """Pixels down to the ``top_k``-th largest value: (inside the mask, all), each (...) int64, as published.

        Raises:
            InputError: The map has fewer than ``top_k`` pixels.
        """
        pairs = Pairs.of(saliency, mask)
        size = pairs.maps.shape[1]
        if self.top_k > size:
            raise InputError(f"`top_k` is {self.top_k}; the map has {size} pixels; choose a smaller one")
        threshold = np.partition(pairs.maps, size - self.top_k, axis=1)[:, size - self.top_k, None]
        top = (pairs.maps >= threshold) & (threshold != 0)
        counted = (top & pairs.masks).sum(axis=1), top.sum(axis=1)
        return tuple(count.astype(np.int64).reshape(pairs.lead) for count in counted)

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The area share of the dilated mask."""
        pairs = Pairs.of(saliency, mask)
        return pairs.shaped(self._target(pairs).sum(axis=1) / pairs.masks.shape[1])

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """See :func:`~tailscope.alignment.attaining.best_on_grid`."""
        return best_on_grid(self, mask, grid)

    def _target(self, pairs: Pairs) -> NDArray[np.bool_]:
        """(K, P) the pixels that count as a hit."""
        if self.variant == "as_published" or (self.variant == "corrected" and self.tolerance_px == 0):
            return pairs.masks
        targets = np.zeros_like(pairs.masks)
        for row, mask in enumerate(pairs.masks):
            if mask.any():  # the distance to an empty mask is not defined
                distance = distance_transform_edt(~mask.reshape(pairs.frame)).ravel()
                near = distance < self.tolerance_px if self.variant == "torchray" else distance <= self.tolerance_px
                targets[row] = near
        return targets
