"""A number of several seeds: their mean, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tailscope.report.blocks import Cell, Notes, figure_cell
from tailscope.report.frames import float_of
from tailscope.report.numbers import decimal

RANGES = "Each number is the mean over seeds; with it stand the lowest and the highest seed, where they differ."


class SeedRange(NamedTuple):
    """Mean, lowest and highest of the seeds that have a number, and how many those are; NaN where none has.

    Args:
        mean: Mean over the seeds.
        low: Lowest seed.
        high: Highest seed.
        seeds: Number of seeds with a number.
    """

    mean: float
    low: float
    high: float
    seeds: int


def seed_range(values: Iterable[Any]) -> SeedRange:
    """What the seeds give; a missing value is left out, not counted as zero.

    Example:
        >>> seed_range([1.0, None, 3.0])
        SeedRange(mean=2.0, low=1.0, high=3.0, seeds=2)
    """
    known = _known(values)
    if not known:
        return SeedRange(math.nan, math.nan, math.nan, 0)
    return SeedRange(math.fsum(known) / len(known), min(known), max(known), len(known))


def range_cell(
    values: Iterable[Any], show: Callable[[float], str], reason: str = "", notes: Notes | None = None
) -> Cell:
    """The mean over seeds with the range beside it, if the seeds differ; none is a dash with its reason.

    Example:
        >>> cell = range_cell([1.0, 3.0], "{:.1f}".format)
        >>> cell.text, cell.detail
        ('2.0', '1.0 to 3.0')
    """
    found = seed_range(values)
    low, high = show(found.low), show(found.high)
    detail = f"{low} to {high}" if low != high else ""
    return figure_cell(show(found.mean), found.mean, reason, notes, detail=detail)


def known_sum(values: Iterable[Any]) -> float:
    """The sum of what is known; NaN where nothing is.

    Example:
        >>> known_sum([2, None, 3]), known_sum([None])
        (5.0, nan)
    """
    known = _known(values)
    return math.fsum(known) if known else math.nan


def mean_count(value: float) -> str:
    """A mean of counts: whole where all seeds agree, with one digit otherwise.

    Example:
        >>> mean_count(12.0), mean_count(12.33), mean_count(math.nan)
        ('12', '12.3', '–')
    """
    return decimal(value, 0 if math.isfinite(value) and value == round(value) else 1)


def _known(values: Iterable[Any]) -> list[float]:
    return [number for number in map(float_of, values) if math.isfinite(number)]
