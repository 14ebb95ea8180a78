"""Bilinear resizing with half-pixel centres, the one that every lens uses (torch: ``align_corners=False``)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def resize_bilinear(maps: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize maps by bilinear interpolation between pixel centres; the border value is continued outside.

    Args:
        maps: (..., h, w) floating.
        size: (H, W) of the result.

    Returns:
        (..., H, W) float32. Each value is a convex combination of at most four values of its map, so no maximum grows.

    Example:
        >>> import numpy as np
        >>> resize_bilinear(np.array([[0.0, 1.0]]), (1, 4)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    maps = np.asarray(maps, dtype=np.float32)
    if maps.shape[-2:] == tuple(size):
        return maps
    rows = _weights(maps.shape[-2], size[0])
    columns = _weights(maps.shape[-1], size[1])
    return np.asarray(np.matmul(np.matmul(rows, maps), columns.T), dtype=np.float32)


@lru_cache(maxsize=64)
def _weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) float32 matrix of interpolation weights; rows sum to 1."""
    position = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, source - 1)
    share = position - low
    weights = np.zeros((target, source))
    np.add.at(weights, (np.arange(target), low), 1 - share)
    np.add.at(weights, (np.arange(target), high), share)
    result: NDArray[np.float32] = weights.astype(np.float32)
    result.flags.writeable = False
    return result
