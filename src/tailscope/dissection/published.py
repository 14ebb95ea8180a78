"""Concept counting as published: thresholds per batch, holes and all boxes included. For comparison only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import resize_bilinear

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class PublishedConcepts:
    """Result for one batch.

    Args:
        thresholds: (U,) float32, of this batch alone.
        masks: (N, U, H, W) bool, activated and inside the boxes.
        contours: (N, U) int64: 8-connected regions plus their holes.
    """

    thresholds: NDArray[np.float32]
    masks: NDArray[np.bool_]
    contours: NDArray[np.int64]

    def per_image(self, *, disjoint: bool) -> NDArray[np.int64]:
        """(N,) contours over all units, or units with any activated pixel."""
        return np.asarray(self.contours.sum(axis=1) if disjoint else self.masks.any(axis=(2, 3)).sum(axis=1))


def published_concepts(
    maps: NDArray[np.floating], quantile: float, boxes: NDArray[np.bool_] | None, size: tuple[int, int]
) -> PublishedConcepts:
    """Count concepts in one batch as the paper's program does.

    Defects kept on purpose: the threshold is the quantile of *this batch* (so batch size and order matter); ``≥`` makes
    a dead unit active everywhere; the boxes are the union over all classes; a hole counts like a region.

    Args:
        maps: (N, U, h, w) floating, one batch.
        quantile: In [0, 1], with linear interpolation, over all upsampled values of the batch.
        boxes: (N, H, W) bool, union of all boxes of the image; None for no restriction.
        size: (H, W).

    Returns:
        Thresholds, masks and contour counts.

    Source:
        imba-explain, ``concept_detector.py``; PAPER.md section 8, defects D11 to D16.

    Example:
        >>> import numpy as np
        >>> ring = np.ones((1, 1, 3, 3))
        >>> ring[0, 0, 1, 1] = 0
        >>> published_concepts(ring, 0.5, None, (3, 3)).contours
        array([[2]])
    """
    upsampled = resize_bilinear(np.asarray(maps), size)
    by_unit = upsampled.transpose(1, 0, 2, 3).reshape(upsampled.shape[1], -1)
    thresholds = np.quantile(by_unit, quantile, axis=1).astype(np.float32)
    masks = upsampled >= thresholds[:, None, None]
    if boxes is not None:
        masks &= boxes[:, None]
    contours = np.array([[_contours(mask) for mask in image] for image in masks], dtype=np.int64)
    return PublishedConcepts(thresholds, masks, contours)


def counts_by_label(counts: NDArray[np.int64], labels: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """Append each image's count to every entry of its label list; a label repeated for two boxes counts twice.

    >>> import numpy as np
    >>> counts_by_label(np.array([4, 7]), [[1], [0, 0]])
    {1: [4], 0: [7, 7]}
    """
    collected: dict[int, list[int]] = {}
    for count, image_labels in zip(counts, labels, strict=True):
        for label in image_labels:
            collected.setdefault(label, []).append(int(count))
    return collected


def published_report(collected: Mapping[int, Sequence[int]]) -> NDArray[np.float64]:
    """Rows minimum, maximum, mean, population standard deviation (4 decimals); columns labels, then all pooled.

    >>> published_report({1: [4], 0: [7, 7]}).tolist()
    [[4.0, 7.0, 4.0], [4.0, 7.0, 7.0], [4.0, 7.0, 6.0], [0.0, 0.0, 1.4142]]
    """
    lists = [list(values) for values in collected.values()]
    lists.append([value for values in lists for value in values])
    rows = [[np.min(v), np.max(v), np.mean(v), np.std(v)] for v in lists]
    return np.round(np.array(rows, dtype=np.float64).T, 4)


def _contours(mask: NDArray[np.bool_]) -> int:
    """Contours that RETR_TREE finds: regions (8-connected), and holes (4-connected, not open to the border)."""
    regions = ndimage.label(mask, structure=_EIGHT)[1]
    background = ndimage.label(~np.pad(mask, 1))[1]
    return int(regions) + int(background) - 1
