"""From what the caller gives to maps that every metric can score: checked, float64, degenerate maps made uniform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment._kernels import level_out, rank_single, tie_ends
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.remembering import Remembering
from tailscope.core import InputError

TIE_SHARE = 1e-6  # of the map's range; METHODS section 4
_ROUNDING = 1e-6  # a range below this share of the largest magnitude is float32 rounding of a constant map


@dataclass(frozen=True, eq=False)
class Frames(Remembering):
    """K maps on the frame of the masks, as the metrics read them.

    Args:
        given: (K, H·W) floating, as given.
        maps: (K, H·W) float64 in [-1, 1]: the same but for a power of two, all 1 where degenerate.
        lowest: (K,) smallest value of ``maps``.
        peak: (K,) largest value of ``maps``.
        degenerate: (K,) bool.
        frame: (H, W).
    """

    given: NDArray[np.floating]
    maps: NDArray[np.float64]
    lowest: NDArray[np.float64]
    peak: NDArray[np.float64]
    degenerate: NDArray[np.bool_]
    frame: tuple[int, int]

    @classmethod
    def of(cls, saliency: NDArray[np.floating]) -> Frames:
        """Read (K, H, W) maps."""
        saliency = np.asarray(saliency)
        frame = (int(saliency.shape[1]), int(saliency.shape[2]))
        given = saliency.reshape(len(saliency), frame[0] * frame[1])
        maps = np.array(given, dtype=np.float64, order="C")
        return cls(given, maps, *level_out(maps, _ROUNDING), frame)

    def __len__(self) -> int:
        return len(self.maps)

    def take(self, rows: NDArray[np.int64]) -> Frames:
        """The maps of the ``rows``; this object itself where they are all."""
        if rows.size == len(self):
            return self

        def taken() -> Frames:
            lowest, peak, degenerate = self.lowest[rows], self.peak[rows], self.degenerate[rows]
            return Frames(self.given[rows], self.maps[rows], lowest, peak, degenerate, self.frame)

        return self.once(("take", rows.tobytes()), taken)

    @property
    def ranking(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(K, H·W) pixels by falling value, and the ends of the groups of ties; see the kernel ``tie_ends``."""
        return self.once("ranking", self._ranked)

    def _ranked(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        tolerances = TIE_SHARE * (self.peak - self.lowest)
        if self.given.dtype.itemsize <= np.dtype(np.float32).itemsize:
            return rank_single(self.maps, tolerances)
        order = np.argsort(-self.maps, axis=1, kind="stable").astype(np.int32)
        ends = np.zeros_like(order)
        for values, tolerance, row in zip(np.take_along_axis(self.maps, order, axis=1), tolerances, ends, strict=True):
            tie_ends(values, tolerance, row)
        return order, ends


@dataclass(frozen=True, eq=False)
class Pairs:
    """Maps and the mask of each.

    Args:
        frames: K maps.
        masks: Some masks.
        members: (K, 1) which of them belongs to each map.
        lead: The leading shape of the result; its size is K.
    """

    frames: Frames
    masks: PackedMasks
    members: NDArray[np.int64]
    lead: tuple[int, ...]

    @classmethod
    def of(cls, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> Pairs:
        """Broadcast the leading axes.

        Raises:
            InputError: A map is not floating, a mask not bool, or the two do not fit.
        """
        saliency, mask = np.asarray(saliency), np.asarray(mask)
        _check(saliency, mask)
        try:
            lead = np.broadcast_shapes(saliency.shape[:-2], mask.shape[:-2])
        except ValueError:
            raise InputError(
                f"the leading axes of `saliency` {saliency.shape} and `mask` {mask.shape} do not fit; give one mask "
                "for each map"
            ) from None
        frame = (int(saliency.shape[-2]), int(saliency.shape[-1]))
        maps = np.broadcast_to(saliency, lead + frame).reshape(int(np.prod(lead, dtype=np.int64)), *frame)
        numbers = np.arange(int(np.prod(mask.shape[:-2], dtype=np.int64))).reshape(mask.shape[:-2])
        members = np.array(np.broadcast_to(numbers, lead), dtype=np.int64).reshape(-1, 1)
        return cls(Frames.of(maps), PackedMasks.of(mask.reshape(-1, *frame)), members, lead)


def degenerate_maps(saliency: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which maps say nothing: not finite, constant, or nowhere positive.

    Args:
        saliency: (..., H, W) floating.

    Returns:
        (...) bool.

    Example:
        >>> import numpy as np
        >>> degenerate_maps(np.array([[[0.0, 1.0]], [[0.3, 0.3]], [[-2.0, 0.0]], [[np.nan, 1.0]]])).tolist()
        [False, True, True, True]
    """
    saliency = np.asarray(saliency)
    flat = saliency.reshape(*saliency.shape[:-2], -1)
    return informative(flat)[1]


def informative(maps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Bring each map to magnitudes of 1 or less, and make degenerate maps uniform.

    Maps are divided by a power of two, which is exact, so that neither huge nor tiny values overflow in a sum.

    Args:
        maps: (..., P) floating.

    Returns:
        maps: (..., P) float64 in [-1, 1], all 1 where degenerate.
        degenerate: (...) bool.
    """
    lead = maps.shape[:-1]
    scaled = np.array(maps, dtype=np.float64, order="C").reshape(int(np.prod(lead, dtype=np.int64)), maps.shape[-1])
    degenerate = level_out(scaled, _ROUNDING)[2]
    return scaled.reshape(maps.shape), degenerate.reshape(lead)


def _check(saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    if not np.issubdtype(saliency.dtype, np.floating):
        raise InputError(f"`saliency` must be floating; got {saliency.dtype}; convert it, and divide 8-bit maps by 255")
    if mask.dtype != np.bool_:
        raise InputError(f"`mask` must be bool; got {mask.dtype}; compare it with a threshold first")
    if min(saliency.ndim, mask.ndim) < 2 or saliency.shape[-2:] != mask.shape[-2:] or 0 in mask.shape[-2:]:
        raise InputError(
            f"`saliency` and `mask` must end in the same (H, W), 1 pixel or more; got {saliency.shape} and "
            f"{mask.shape}; resize the map with tailscope.core.resize_bilinear"
        )
