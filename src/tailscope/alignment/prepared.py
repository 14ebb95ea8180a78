"""What the metrics of this room share: they read maps that are prepared once and masks that are packed once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment.attaining import best_on_grid
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import Frames, Pairs


class PreparedMetric(ABC):
    """An alignment metric by its two questions; the calls of the protocol follow from them.

    ``members`` names the masks of each map: (K, n), or (1, n) for all K maps. Results are (K, n), NaN for an empty
    mask. A member of this class is scored without its maps being looked at again for every other metric.
    """

    @abstractmethod
    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values of K maps on their masks."""

    @abstractmethod
    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """What an uninformed map would score there; NaN where only the masks of other patients can tell."""

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.AlignmentMetric`."""
        pairs = Pairs.of(saliency, mask)
        return self.scores(pairs.frames, pairs.masks, pairs.members).reshape(pairs.lead)

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.AlignmentMetric`."""
        pairs = Pairs.of(saliency, mask)
        return self.uninformed(pairs.frames, pairs.masks, pairs.members).reshape(pairs.lead)

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """See :class:`~tailscope.alignment.registry.CrossScored`."""
        return self.crossed(Frames.of(saliency), PackedMasks.of(masks))

    def crossed(self, frames: Frames, masks: PackedMasks) -> NDArray[np.float64]:
        """(K, N) values of every map on every mask."""
        return self.scores(frames, masks, np.arange(len(masks))[None])

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """See :func:`~tailscope.alignment.attaining.best_on_grid`."""
        return best_on_grid(self, mask, grid)

    def of_degenerate(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values where the map counts as uniform and is its own reference, NaN elsewhere."""
        values = np.full((len(frames), members.shape[1]), np.nan)
        rows = np.flatnonzero(frames.degenerate)
        if rows.size:
            own = members if len(members) == 1 else members[rows]
            values[rows] = self.scores(frames.take(rows), masks, own)
        return values


def area_shares(frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, n) share of the frame that each mask covers, NaN where it is empty."""
    shares = np.where(masks.bits.areas > 0, masks.shares, np.nan)[members]
    return np.array(np.broadcast_to(shares, (len(frames), members.shape[1])))
