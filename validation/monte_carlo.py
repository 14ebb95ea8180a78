"""Rates over many simulated experiments, with what the number of experiments leaves uncertain."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from markdown import number
from scipy import stats

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Rate:
    """A rate and the 95 % interval of the simulation itself.

    >>> print(Rate.of([1.0, 0.0, 0.0, 0.0]))
    0.250 (0.006–0.806)
    """

    value: float
    lo: float
    hi: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Rate:
        """Of one value per experiment: yes or no (Clopper-Pearson), or a share of an experiment's cells (normal).

        An experiment without a value, NaN, is left out; cells of one experiment depend on each other, experiments do
        not.
        """
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if not known.size:
            return cls(float("nan"), float("nan"), float("nan"))
        mean = float(known.mean())
        if np.isin(known, (0.0, 1.0)).all():
            exact = stats.binomtest(int(known.sum()), known.size).proportion_ci()
            return cls(mean, float(exact.low), float(exact.high))
        half = 1.96 * float(known.std(ddof=1)) / np.sqrt(known.size)
        return cls(mean, max(mean - half, 0.0), min(mean + half, 1.0))

    def __str__(self) -> str:
        return number(self.value, 3) + ("" if np.isnan(self.value) else f" ({self.lo:.3f}–{self.hi:.3f})")


def repeat(work: Callable[[Piece], Answer], pieces: Sequence[Piece], workers: int) -> list[Answer]:
    """Do ``work`` for each piece, on processes of their own; the answers do not depend on how many."""
    if workers < 2:
        return [work(piece) for piece in pieces]
    return list(_pool(workers).map(work, pieces, chunksize=max(len(pieces) // (8 * workers), 1)))


@cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Workers for the whole script; a fork of a process with threads may hang, so they start anew."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
