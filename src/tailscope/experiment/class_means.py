"""Means over classes: macro, head, medium and tail, by the same classes for every arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tailscope.stats import AGGREGATES, MetricSamples


def with_means(cells: list[MetricSamples], images: int) -> Iterator[MetricSamples]:
    """The cells of one metric, then their means over all classes and over the classes of each group.

    A mean is over the estimable classes; its resamples are the means of the classes' resamples, which are drawn
    alike.

    Args:
        cells: One per class.
        images: Test images.
    """
    yield from cells
    for group in AGGREGATES:
        members = [cell for cell in cells if group in ("macro", cell.group)]
        if members:
            yield _mean([cell for cell in members if not cell.why_missing], group, members[0], images)


def _mean(cells: list[MetricSamples], group: str, example: MetricSamples, images: int) -> MetricSamples:
    nothing = np.full_like(example.values, np.nan), np.full_like(example.resampled, np.nan)
    return replace(
        example,
        class_name=group,
        group=group,
        values=np.mean([cell.values for cell in cells], axis=0) if cells else nothing[0],
        resampled=np.mean([cell.resampled for cell in cells], axis=0) if cells else nothing[1],
        n=images,
        patients=min((cell.patients for cell in cells), default=0),
        positive_patients=min((cell.positive_patients for cell in cells), default=0),
        negative_patients=min((cell.negative_patients for cell in cells), default=0),
        reason="" if cells else "no estimable class",
        redrawn=sum(cell.redrawn for cell in cells),
    )
