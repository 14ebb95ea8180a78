"""Every activation against every mask of a class: the counts behind any reassignment of the masks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailscope.dissection._count_kernels import rounding_limits
from tailscope.dissection._cross_kernels import add_pooled, count_runs
from tailscope.dissection.cells import CellGrid
from tailscope.dissection.threads import in_blocks


class CrossCounts(NamedTuple):
    """Pixels of n activations, in all and inside each of P masks.

    Attributes:
        activated: (n, U) int64.
        inside: (n, U, P) int32.
    """

    activated: NDArray[np.int64]
    inside: NDArray[np.int32]


def row_prefixes(bank: NDArray[np.bool_]) -> NDArray[np.unsignedinteger]:
    """(P, H, W) bool to (H, W+1, P): mask pixels left of each pixel, the masks side by side.

    In the smallest unsigned integers that hold W, so one byte per mask and pixel up to 255 columns.

    Example:
        >>> import numpy as np
        >>> row_prefixes(np.array([[[True, False, True]]]))[0, :, 0].tolist()
        [0, 1, 1, 2]
    """
    count, height, width = bank.shape
    prefixes = np.zeros((height, width + 1, count), dtype=np.min_scalar_type(width))
    np.cumsum(bank.transpose(1, 2, 0), axis=1, dtype=prefixes.dtype, out=prefixes[:, 1:])
    return prefixes


def cross_counts(
    maps: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    prefixes: NDArray[np.unsignedinteger],
    cells: CellGrid,
) -> CrossCounts:
    """Pixels of every image's activation inside *every* mask, exactly.

    Activated is what lies strictly above the threshold after bilinear upsampling, the same pixels as everywhere in
    this room. In each pixel row they form runs, and the pixels of a run inside a mask are the difference of two
    prefix sums of the mask's row; the prefix sums of the P masks lie side by side, so that one pass over a run serves
    all of them. Each thread counts images of its own. The caller gives as many units and masks at a time as memory
    allows: the result has n·U·P integers.

    Args:
        maps: (n, U, h, w) float32, finite.
        thresholds: (U,) float32.
        prefixes: (H, W+1, P) from :func:`row_prefixes`.
        cells: From :func:`tailscope.dissection.cells.cell_grid`.

    Returns:
        The counts.

    Example:
        >>> import numpy as np
        >>> from tailscope.dissection.cells import cell_grid
        >>> maps = np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]], dtype=np.float32)
        >>> masks = np.array([[[True, True, False, False]], [[False, False, False, True]]])
        >>> cross_counts(maps, np.float32([0.5]), row_prefixes(masks), cell_grid((1, 2), (1, 4))).inside[:, 0].tolist()
        [[2, 0], [0, 1]]
    """
    ready, levels = np.ascontiguousarray(maps), (thresholds, rounding_limits(thresholds))
    activated = np.zeros(maps.shape[:2], dtype=np.int64)
    inside = np.zeros((*maps.shape[:2], prefixes.shape[2]), dtype=np.int32)
    in_blocks(
        lambda first, last: count_runs(ready, levels, prefixes, cells, (activated, inside), (first, last)), len(maps)
    )
    return CrossCounts(activated, inside)


def pool_over(inside: NDArray[np.int32], holders: NDArray[np.int32], pooled: NDArray[np.int64]) -> None:
    """Add to ``pooled`` what each reassignment of the masks gives: Σ over masks of the pixels at their holders.

    Args:
        inside: (n, U, P) int32 from :func:`cross_counts`.
        holders: (R, P) image that each reassignment gives the mask to.
        pooled: (U, R) int64, added to.
    """
    in_blocks(lambda first, last: add_pooled(inside, holders, (first, last), pooled), inside.shape[1])
