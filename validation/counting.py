"""Power and false alarms of every method and metric, counted over runs whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from judging import Floats, SetJudge, draws_between, draws_within, judge_excess, judge_pair, share
from looking import Looks, Probe
from numpy.typing import NDArray

Cells = dict[tuple[str, str], float]  # by (method, metric)
MOST_DRAWS = 40


class Runs:
    """The looks of several runs at one probe.

    Args:
        probe: What they looked at.
        looks: One per run.
        size: Runs on each side of a comparison of sets.
    """

    def __init__(self, probe: Probe, looks: Sequence[Looks], size: int = 3) -> None:
        self.probe, self.size = probe, size
        self.stacked: dict[tuple[str, str, str], Floats] = {
            address: np.stack([one[address] for one in looks]) for address in looks[0]
        }
        self.patients: Mapping[str, NDArray[np.str_]] = {
            region: probe.patients(region) for region in {address[2] for address in looks[0]}
        }

    def cells(self, region: str) -> Iterable[tuple[tuple[str, str], Floats]]:
        """(method, metric) and the (S, M) excess of all runs in one region."""
        for (method, metric, where), values in self.stacked.items():
            if where == region:
                yield (method, metric), values

    def mean(self, region: str, runs: Sequence[int]) -> Cells:
        """Mean excess over pairs, then over runs."""
        return {cell: _mean(values[list(runs)]) for cell, values in self.cells(region)}

    def power(self, region: str, treated: Sequence[int], control: Sequence[int], direction: float) -> Cells:
        """Share of comparisons of ``size`` against ``size`` runs that say "moved", and this way."""
        return {
            cell: share([judge(a, b).flags(direction) for a, b in self._draws(treated, control)])
            for cell, judge in self._judges(region)
        }

    def false_alarms(self, regions: Sequence[str], runs: Sequence[int]) -> Cells:
        """Share of comparisons of runs of one kind, ``size`` against ``size``, that say "moved", either way."""
        flags: dict[tuple[str, str], list[bool]] = {}
        for region in regions:
            for cell, judge in self._judges(region):
                draws = draws_within(runs, self.size, MOST_DRAWS)
                flags.setdefault(cell, []).extend(judge(a, b).flags() for a, b in draws)
        return {cell: share(found) for cell, found in flags.items()}

    def pair_flags(self, region: str, pairs: Iterable[tuple[int, int]], direction: float = 0.0) -> Cells:
        """Share of comparisons of one run with one run that say "moved": patients alone, blind to seeds."""
        compared = list(pairs)
        patients = self.patients[region]
        return {
            cell: share([judge_pair(values[a], values[b], patients).flags(direction) for a, b in compared])
            for cell, values in self.cells(region)
        }

    def seen(self, regions: Sequence[str], runs: Sequence[int]) -> Cells:
        """Share of runs and regions whose mean excess is above 0, p < .05: the map "lies on" the region."""
        flags: dict[tuple[str, str], list[bool]] = {}
        for region in regions:
            for cell, values in self.cells(region):
                found = [judge_excess(values[run], self.patients[region]).flags(1.0) for run in runs]
                flags.setdefault(cell, []).extend(found)
        return {cell: share(found) for cell, found in flags.items()}

    def _judges(self, region: str) -> Iterable[tuple[tuple[str, str], SetJudge]]:
        for cell, values in self.cells(region):
            yield cell, SetJudge(values, self.patients[region])

    def _draws(self, treated: Sequence[int], control: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return list(draws_between(treated, control, self.size, MOST_DRAWS))


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
