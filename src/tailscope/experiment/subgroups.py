"""How every arm does in subgroups of the patients, and how far a subgroup is from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.experiment.class_means import with_means
from tailscope.experiment.subgroup_columns import SubgroupColumn
from tailscope.experiment.subgroup_samples import MEASURES, Scored, gap_samples, subgroup_samples
from tailscope.stats import MetricSamples, PairedDifference, against_zero, paired_difference, seed_variance_floor

SUBGROUP_COLUMNS = (
    "column", "subgroup", "class", "group", "arm", "metric", "value", "lo", "hi", "difference", "difference_lo",
    "difference_hi", "n", "patients", "positives", "reason",
)  # fmt: skip
GAP_COLUMNS = (
    "column", "subgroup", "class", "group", "arm", "metric", "gap", "lo", "hi", "difference", "difference_lo",
    "difference_hi", "reason",
)  # fmt: skip

_WITH_GAP = ("auroc", "sensitivity", "specificity")  # AP rises with the prevalence, which differs between subgroups
_LEVEL = 0.95

Cells = list[MetricSamples]


@dataclass(frozen=True, eq=False)
class SubgroupTables:
    """Subgroups and gaps, one row per column, subgroup, class (or mean over classes), metric and arm.

    Args:
        subgroups: Columns :data:`SUBGROUP_COLUMNS`.
        gaps: Columns :data:`GAP_COLUMNS`.
    """

    subgroups: pd.DataFrame
    gaps: pd.DataFrame


def subgroup_tables(scored: Scored, columns: Sequence[SubgroupColumn]) -> SubgroupTables:
    """AUROC, AP, sensitivity and specificity of every arm in every subgroup, and their gaps; all exploratory.

    Sensitivity and specificity are at each run's own threshold, chosen on the whole validation split: the threshold
    that a clinic would use, not one per subgroup. A subgroup is *ranked* on a class if 20 patients have a positive and
    20 a negative image there; otherwise its row has a value without an interval, and the reason.

    In ``subgroups``, ``value`` is the mean over seeds with its 95 % interval and ``difference`` that of the arm minus
    control inside the subgroup; both as in METHODS section 7, seed variance floored at the metric's median over the
    classes. Means over classes are over the classes ranked in that subgroup, so two subgroups need not have the same.
    ``n`` counts labelled images, ``patients`` those with one, ``positives`` those with a positive one (for a mean: of
    the class with fewest).

    In ``gaps``, ``gap`` is the metric in the subgroup minus the metric among all others with a value in that column,
    over the same resamples of patients and the same classes; below 0 the subgroup does worse. The gap of the worst
    subgroup is chosen after looking; so all intervals of a column hold at once (Bonferroni: level 1 − 0.05/c for c
    ranked subgroups; 95 % where there are two, whose gaps are one number with two signs), and so hold for whichever is
    chosen. They are not adjusted over classes, metrics, arms and columns. AP has no gap: it rises with the prevalence,
    so that a gap would compare how frequent a class is.

    Args:
        scored: The runs and what they say.
        columns: Of :func:`~tailscope.experiment.subgroup_columns.subgroup_columns`.

    Source: METHODS section 7; simultaneous intervals after Bonferroni, Miller 1981, section 2.
    """
    rows: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    for column in columns:
        parts = _Parts(scored, column)
        counts = [_counts(scored, column.chosen(number)) for number in range(len(column.subgroups))]
        for metric in MEASURES:
            for number, subgroup in enumerate(column.subgroups):
                address = {"column": column.name, "subgroup": subgroup, "metric": metric}
                rows += [{**address, **row} for row in _subgroup_rows(parts.chosen[number][metric], counts[number])]
            gaps += _gap_rows(parts, metric) if metric in _WITH_GAP else []
    return SubgroupTables(
        pd.DataFrame(rows, columns=list(SUBGROUP_COLUMNS)), pd.DataFrame(gaps, columns=list(GAP_COLUMNS))
    )


class _Parts:
    """All metrics in the subgroups of one column, and among the others of each."""

    def __init__(self, scored: Scored, column: SubgroupColumn) -> None:
        numbers = range(len(column.subgroups))
        self.column = column
        self.sizes = [int(column.chosen(number).sum()) for number in numbers]
        self.chosen = [subgroup_samples(scored, column.chosen(number), tuple(MEASURES)) for number in numbers]
        # Of two subgroups each is the others of the other.
        self.others = (
            self.chosen[::-1]
            if len(numbers) == 2
            else [subgroup_samples(scored, column.others(number), _WITH_GAP) for number in numbers]
        )

    def gaps(self, metric: str, number: int) -> Cells:
        """The gaps of one subgroup: one cell per class, then the means over classes."""
        pairs = zip(self.chosen[number][metric], self.others[number][metric], strict=True)
        return list(with_means([gap_samples(*pair) for pair in pairs], self.sizes[number]))


def _counts(scored: Scored, chosen: NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    """Class, or "" for a mean over classes, to labelled images and patients in a subgroup."""
    test = scored.test
    known = chosen[:, None] & ~np.isnan(test.targets)
    of_classes = {
        name: (int(known[:, number].sum()), test.patients_among(known[:, number]))
        for number, name in enumerate(test.classes)
    }
    return {**of_classes, "": (int(chosen.sum()), test.patients_among(chosen))}


def _subgroup_rows(cells: Cells, counts: dict[str, tuple[int, int]]) -> Iterator[dict[str, Any]]:
    floor = _floor(cells)
    for cell in with_means(cells, counts[""][0]):
        images, patients = counts["" if cell.is_aggregate else cell.class_name]
        for arm, name in enumerate(cell.arms):
            found = against_zero(cell, arm)
            lo, hi = found.interval(_LEVEL)
            yield {
                "class": cell.class_name, "group": cell.group, "arm": name,
                "value": float(cell.values[arm].mean()), "lo": lo, "hi": hi,
                **_difference(cell, arm, floor, _LEVEL),
                "n": images, "patients": patients, "positives": cell.positive_patients, "reason": found.reason,
            }  # fmt: skip


def _gap_rows(parts: _Parts, metric: str) -> Iterator[dict[str, Any]]:
    column = parts.column
    gaps = [parts.gaps(metric, number) for number in range(len(column.subgroups))]
    levels = [_level(cells, column) for cells in zip(*gaps, strict=True)]
    for subgroup, cells in zip(column.subgroups, gaps, strict=True):
        floor = _floor(cells)
        for cell, level in zip(cells, levels, strict=True):
            for arm, name in enumerate(cell.arms):
                found = against_zero(cell, arm)
                lo, hi = found.interval(level)
                yield {
                    "column": column.name, "subgroup": subgroup, "class": cell.class_name, "group": cell.group,
                    "arm": name, "metric": cell.metric, "gap": found.difference, "lo": lo, "hi": hi,
                    **_difference(cell, arm, floor, level), "reason": found.reason,
                }  # fmt: skip


def _level(cells: tuple[MetricSamples, ...], column: SubgroupColumn) -> float:
    """Level of one interval so that those of all subgroups hold at once with 95 %."""
    ranked = sum(not cell.why_missing for cell in cells)
    return 1 - (1 - _LEVEL) / (1 if len(column.subgroups) == 2 else max(ranked, 1))


def _floor(cells: Cells) -> float:
    return seed_variance_floor([cell.seed_variance for cell in cells if not cell.is_aggregate])


def _difference(cell: MetricSamples, arm: int, floor: float, level: float) -> dict[str, float]:
    """The arm minus control; nothing for control."""
    found = paired_difference(cell, arm, floor=floor) if arm else PairedDifference()
    lo, hi = found.interval(level)
    return {"difference": found.difference, "difference_lo": lo, "difference_hi": hi}
