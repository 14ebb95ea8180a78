"""What is known of single units before their causes are asked for: whether they live, their size, their counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection._count_kernels import count_above
from tailscope.dissection.cells import cell_grid, cell_sums
from tailscope.dissection.counts import ratio
from tailscope.dissection.images import MatchedSet
from tailscope.dissection.matched import matched_thresholds
from tailscope.dissection.thresholds import Activations, image_slices

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class UnitSizes:
    """Over the reference set, all images and positions.

    Args:
        means: (U,) float64 mean activation.
        magnitudes: (U,) float64 mean absolute activation.
        live: (U,) bool, whether the unit is not constant.

    Example:
        >>> found = UnitSizes.of(np.array([[[[-1.0, 3.0]], [[5.0, 5.0]]]]))
        >>> found.means, found.magnitudes, found.live
        (array([1., 5.]), array([2., 5.]), array([ True, False]))
    """

    means: NDArray[np.float64]
    magnitudes: NDArray[np.float64]
    live: NDArray[np.bool_]

    @classmethod
    def of(cls, activations: Activations) -> UnitSizes:
        """Of activations (N, U, h, w), an array or a memory map, read in chunks."""
        if len(activations.shape) != 4 or min(activations.shape) < 1:
            raise InputError(f"`activations` must be (N, U, h, w), none of them 0; got {activations.shape}")
        units = activations.shape[1]
        lowest, highest, total = np.full(units, np.inf), np.full(units, -np.inf), np.zeros((2, units))
        for rows in image_slices(activations):
            maps = np.asarray(activations[rows])
            lowest = np.minimum(lowest, maps.min(axis=(0, 2, 3)))
            highest = np.maximum(highest, maps.max(axis=(0, 2, 3)))
            total[0] += maps.sum(axis=(0, 2, 3), dtype=np.float64)
            total[1] += np.abs(maps).sum(axis=(0, 2, 3), dtype=np.float64)
        if not np.isfinite(total).all():
            raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")
        means, magnitudes = total / (activations.shape[0] * activations.shape[2] * activations.shape[3])
        return cls(means, magnitudes, np.asarray(lowest < highest))


@dataclass(frozen=True, eq=False)
class MatchedCounts:
    """Pixels per image of a class's matched set, at each unit's threshold of ``iou_matched``.

    Args:
        matched: The set, n images.
        inside: (n, U) int64 pixels activated and inside the mask.
        activated: (n, U) int64 pixels activated.
    """

    matched: MatchedSet
    inside: NDArray[np.int64]
    activated: NDArray[np.int64]

    @classmethod
    def of(
        cls, activations: Activations, matched: MatchedSet, thresholds: NDArray[np.float32] | None = None
    ) -> MatchedCounts:
        """Of activations that the set's rows point into, read in blocks of units.

        Args:
            activations: (N, U, h, w).
            matched: The class's matched set.
            thresholds: (U,) those of ``iou_matched`` on this set, where they are known already.
        """
        cells = cell_grid((activations.shape[2], activations.shape[3]), (matched.bank.shape[1], matched.bank.shape[2]))
        masks = (matched.bank, cell_sums(matched.bank, cells), matched.own[:, None])
        inside, activated = np.empty((2, len(matched.rows), activations.shape[1]), dtype=np.int64)
        for first, maps in unit_blocks(activations, matched.rows):
            block = slice(first, first + maps.shape[1])
            pixels = matched.pixels
            level = matched_thresholds(maps, pixels, cells) if thresholds is None else thresholds[block]
            activated[:, block], within = count_above(maps, level, masks, cells)
            inside[:, block] = within[:, :, 0]
        return cls(matched, inside, activated)

    def iou(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """(H, U) IoU pooled under each of H weightings (H, n) of the images; NaN where nothing has a pixel."""
        areas = np.append(self.matched.bank.sum(axis=(1, 2)), 0)[self.matched.own]  # -1, the empty mask, finds the 0
        drawn = np.asarray(weights, dtype=np.float64)
        inside = drawn @ self.inside
        return ratio(inside, drawn @ self.activated + (drawn @ areas)[:, None] - inside)


def unit_blocks(
    activations: Activations, rows: NDArray[np.int64], further: int = 0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first unit, (n, B, h, w)) of some images, in consecutive blocks of units that fit 64 MiB (one unit at least).

    Args:
        activations: (N, U, h, w).
        rows: (n,) images.
        further: Values of 4 bytes that the caller holds beside the map of each unit and image.
    """
    units, height, width = activations.shape[1:]
    step = max(1, _BLOCK_BYTES // (4 * len(rows) * (height * width + further)))
    for first in range(0, units, step):
        yield first, np.ascontiguousarray(activations[rows, first : first + step], dtype=np.float32)
