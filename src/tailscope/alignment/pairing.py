"""From what the caller gives to pairs that every metric can score: checked, float64, degenerate maps made uniform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError

TIE_SHARE = 1e-6  # of the map's range; METHODS section 4
_ROUNDING = 1e-6  # a range below this share of the largest magnitude is float32 rounding of a constant map


@dataclass(frozen=True)
class Pairs:
    """Maps and masks as lists of equal length.

    Args:
        maps: (K, H·W) float64 as given.
        masks: (K, H·W) bool.
        lead: The leading shape of the result; its size is K.
        frame: (H, W).
    """

    maps: NDArray[np.float64]
    masks: NDArray[np.bool_]
    lead: tuple[int, ...]
    frame: tuple[int, int]

    @classmethod
    def of(cls, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> Pairs:
        """Broadcast the leading axes and flatten the pixels.

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
        pixels = frame[0] * frame[1]
        count = int(np.prod(lead, dtype=np.int64))
        maps = np.broadcast_to(saliency, lead + frame).reshape(count, pixels).astype(np.float64)
        masks = np.broadcast_to(mask, lead + frame).reshape(count, pixels)
        return cls(maps, masks, lead, frame)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(K,) share of the frame that each mask covers; NaN for an empty mask."""
        inside = self.masks.sum(axis=1)
        return np.where(inside > 0, inside / self.masks.shape[1], np.nan)

    def shaped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K,) values in the leading shape, NaN where the mask is empty."""
        return np.asarray(np.where(self.masks.any(axis=1), values, np.nan).reshape(self.lead))


def values_if_degenerate(pairs: Pairs, score: Callable[[Pairs], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The scores of the degenerate maps, which count as uniform and are their own reference; NaN for all others.

    Args:
        pairs: All pairs.
        score: From K pairs to (K,) values; it sees the degenerate ones only.

    Returns:
        Values in the leading shape.
    """
    degenerate = informative(pairs.maps)[1]
    values = np.full(degenerate.size, np.nan)
    if degenerate.any():
        few = Pairs(pairs.maps[degenerate], pairs.masks[degenerate], (int(degenerate.sum()),), pairs.frame)
        values[degenerate] = score(few)
    return values.reshape(pairs.lead)


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
    flat = saliency.reshape(*saliency.shape[:-2], -1).astype(np.float64)
    return informative(flat)[1]


def informative(maps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Bring each map to magnitudes of 1 or less, and make degenerate maps uniform.

    Maps are divided by a power of two, which is exact, so that neither huge nor tiny values overflow in a sum.

    Args:
        maps: (..., P) float64.

    Returns:
        maps: (..., P) float64 in [-1, 1], all 1 where degenerate.
        degenerate: (...) bool.
    """
    finite = np.isfinite(maps).all(axis=-1, keepdims=True)
    clean = np.where(finite, maps, 0.0)
    magnitude = np.abs(clean).max(axis=-1, keepdims=True)
    exponent = np.frexp(magnitude)[1]
    scaled = np.ldexp(clean, -exponent)
    peak, lowest = scaled.max(axis=-1, keepdims=True), scaled.min(axis=-1, keepdims=True)
    degenerate = ~finite | (peak <= 0) | (peak - lowest <= _ROUNDING * np.ldexp(magnitude, -exponent))
    return np.where(degenerate, 1.0, scaled), degenerate[..., 0]


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
