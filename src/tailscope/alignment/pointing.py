"""Does the largest value of the map hit the annotation?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import counts_down_to
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import TIE_SHARE, Frames, Pairs
from tailscope.alignment.prepared import PreparedMetric
from tailscope.alignment.registry import METRICS, ReferenceKind
from tailscope.core import InputError


@METRICS.register("pointing_game")
@dataclass(frozen=True)
class PointingGame(PreparedMetric):
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

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of the map's maxima that hit."""
        if self.variant == "as_published":
            hits, total = self._counts(frames, masks, members)
            return np.asarray(np.where(total > 0, hits / np.maximum(total, 1), np.nan))
        limits = frames.peak - TIE_SHARE * (frames.peak - frames.lowest)
        hits, total = counts_down_to(frames.maps, limits, self._target(masks).bits, members)
        return np.asarray(np.where(masks.bits.areas[members] > 0, hits / total[:, None], np.nan))

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The area share of the dilated mask."""
        shares = np.where(masks.bits.areas > 0, self._target(masks).shares, np.nan)[members]
        return np.array(np.broadcast_to(shares, (len(frames), members.shape[1])))

    def counts(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
        """Pixels down to the ``top_k``-th largest value: (inside the mask, all), each (...) int64, as published.

        Raises:
            InputError: The map has fewer than ``top_k`` pixels.
        """
        pairs = Pairs.of(saliency, mask)
        hits, total = self._counts(pairs.frames, pairs.masks, pairs.members)
        return hits.reshape(pairs.lead), total.reshape(pairs.lead)

    def _counts(
        self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(K, n) pixels inside each mask and (K, 1) all."""
        values = np.array(frames.given, dtype=np.float64, order="C")
        size = values.shape[1]
        if self.top_k > size:
            raise InputError(f"`top_k` is {self.top_k}; the map has {size} pixels; choose a smaller one")
        threshold = np.partition(values, size - self.top_k, axis=1)[:, size - self.top_k]
        hits, total = counts_down_to(values, np.where(threshold != 0, threshold, np.inf), masks.bits, members)
        return hits, total[:, None]

    def _target(self, masks: PackedMasks) -> PackedMasks:
        """The pixels that count as a hit."""
        if self.variant == "as_published" or (self.variant == "corrected" and self.tolerance_px == 0):
            return masks
        return masks.dilated(self.tolerance_px, below=self.variant == "torchray")
