"""Does a box around the salient region meet a box around the finding?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment._kernels import best_overlaps, component_boxes
from tailscope.alignment.masking import PackedMasks, listed
from tailscope.alignment.pairing import Frames
from tailscope.alignment.prepared import PreparedMetric
from tailscope.alignment.registry import METRICS, ReferenceKind
from tailscope.alignment.scoring import Masks, score_pairs
from tailscope.core import InputError

Overlap = Literal["iou", "iobb"]
NIH_LEVELS = (60 / 255, 180 / 255)  # Wang et al. threshold maps that are scaled to 0 … 255 at 60 and at 180
CURVES: Mapping[Overlap, tuple[float, ...]] = {
    "iobb": (0.1, 0.25, 0.5, 0.75, 0.9),
    "iou": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
}


@METRICS.register("localized_at")
@dataclass(frozen=True)
class LocalizedAt(PreparedMetric):
    """Whether a box of the map overlaps a box of the annotation by T or more: 1 or 0, higher is better.

    A box of the map bounds one 8-connected part of where the min–max scaled map reaches a level; each level gives its
    own boxes. A box of the annotation bounds one 8-connected part of the mask, so two findings apart are two boxes and
    two that touch are one; some box of the map has to meet some box of the annotation. A degenerate map has one box,
    the whole frame.

    Args:
        overlap: ``iou``: intersection over union; ``iobb``: intersection over the box of the *map*, which is 1 for any
            small box inside the annotation (elsewhere in this package IoBB divides by the annotation).
        at: T in (0, 1].
        level: One level in (0, 1], or several; by default the two of the paper, 60 and 180 of 255.

    Raises:
        InputError: A setting is out of range.

    Source: Wang et al., ChestX-ray8 (2017), section 4.2: T(IoU), T(IoBB) and the two thresholds.

    Example:
        >>> import numpy as np
        >>> mask = np.array([[True, True, False, False]])
        >>> saliency = np.array([[0.0, 1.0, 1.0, 0.0]])  # one pixel shared of three, and of two detected
        >>> [float(METRICS.build("localized_at", overlap=name, at=0.5)(saliency, mask)) for name in ("iou", "iobb")]
        [0.0, 1.0]
    """

    overlap: Overlap = "iou"
    at: float = 0.5
    level: float | Sequence[float] = NIH_LEVELS

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[ReferenceKind] = "empirical"

    def __post_init__(self) -> None:
        if self.overlap not in ("iou", "iobb"):
            raise InputError(f"`overlap` must be iou or iobb; got {self.overlap!r}")
        if not 0 < self.at <= 1:
            raise InputError(f"`at` must lie in (0, 1]; got {self.at}")
        levels = np.atleast_1d(np.asarray(self.level, dtype=np.float64))
        if not levels.size or not ((levels > 0) & (levels <= 1)).all():
            raise InputError(f"`level` must be one or several levels in (0, 1]; got {self.level}")
        object.__setattr__(self, "level", tuple(levels.tolist()))  # a list from a file would not hash

    def scores(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Whether the best overlap reaches T."""
        best = self._best(frames, masks, members)
        return np.where(np.isnan(best), np.nan, best >= self.at)

    def uninformed(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """NaN, but for degenerate maps."""
        return self.of_degenerate(frames, masks, members)

    def _best(self, frames: Frames, masks: PackedMasks, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """(K, n) largest overlap; worked out once for all T."""
        key = (self.overlap, self.level, id(masks), members.shape, members.tobytes())
        boxes = frames.once(("boxes", self.level), lambda: listed(self._boxes(frames)))
        return frames.once(key, lambda: best_overlaps(*boxes, *masks.boxes(), members, self.overlap == "iou"))

    def _boxes(self, frames: Frames) -> Iterator[NDArray[np.int64]]:
        """(C, 4) boxes of each map."""
        spread = np.where(frames.degenerate, 1.0, frames.peak - frames.lowest)
        for row, values in enumerate(frames.maps):
            if frames.degenerate[row]:
                yield np.array([[0, 0, *frames.frame]])
                continue
            scaled = ((values - frames.lowest[row]) / spread[row]).reshape(frames.frame)
            found = [component_boxes(scaled >= level) for level in np.atleast_1d(self.level)]
            yield np.concatenate(found)


def localization_curve(
    maps: NDArray[np.floating],
    masks: Masks,
    patients: NDArray[np.str_],
    *,
    level: float | Sequence[float] = NIH_LEVELS,
    curves: Mapping[Overlap, Sequence[float]] = CURVES,
) -> pd.DataFrame:
    """``localized_at`` at many T at once: how the share of localised findings falls as more overlap is asked for.

    The boxes and the best overlap of each map with each mask are found once for all T of an overlap.

    Args:
        maps: As for :func:`~tailscope.alignment.score_pairs`.
        masks: As there.
        patients: As there.
        level: As in :class:`LocalizedAt`.
        curves: The T of each overlap; by default those of the paper.

    Returns:
        The table of :func:`~tailscope.alignment.score_pairs`, with metrics such as ``localized_at[at=0.1,overlap=iou]``
        (and ``level=…`` where it is not the default).

    Raises:
        InputError: As there, or a T or level is out of range.

    Example:
        >>> import numpy as np
        >>> maps, masks = np.array([[[1.0, 1.0, 0.0]]]), np.array([[[True, False, False]]])
        >>> table = localization_curve(maps, masks, np.array(["p"]), curves={"iou": (0.4, 0.6)})
        >>> dict(zip(table["metric"], table["value"], strict=True))
        {'localized_at[at=0.4,overlap=iou]': 1.0, 'localized_at[at=0.6,overlap=iou]': 0.0}
    """
    metrics = {}
    for overlap, limits in curves.items():
        for at in limits:
            metric = LocalizedAt(overlap, at, level)
            stated = "" if metric.level == NIH_LEVELS else f"level={level},"
            metrics[f"localized_at[at={at},{stated}overlap={overlap}]"] = metric
    return score_pairs(maps, masks, patients, metrics)
