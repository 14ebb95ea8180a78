"""Every arm against control on every metric and class: the table of findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tailscope.stats.differences import PairedDifference, logarithmic, paired_difference, seed_variance_floor
from tailscope.stats.multiplicity import holm
from tailscope.stats.samples import ComparisonSettings, MetricSamples
from tailscope.stats.verdicts import Evidence, verdict

FINDING_COLUMNS = (
    "lens", "metric", "class", "group", "arm", "control", "n", "patients", "difference", "lo", "hi", "p", "p_adjusted",
    "lo90", "hi90", "seed_noise", "mde", "verdict", "reason", "se", "df", "seed_share", "patient_share",
    "percentile_lo", "percentile_hi", "ratio", "ratio_lo90", "ratio_hi90", "ratio_se", "ratio_df", "ratio_seed_share",
    "p_equivalence", "p_beyond_margin", "margin", "primary", "redrawn", "positives", "negatives", "seeds",
)  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    samples: MetricSamples
    arm: int
    found: PairedDifference
    ratio: PairedDifference | None

    def p_equivalence(self, settings: ComparisonSettings) -> float:
        margin = settings.margin(self.samples.metric)
        p = self.found.p_within(-margin, margin)
        if self.ratio is None:
            return p
        lower, upper = np.log(settings.ratio_limits)
        # np.maximum keeps NaN: a ratio that cannot be judged is not equivalent
        return float(np.maximum(p, self.ratio.p_within(float(lower), float(upper))))


def compare(samples: Sequence[MetricSamples], settings: ComparisonSettings) -> pd.DataFrame:
    """Compare every treatment with control, cell by cell, and adjust over each family.

    A family is one metric over all estimable classes × treatments. Means over classes (macro, head, medium, tail) form
    a family of their own, take no part in the floor of s²_w, and are descriptive: intervals, no verdict. Lens metrics
    that were not declared beforehand get no verdict either.

    Args:
        samples: One entry per (lens, metric, class).
        settings: The frozen plan.

    Returns:
        One row per lens, metric, class and treatment, columns :data:`FINDING_COLUMNS`, in the order of ``samples``.

    Source: METHODS section 7.

    Example:
        >>> compare([], ComparisonSettings()).empty
        True
    """
    rows: dict[int, list[dict[str, Any]]] = {}
    families: dict[tuple[str, str, bool], list[int]] = {}
    for number, cell in enumerate(samples):
        families.setdefault((cell.lens, cell.metric, cell.is_aggregate), []).append(number)
    for members in families.values():
        found = _family_rows([samples[number] for number in members], settings)
        rows |= dict(zip(members, found, strict=True))
    ordered = [row for number in range(len(samples)) for row in rows[number]]
    return pd.DataFrame(ordered, columns=list(FINDING_COLUMNS))


def _family_rows(family: list[MetricSamples], settings: ComparisonSettings) -> list[list[dict[str, Any]]]:
    has_ratio = family[0].metric in settings.ratio_metrics
    logs = [logarithmic(cell) for cell in family] if has_ratio else []
    floor, log_floor = _floor(family), _floor(logs)
    cells = [
        _Cell(
            cell,
            arm,
            paired_difference(cell, arm, floor=floor),
            paired_difference(logs[number], arm, floor=log_floor) if has_ratio else None,
        )
        for number, cell in enumerate(family)
        for arm in range(1, len(cell.arms))
    ]
    p = np.array([cell.found.p for cell in cells])
    adjusted = holm(p)
    size = int(np.isfinite(p).sum())
    records = [
        (cell.samples, _row(cell, float(value), size, settings)) for cell, value in zip(cells, adjusted, strict=True)
    ]
    return [[row for owner, row in records if owner is cell] for cell in family]


def _floor(family: Iterable[MetricSamples]) -> float:
    return seed_variance_floor([cell.seed_variance for cell in family if not cell.is_aggregate])


def _row(cell: _Cell, p_adjusted: float, family: int, settings: ComparisonSettings) -> dict[str, Any]:
    samples, found = cell.samples, cell.found
    p_equivalence = cell.p_equivalence(settings)
    said, why = verdict(samples, Evidence(found.difference, p_adjusted, p_equivalence), settings)
    margin = settings.margin(samples.metric)
    return {
        **_address(cell),
        **_numbers(found),
        **_ratio_numbers(cell.ratio),
        "p_adjusted": p_adjusted,
        "mde": found.detectable(family, settings.alpha),
        "verdict": said,
        "reason": found.reason or why,
        "p_equivalence": p_equivalence,
        "p_beyond_margin": found.p_beyond(margin),
        "margin": margin,
        "primary": settings.is_primary(samples.metric),
    }


def _address(cell: _Cell) -> dict[str, Any]:
    samples = cell.samples
    return {
        "lens": samples.lens,
        "metric": samples.metric,
        "class": samples.class_name,
        "group": samples.group,
        "arm": samples.arms[cell.arm],
        "control": samples.arms[0],
        "n": samples.n,
        "patients": samples.patients,
        "positives": samples.positive_patients,
        "negatives": samples.negative_patients,
        "seeds": samples.seeds,
        "redrawn": samples.redrawn,
    }


def _numbers(found: PairedDifference) -> dict[str, Any]:
    lo, hi = found.interval(0.95)
    lo90, hi90 = found.interval(0.90)
    return {
        "difference": found.difference,
        "lo": lo,
        "hi": hi,
        "lo90": lo90,
        "hi90": hi90,
        "p": found.p,
        "se": found.se,
        "df": found.df,
        "seed_noise": found.seed_noise,
        "seed_share": found.seed_share,
        "patient_share": 1 - found.seed_share,
        "percentile_lo": found.percentile[0],
        "percentile_hi": found.percentile[1],
    }


def _ratio_numbers(ratio: PairedDifference | None) -> dict[str, Any]:
    if ratio is None:
        ratio = PairedDifference()
    lo90, hi90 = ratio.interval(0.90)
    return {
        "ratio": float(np.exp(ratio.difference)),
        "ratio_lo90": float(np.exp(lo90)),
        "ratio_hi90": float(np.exp(hi90)),
        "ratio_se": ratio.se,
        "ratio_df": ratio.df,
        "ratio_seed_share": ratio.seed_share,
    }
