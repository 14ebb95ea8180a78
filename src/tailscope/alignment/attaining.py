"""How well can a map do that lives on a coarse grid? Score a few oracles that know the annotation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear

_PEAKS = 8  # one-hot oracles: enough for the best cell of every metric, few enough to be cheap


def best_on_grid(
    metric: Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float64]],
    mask: NDArray[np.bool_],
    grid: tuple[int, int],
) -> float:
    """The best value among oracle maps on ``grid`` after bilinear resizing to the frame of ``mask``.

    The oracles: the share of each grid cell's bilinear tent that lies inside the mask; its square; the k best cells
    as a plateau, for k growing by about a half each, up to all that touch the mask; and single cells, the eight best.
    The value is attained by one of them, so it is a lower bound of the best attainable value.

    Args:
        metric: A metric for which higher is better.
        mask: (H, W) bool.
        grid: (h, w) of the saliency maps.

    Returns:
        NaN for an empty mask.

    Raises:
        InputError: The mask is not (H, W), or the grid has no cell.

    Example:
        >>> import numpy as np
        >>> from tailscope.alignment import METRICS
        >>> left = np.array([[True, False], [True, False]])
        >>> METRICS.build("mass_inside").attainable(left, (2, 2)), METRICS.build("mass_inside").attainable(left, (1, 1))
        (1.0, 0.5)
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 2 or min(grid) < 1:
        raise InputError(f"expected one (H, W) mask and a grid of 1 cell or more; got {mask.shape} and {grid}")
    if not mask.any():
        return float("nan")
    maps = resize_bilinear(_oracles(_shares(mask, grid)), (mask.shape[0], mask.shape[1]))
    return float(metric(maps, np.broadcast_to(mask, maps.shape)).max())


def _shares(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float64]:
    """(h, w) share of the mass of each cell's tent that lies inside the mask."""
    rows = resize_bilinear(np.eye(grid[0]), (mask.shape[0], grid[0])).astype(np.float64)
    columns = resize_bilinear(np.eye(grid[1]), (mask.shape[1], grid[1])).astype(np.float64)
    mass = np.outer(rows.sum(axis=0), columns.sum(axis=0))
    # A grid finer than the frame has cells that no pixel reads.
    return np.asarray((rows.T @ mask @ columns) / np.where(mass > 0, mass, 1.0))


def _oracles(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q, h, w) candidate maps."""
    order = np.argsort(-shares, axis=None, kind="stable")
    rank = np.empty(shares.size, dtype=np.int64)
    rank[order] = np.arange(shares.size)
    touching = int((shares > 0).sum())
    sizes = sorted({touching, *(int(1.5**power) for power in range(2, 20) if 1.5**power < touching)})
    plateaus = np.array([(rank < size).reshape(shares.shape) for size in sizes], dtype=np.float64)
    peaks = np.eye(shares.size)[order[:_PEAKS]].reshape(-1, *shares.shape)
    return np.concatenate([np.stack([shares, shares**2]), plateaus, peaks])
