"""Concept counting as published: thresholds per batch, holes and all boxes included. For comparison only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection._region_kernels import count_contours
from tailscope.dissection.images import AnnotatedImages
from tailscope.dissection.matched import in_id_order
from tailscope.dissection.thresholds import Activations

ALL_CLASSES = "[Global]"
PUBLISHED_DIFFERENCE = (
    "The published count sets every unit's threshold anew in each batch, so it changes with the batch size and the "
    "order of the images; it takes a dead unit for active everywhere, counts a hole like a region, looks inside the "
    "boxes of all classes at once, and grows with their size. The corrected count has one threshold over the whole "
    "test set, looks inside the class's own mask, counts regions only, and is given minus what the masks of other "
    "patients find."
)

_BLOCK_BYTES = 64 * 2**20
_STATISTICS = ("minimum", "maximum", "mean", "deviation")


@dataclass(frozen=True)
class PublishedSettings:
    """How the paper's program was called.

    Args:
        quantile: Of each unit's upsampled values in a batch, in [0, 1]: .96 for the ResNet-50, .99 for the other model.
        batch_size: Images that share a threshold: 64 for the ResNet-50, 128 for the other model.
        with_boxes: Count only what lies in a box of the image.
        disjoint: Count regions and holes; otherwise units.

    Raises:
        InputError: A setting is out of range.

    Source:
        PAPER.md section 8.
    """

    quantile: float = 0.96
    batch_size: int = 64
    with_boxes: bool = True
    disjoint: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.quantile <= 1:
            raise InputError(f"`quantile` must be in [0, 1]; got {self.quantile}")
        if self.batch_size < 1:
            raise InputError(f"`batch_size` must be 1 or more; got {self.batch_size}")


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
    contours = count_contours(masks.reshape(-1, *size)).reshape(masks.shape[:2])
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


def published_class_counts(
    activations: Activations,
    images: AnnotatedImages,
    settings: PublishedSettings = PublishedSettings(),
    boxes_drawn: NDArray[np.integer] | None = None,
) -> pd.DataFrame:
    """The published numbers of a run, per class: the image count goes to each of its boxes' labels.

    The annotated images stand in the order of their ids and are cut into batches. Memory is that of one batch of one
    unit, or of as many units as fit 64 MiB.

    Args:
        activations: (N, U, h, w) floating; array or memory map, rows as in ``images``.
        images: Annotations of the same N images.
        settings: Quantile, batch size and what is counted.
        boxes_drawn: (M,) number of boxes of each pair of ``images.annotated``; by default 1.

    Returns:
        One row per class, by first appearance, and one for all: class, entries, minimum, maximum, mean, deviation
        (population, 4 decimals). The last pools the classes, so an image with two labels stands in it twice. Empty
        where nothing is annotated. :data:`PUBLISHED_DIFFERENCE` says what is wrong with these numbers.

    Raises:
        InputError: Lengths do not fit, or the masks differ in size.

    Source:
        PAPER.md section 8, as published.

    Example:
        >>> import numpy as np
        >>> masks = np.array([[[True, True, True]], [[True, False, False]]])
        >>> images = AnnotatedImages(
        ...     lambda row, name: masks[row], np.ones((2, 1)), np.array([[0, 0], [1, 0]]), np.array([0, 1]), ("mass",),
        ...     np.array(["a", "b"]),
        ... )
        >>> maps = np.array([[[[1.0, 0.0, 1.0]]], [[[0.0, 0.0, 0.0]]]])
        >>> published_class_counts(maps, images, PublishedSettings(0.9, 2)).iloc[:, 1:].values.tolist()
        [[2.0, 0.0, 2.0, 1.0, 1.0], [2.0, 0.0, 2.0, 1.0, 1.0]]
    """
    pairs = np.asarray(images.annotated, dtype=np.int64).reshape(-1, 2)
    drawn = np.ones(len(pairs), dtype=np.int64) if boxes_drawn is None else np.asarray(boxes_drawn, dtype=np.int64)
    if activations.shape[0] != len(images.image_ids):
        raise InputError(
            f"`activations` must have one row per image, {len(images.image_ids)}; got {activations.shape[0]}"
        )
    if drawn.shape != (len(pairs),) or (drawn < 1).any():
        raise InputError(f"`boxes_drawn` must be ({len(pairs)},), 1 or more per annotated pair; got {drawn.tolist()}")
    if len(pairs) == 0:
        return pd.DataFrame(columns=["class", "entries", *_STATISTICS])
    rows = in_id_order(np.unique(pairs[:, 0]), images.ids)
    labels: dict[int, list[int]] = {int(row): [] for row in rows}
    for (row, index), boxes in zip(pairs.tolist(), drawn.tolist(), strict=True):
        labels[row].extend([index] * boxes)
    batches = [rows[start : start + settings.batch_size] for start in range(0, len(rows), settings.batch_size)]
    counts = np.concatenate([_count_batch(activations, images, (batch, labels), settings) for batch in batches])
    collected = counts_by_label(counts, [labels[int(row)] for row in rows])
    report = pd.DataFrame(published_report(collected).T, columns=list(_STATISTICS))
    entries = [len(values) for values in collected.values()]
    report.insert(0, "class", [*(images.classes[index] for index in collected), ALL_CLASSES])
    report.insert(1, "entries", [*entries, sum(entries)])
    return report


def _count_batch(
    activations: Activations,
    images: AnnotatedImages,
    batch: tuple[NDArray[np.int64], Mapping[int, Sequence[int]]],
    settings: PublishedSettings,
) -> NDArray[np.int64]:
    """(B,) image counts, summed over blocks of units: no unit's threshold asks for another unit."""
    rows, labels = batch
    boxes = np.stack([_all_boxes(images, int(row), labels[int(row)]) for row in rows])
    size = (boxes.shape[1], boxes.shape[2])
    step = max(1, _BLOCK_BYTES // (4 * boxes.size))
    total = np.zeros(len(rows), dtype=np.int64)
    for first in range(0, activations.shape[1], step):
        maps = np.asarray(activations[rows, first : first + step], dtype=np.float32)
        found = published_concepts(maps, settings.quantile, boxes if settings.with_boxes else None, size)
        total += found.per_image(disjoint=settings.disjoint)
    return total


def _all_boxes(images: AnnotatedImages, row: int, labels: Sequence[int]) -> NDArray[np.bool_]:
    read = [images.masks(row, images.classes[index]) for index in sorted(set(labels))]
    drawn = [np.asarray(mask, dtype=bool) for mask in read if mask is not None]
    if len(sizes := {mask.shape for mask in drawn}) != 1:
        raise InputError(f"masks of image {str(images.ids[row])!r} must have one size; got {sorted(sizes)}")
    return np.asarray(np.logical_or.reduce(drawn))
