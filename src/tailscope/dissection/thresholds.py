"""Exact activation thresholds over any number of images, in flat memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection._order_kernels import add_histogram
from tailscope.dissection.top_values import MOST_BYTES, TopValues

_LEVELS = ((21, 11), (10, 11), (0, 10))  # (bits below, bits resolved) of the three passes over 32-bit keys
_CHUNK_BYTES = 32 * 2**20


class Activations(Protocol):
    """(N, U, h, w) floating, sliced along its first axes: a NumPy array, or a memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, U, h, w)."""

    def __getitem__(self, index: Any, /) -> Any:
        """A part of it, as an array."""


def activation_thresholds(
    activations: Activations,
    top_fraction: float = 0.005,
    *,
    at: Literal["grid", "upsampled"] = "grid",
    size: tuple[int, int] | None = None,
    variant: Literal["corrected", "netdissect"] = "corrected",
    chunk_images: int | None = None,
) -> NDArray[np.float32]:
    """Per unit, the value that at most ``top_fraction`` of all its activations exceed, over the whole reference set.

    An exact order statistic, so it does not depend on chunks or on order. One pass over the images keeps the top share
    of each unit. Where that takes more than 256 MiB, three passes resolve 11, 11 and 10 bits of the ordered float32 key
    instead, and memory does not grow with the number of images. A stream that is seen once:
    :class:`~tailscope.dissection.streaming_thresholds.ThresholdAccumulator`.

    Args:
        activations: (N, U, h, w) floating, finite; read in chunks.
        top_fraction: Strict upper share, in [0, 1).
        at: ``grid``: the layer's own values. ``upsampled``: the values on the mask grid.
        size: (H, W) of the mask grid, for ``upsampled``.
        variant: ``corrected``: the order statistic. ``netdissect``: the (1 - top_fraction) quantile with linear
            interpolation between its two neighbours.
        chunk_images: Images read at a time; by default what fits 32 MiB.

    Returns:
        (U,) float32.

    Raises:
        InputError: No images, a value that is not finite, or a setting out of range.

    Source:
        METHODS section 5; ``netdissect``: Bau et al. 2017, section 2.2.

    Example:
        >>> import numpy as np
        >>> ten = np.arange(10.0).reshape(10, 1, 1, 1)
        >>> activation_thresholds(ten, 0.2), activation_thresholds(ten, 0.25, variant="netdissect")
        (array([7.], dtype=float32), array([6.75], dtype=float32))
    """
    _check(activations, top_fraction, at, size)
    images, units, height, width = activations.shape
    if at == "upsampled" and size is not None:
        height, width = size

    def chunks() -> Iterator[NDArray[np.float32]]:
        return _chunks(activations, (height, width), chunk_images)

    count = images * height * width
    if variant == "corrected":
        rank = count - 1 - upper_rank(count, top_fraction)
        return _order_statistics(chunks, units, count, (rank,))[:, 0]
    position = (count - 1) * (1.0 - top_fraction)
    below = math.floor(position)
    pair = _order_statistics(chunks, units, count, (below, min(below + 1, count - 1))).astype(np.float64)
    return np.asarray(pair[:, 0] + (pair[:, 1] - pair[:, 0]) * (position - below), dtype=np.float32)


def fraction_thresholds(activations: Activations, fractions: tuple[float, ...]) -> NDArray[np.float32]:
    """(F, U) thresholds of every unit at F top fractions, the same as :func:`activation_thresholds` gives for each.

    One pass over the images keeps the top share of the largest fraction that fits 256 MiB, in which the smaller ones
    lie; the larger ones take three passes together.

    Raises:
        InputError: No images, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> fraction_thresholds(np.arange(10.0).reshape(10, 1, 1, 1), (0.1, 0.3)).tolist()
        [[8.0], [6.0]]
    """
    _check(activations, 0.0, "grid", None)
    images, units, height, width = activations.shape
    count = images * height * width
    found = np.empty((len(fractions), units), dtype=np.float32)
    kept = np.array([upper_rank(count, fraction) for fraction in fractions])
    fits = np.array([TopValues.size(units, rank + 1) <= MOST_BYTES for rank in kept.tolist()], dtype=bool)
    for some in (fits, ~fits):
        if some.any():
            ranks = tuple((count - 1 - kept[some]).tolist())
            found[some] = _order_statistics(lambda: _chunks(activations, (height, width)), units, count, ranks).T
    return found


def activation_range(
    activations: Activations, chunk_images: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smallest and largest activation of every unit over all images; a dead unit has both equal.

    Returns:
        Two (U,) float32.

    Raises:
        InputError: There are no images.

    Example:
        >>> import numpy as np
        >>> activation_range(np.array([[[[1.0, 2.0]]], [[[0.0, 1.0]]]]))
        (array([0.], dtype=float32), array([2.], dtype=float32))
    """
    _check(activations, 0.0, "grid", None)
    lowest, highest = np.full((2, activations.shape[1]), [[np.inf], [-np.inf]], dtype=np.float32)
    for rows in _slices(activations, activations.shape[2] * activations.shape[3], chunk_images):
        maps = np.asarray(activations[rows], dtype=np.float32)
        lowest = np.minimum(lowest, maps.min(axis=(0, 2, 3)))
        highest = np.maximum(highest, maps.max(axis=(0, 2, 3)))
    return lowest, highest


def image_slices(activations: Activations, chunk_images: int | None = None) -> Iterator[slice]:
    """Consecutive slices of images whose maps fit 32 MiB on their own grid (at least one image each)."""
    return _slices(activations, activations.shape[2] * activations.shape[3], chunk_images)


def upper_rank(count: int, share: float) -> int:
    """The largest k with k / count ≤ share: so many values may lie strictly above the threshold.

    >>> upper_rank(100, 0.29)
    29
    """
    k = math.floor(count * share)
    return k + 1 if (k + 1) / count <= share else k


def key_values(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The float32 values of ordered keys.

    >>> key_values(np.array([2**31, 2**31 + 0x3F800000, 2**31 - 0x3F800000]))
    array([ 0.,  1., -1.], dtype=float32)
    """
    offset = keys - 2**31
    bits = np.where(offset >= 0, offset, 2**31 - offset).astype(np.uint32)
    return bits.view(np.float32)


def _chunks(
    activations: Activations, size: tuple[int, int], chunk_images: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """(n, U, H·W) of consecutive images, at this size."""
    for rows in _slices(activations, size[0] * size[1], chunk_images):
        maps = np.asarray(activations[rows], dtype=np.float32)
        yield resize_bilinear(maps, size).reshape(len(maps), maps.shape[1], -1)


def _order_statistics(
    chunks: Callable[[], Iterator[NDArray[np.float32]]], units: int, count: int, ranks: tuple[int, ...]
) -> NDArray[np.float32]:
    """(U, T) values at the ranks, counted from the smallest of ``count``; in one pass where the top share fits."""
    keep = count - min(ranks)
    if TopValues.size(units, keep) > MOST_BYTES:
        return _resolved(chunks, units, ranks)
    top = TopValues(units, keep)
    for values in chunks():
        top.add(values)
    return np.stack([top.ranked(count - 1 - rank) for rank in ranks], axis=1)


def _resolved(
    chunks: Callable[[], Iterator[NDArray[np.float32]]], units: int, ranks: tuple[int, ...]
) -> NDArray[np.float32]:
    """The same in three passes and flat memory: each resolves further bits of the keys at the ranks."""
    prefix = np.zeros((units, len(ranks)), dtype=np.int64)
    remaining = np.tile(np.array(ranks, dtype=np.int64), (units, 1))
    for shift, bits in _LEVELS:
        histogram = np.zeros((units, len(ranks), 1 << bits), dtype=np.int64)
        for values in chunks():
            if not np.isfinite(values).all():
                raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")
            add_histogram(np.require(values, requirements=["C", "W"]), prefix, shift, bits, histogram)
        reached = np.cumsum(histogram, axis=2)
        digit = np.argmax(reached > remaining[..., None], axis=2)
        at_digit = digit[..., None]
        below = np.take_along_axis(reached, at_digit, 2) - np.take_along_axis(histogram, at_digit, 2)
        remaining -= below[..., 0]
        prefix = (prefix << bits) + digit
    return key_values(prefix)


def _slices(activations: Activations, pixels: int, chunk_images: int | None) -> Iterator[slice]:
    step = chunk_images or max(1, _CHUNK_BYTES // (4 * activations.shape[1] * pixels))
    for start in range(0, activations.shape[0], step):
        yield slice(start, min(start + step, activations.shape[0]))


def _check(activations: Activations, top_fraction: float, at: str, size: tuple[int, int] | None) -> None:
    if len(activations.shape) != 4 or min(activations.shape) < 1:
        raise InputError(f"`activations` must be (N, U, h, w), none of them 0; got {activations.shape}")
    if not 0 <= top_fraction < 1:
        raise InputError(f"`top_fraction` must be in [0, 1); got {top_fraction}")
    if at not in ("grid", "upsampled"):
        raise InputError(f"`at` must be grid or upsampled; got {at!r}")
    if at == "upsampled" and size is None:
        raise InputError("`at` is upsampled, so `size` must be (H, W) of the mask grid; got None")
