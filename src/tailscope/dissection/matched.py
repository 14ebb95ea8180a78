"""``iou_matched``: units compared with a concept at the concept's own area, so that size and prevalence drop out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, generator
from tailscope.dissection._count_kernels import count_above
from tailscope.dissection._order_kernels import upsampled_order_keys
from tailscope.dissection.cells import CellGrid, cell_grid, cell_sums
from tailscope.dissection.counts import ratio
from tailscope.dissection.thresholds import key_values


class MatchedIoU(NamedTuple):
    """IoU of every unit with one concept on its matched set.

    Attributes:
        value: (U,) float64 in [0, 1]; NaN if the concept has no pixel.
        threshold: (U,) float32; -inf where the concept fills every pixel.
    """

    value: NDArray[np.float64]
    threshold: NDArray[np.float32]


def matched_negatives(
    name: str, positives: NDArray[np.int64], negatives: NDArray[np.int64], image_ids: NDArray[np.str_], seed: int
) -> NDArray[np.int64]:
    """As many negative images as positives, drawn once for all runs; all of them where there are fewer.

    The draw depends on the seed, the class and the image ids alone: not on the order of files, nor on the run.

    Args:
        name: The class.
        positives: Rows of its annotated images.
        negatives: Rows of its negative images.
        image_ids: (N,) ids of all rows.
        seed: The experiment's root seed.

    Returns:
        Rows, in the order of their ids.

    Example:
        >>> import numpy as np
        >>> matched_negatives("mass", np.array([0]), np.array([1]), np.array(["a", "b"]), 0)
        array([1])
    """
    ordered = in_id_order(negatives, image_ids)
    if len(ordered) <= len(positives):
        return ordered
    drawn = generator(seed, "dissection", "negatives", name).permutation(len(ordered))[: len(positives)]
    return ordered[np.sort(drawn)]


def in_id_order(rows: NDArray[np.int64], image_ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Rows sorted by image id, the order that no file system can change.

    >>> import numpy as np
    >>> in_id_order(np.array([0, 1]), np.array(["b", "a"]))
    array([1, 0])
    """
    return rows[np.argsort(image_ids[rows], kind="stable")]


def iou_matched(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> MatchedIoU:
    """IoU of each unit with a concept on its matched set, with as many activated pixels as the concept has.

    The threshold of a unit is the order statistic, over all pixels of the set *on the mask grid*, whose strict upper
    share is at most φ, the concept's pixel share in the set. It is taken there and not on the layer's grid because φ
    is measured there: a unit that equals the mask then scores 1 whatever the concept's size, and a random one near
    φ / (2 - φ). A unit that is constant on the set scores 0.

    Args:
        maps: (n, U, h, w) floating, finite; the images of the set.
        masks: (n, H, W) bool; empty for the negatives.

    Returns:
        Values and thresholds of the U units.

    Raises:
        InputError: The shapes do not fit, or a value is not finite.

    Source:
        METHODS section 5.

    Example:
        >>> import numpy as np
        >>> maps, masks = np.array([[[[0.1, 0.9, 0.8, 0.2]]]]), np.array([[[False, True, True, False]]])
        >>> iou_matched(maps, masks)
        MatchedIoU(value=array([1.]), threshold=array([0.2], dtype=float32))
    """
    if maps.ndim != 4 or masks.ndim != 3 or len(maps) != len(masks) or min(maps.shape) < 1:
        raise InputError(f"expected `maps` (n, U, h, w) and `masks` (n, H, W); got {maps.shape} and {masks.shape}")
    if not np.isfinite(maps).all():
        raise InputError("`maps` must be finite; found NaN or infinity: check the network's numbers")
    cells = cell_grid((maps.shape[2], maps.shape[3]), (masks.shape[1], masks.shape[2]))
    ready = np.ascontiguousarray(maps, dtype=np.float32)
    threshold = matched_thresholds(ready, int(masks.sum()), cells)
    bank = np.ascontiguousarray(masks)
    table = np.arange(len(bank))[:, None]
    active, inside = count_above(ready, threshold, (bank, cell_sums(bank, cells), table), cells)
    intersection = inside[:, :, 0].sum(axis=0)
    union = active.sum(axis=0) + masks.sum() - intersection
    value = ratio(intersection, union)
    return MatchedIoU(value if masks.any() else np.full(len(value), np.nan), threshold)


def matched_thresholds(maps: NDArray[np.float32], pixels: int, cells: CellGrid) -> NDArray[np.float32]:
    """Per unit, the smallest upsampled value that at most ``pixels`` upsampled values exceed.

    Args:
        maps: (n, U, h, w) float32, finite.
        pixels: The concept's pixels in the set.
        cells: From :func:`tailscope.dissection.cells.cell_grid`.

    Returns:
        (U,) float32; -inf where the concept fills the set.
    """
    if pixels >= len(maps) * len(cells.row_share) * len(cells.column_share):
        return np.full(maps.shape[1], -np.inf, dtype=np.float32)
    by_unit = np.ascontiguousarray(maps.transpose(1, 0, 2, 3))
    return key_values(upsampled_order_keys(by_unit, pixels, cells))
