"""Does one set of runs look elsewhere than another? The tests whose power and false alarms are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tailscope.core import generator
from tailscope.stats import MetricSamples, cluster_multiplicity, paired_difference, resampled_mean

Floats = NDArray[np.float64]
ALPHA = 0.05
_RESAMPLES = 200


@dataclass(frozen=True)
class Verdict:
    """One test.

    Args:
        difference: Mean of the first set minus mean of the second.
        p: Two-sided; NaN where nothing can be said.
    """

    difference: float
    p: float

    def flags(self, direction: float = 0.0) -> bool:
        """Whether p < .05, and the difference points this way (0: any way)."""
        return self.p < ALPHA and (direction == 0 or self.difference * direction > 0)


def patient_means(values: Floats, patients: NDArray[np.str_]) -> Floats:
    """(P,) mean per patient; NaN values are left out, and so is a patient with nothing else.

    >>> patient_means(np.array([1.0, 3.0, 5.0]), np.array(["a", "a", "b"])).tolist()
    [2.0, 5.0]
    """
    known = np.isfinite(values)
    _, code = np.unique(patients[known], return_inverse=True)
    return np.asarray(np.bincount(code, weights=values[known]) / np.bincount(code)) if known.any() else np.zeros(0)


def judge_pair(first: Floats, second: Floats, patients: NDArray[np.str_]) -> Verdict:
    """Two runs on the same pairs (M,): t test over the patients' mean differences. Blind to seed noise."""
    return _t_test(patient_means(first - second, patients))


def judge_excess(values: Floats, patients: NDArray[np.str_]) -> Verdict:
    """One run (M,): is the mean excess different from 0, over patients?"""
    return _t_test(patient_means(values, patients))


def _t_test(means: Floats) -> Verdict:
    if means.size < 2:
        return Verdict(float("nan"), float("nan"))
    spread = float(means.std(ddof=1))
    if spread < 1e-12:
        return Verdict(float(means.mean()), float(abs(means.mean()) < 1e-12))
    return Verdict(float(means.mean()), float(stats.ttest_1samp(means, 0.0).pvalue))


class SetJudge:
    """The library's own test (METHODS section 7: variance of seeds and patients) on sets of runs of one region.

    Args:
        runs: (S, M) excess of every run on the same pairs; a pair that any run leaves undefined is left out.
        patients: (M,).
    """

    def __init__(self, runs: Floats, patients: NDArray[np.str_]) -> None:
        known = np.isfinite(runs).all(axis=0)
        self.patients = int(np.unique(patients[known]).size)
        self.pairs = int(known.sum())
        self.values = runs[:, known].mean(axis=1) if known.any() else np.full(len(runs), np.nan)
        self.drawn = np.full((len(runs), _RESAMPLES), np.nan)
        if self.patients >= 2:
            drawn = _drawn(tuple(patients[known].tolist()))
            rows = np.arange(self.pairs)
            self.drawn = np.stack([resampled_mean(run[known], rows, drawn) for run in runs])

    def __call__(self, first: Sequence[int], second: Sequence[int]) -> Verdict:
        """Compare two sets of runs of equal size, given by their numbers."""
        sets = (list(second), list(first))
        cell = MetricSamples(
            lens="alignment",
            metric="excess",
            class_name="probed",
            group="head",
            arms=("control", "treated"),
            values=np.stack([self.values[one] for one in sets]),
            resampled=np.stack([self.drawn[one].mean(axis=0) for one in sets]),
            n=self.pairs,
            patients=self.patients,
            positive_patients=self.patients,
            negative_patients=self.patients,
        )
        found = paired_difference(cell, 1)
        return Verdict(found.difference, found.p)


@lru_cache(maxsize=16)
def _drawn(patients: tuple[str, ...]) -> NDArray[np.int32]:
    """(R, M) resamples; all methods and most metrics share the pairs of a region."""
    return cluster_multiplicity(patients, _RESAMPLES, seed=0)


def draws_between(
    first: Sequence[int], second: Sequence[int], size: int, most: int, seed: int = 0
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Sets of ``size`` runs, one of each kind; all there are, or ``most`` of them drawn at random.

    >>> list(draws_between([0], [1, 2], 1, 9))
    [((0,), (1,)), ((0,), (2,))]
    """
    yield from _some([(a, b) for a in combinations(first, size) for b in combinations(second, size)], most, seed)


def draws_within(
    runs: Sequence[int], size: int, most: int, seed: int = 0
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Two disjoint sets of ``size`` runs of one kind: A against A.

    >>> list(draws_within([0, 1, 2], 1, 9))
    [((0,), (1,)), ((0,), (2,)), ((1,), (2,))]
    """
    pairs = [
        (a, b) for a in combinations(runs, size) for b in combinations(runs, size) if a < b and not set(a) & set(b)
    ]
    yield from _some(pairs, most, seed)


def _some(
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]], most: int, seed: int
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    if len(pairs) <= most:
        return pairs
    chosen = generator(seed, "validation", "draws").choice(len(pairs), most, replace=False)
    return [pairs[at] for at in np.sort(chosen)]


def share(flags: Sequence[bool]) -> float:
    """Share of flags that are set; NaN of none.

    >>> share([True, False, False, False])
    0.25
    """
    return float(np.mean(flags)) if len(flags) else float("nan")
