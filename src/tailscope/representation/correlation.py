"""Correlation of every unit of one network with every unit of another, over images and positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError

_CHUNK_BYTES = 64 * 2**20


def activation_correlation(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    pairs: NDArray[np.integer] | None = None,
    *,
    chunk_images: int | None = None,
) -> NDArray[np.float64]:
    """Pearson correlation of all pairs of units, in [-1, 1]; 0 for a dead (constant) unit.

    Read in chunks of images, so both may be memory maps and memory does not grow with the number of images. Means and
    products of each chunk are summed in float64 about the chunk's own mean and then merged, so chunks and the order of
    images change the result by rounding only (below 1e-9, whatever the offset of a unit). The work is U_a · U_b per
    image and position: pool the positions first, (N, U), where that is too much.

    Args:
        a: (N, U_a, h, w) or (N, U_a) floating, finite.
        b: (N, U_b, h, w) or (N, U_b), of the same images and positions.
        pairs: (n, 2) rows of ``a`` and of ``b`` that are held together; by default each row with itself. Half of the
            rows, or shuffled ones, need no copy this way.
        chunk_images: Images read at a time; by default what fits 64 MiB.

    Returns:
        (U_a, U_b) float64.

    Raises:
        InputError: The shapes do not fit, there is no pair, or a value is not finite.

    Source:
        Merging: Chan, Golub and LeVeque 1979. Units compared by correlation: Li et al. 2015, Convergent learning.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([[4.0], [2.0], [0.0]])
        >>> activation_correlation(a, b)
        array([[-1.],
               [ 0.]])
    """
    held = np.arange(len(a))[:, None].repeat(2, axis=1) if pairs is None else np.asarray(pairs)
    _check(a, b, held, every_row=pairs is None)
    positions = int(np.prod(a.shape[2:]))
    step = chunk_images or max(1, _CHUNK_BYTES // (8 * (a.shape[1] + b.shape[1]) * positions))
    moments = _Moments(_by_unit(a[held[:step, 0]]), _by_unit(b[held[:step, 1]]))
    for first in range(step, len(held), step):
        rows = held[first : first + step]
        moments.merge(_Moments(_by_unit(a[rows[:, 0]]), _by_unit(b[rows[:, 1]])))
    return moments.correlation()


class _Moments:
    """Means, squares and products about the means, and ranges, of the units over the samples of a chunk."""

    def __init__(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
        self.count = a.shape[1]
        self.low = [values.min(axis=1) for values in (a, b)]
        self.high = [values.max(axis=1) for values in (a, b)]
        self.mean = [values.mean(axis=1) for values in (a, b)]
        a -= self.mean[0][:, None]
        b -= self.mean[1][:, None]
        self.square = [np.einsum("us,us->u", values, values) for values in (a, b)]
        self.product = a @ b.T

    def merge(self, other: _Moments) -> None:
        """Take up another chunk of the same units."""
        count = self.count + other.count
        step = [theirs - own for own, theirs in zip(self.mean, other.mean, strict=True)]
        share = self.count * other.count / count
        self.product += other.product + share * np.outer(*step)
        for side in (0, 1):
            self.square[side] += other.square[side] + share * step[side] ** 2
            self.mean[side] += step[side] * (other.count / count)
            self.low[side] = np.minimum(self.low[side], other.low[side])
            self.high[side] = np.maximum(self.high[side], other.high[side])
        self.count = count

    def correlation(self) -> NDArray[np.float64]:
        """(U_a, U_b), 0 for a unit whose lowest and highest value are the same."""
        scales = []
        for side in (0, 1):
            live = (self.low[side] < self.high[side]) & (self.square[side] > 0)
            scale = np.zeros(len(live))
            scale[live] = 1 / np.sqrt(self.square[side][live])
            scales.append(scale)
        return np.asarray(np.clip(self.product * scales[0][:, None] * scales[1][None, :], -1, 1))


def _by_unit(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """(U, samples) float64, a copy."""
    units = maps.shape[1]
    values = np.moveaxis(maps, 1, 0).reshape(units, -1).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("activations must be finite; found NaN or infinity: check the network's numbers")
    return np.ascontiguousarray(values)


def _check(a: NDArray[np.floating], b: NDArray[np.floating], held: NDArray[np.integer], *, every_row: bool) -> None:
    if a.ndim < 2 or a.shape[2:] != b.shape[2:] or b.ndim < 2 or (every_row and len(a) != len(b)):
        raise InputError(
            f"`a` and `b` must be (N, U, h, w) or (N, U), of the same images and positions; got {a.shape} and {b.shape}"
        )
    fits = held.ndim == 2 and held.shape[1] == 2 and len(held) > 0 and held.min() >= 0
    if not fits or held[:, 0].max() >= len(a) or held[:, 1].max() >= len(b):
        raise InputError(f"`pairs` must be (n, 2) rows of `a` and `b`, n 1 or more; got shape {held.shape}")
