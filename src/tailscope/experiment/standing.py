"""How the treatments stand: ranks over classes, trends toward the tail, and what the experiment could have found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tailscope.core import child_seed
from tailscope.stats import (
    AGGREGATES,
    ComparisonSettings,
    MetricSamples,
    PairedDifference,
    RankDistribution,
    TailTrend,
    class_covariance,
    family_sizes,
    paired_difference,
    positives_needed,
    rank_distribution,
    seed_scatter,
    seed_variance_floor,
    tail_trend,
    too_few,
)

RANK_COLUMNS = ("metric", "arm", "mean_rank", "lo", "hi", "first", "classes", "reason")
TREND_COLUMNS = (
    "metric", "arm", "slope", "lo", "hi", "p", "classes", "reason", "se", "df", "noise_se", "model_se", "scatter",
    "left_out",
)  # fmt: skip
PRECISION_COLUMNS = (
    "metric", "class", "arm", "n", "patients", "difference", "se", "mde", "margin", "seed_share", "patient_share",
    "seeds_needed", "positives_needed", "verdict", "reason",
)  # fmt: skip

_ONE_SEED = "one seed per arm: seed noise is unknown"
_Rows = list[dict[str, Any]]
_Cells = list[MetricSamples]


@dataclass(frozen=True, eq=False)
class Standing:
    """How the treatments stand, for AUROC, AP and every primary lens metric.

    Args:
        ranks: Columns :data:`RANK_COLUMNS`, one row per metric and arm, control among them. ``mean_rank`` is over the
            classes that are estimable, 1 is best; ``lo`` and ``hi`` are its 95 % percentile interval over patients and
            seeds, ``first`` the share of these draws in which the arm has the best mean rank.
        trends: Columns :data:`TREND_COLUMNS`, one row per metric and treatment. ``slope`` is the change of the
            difference from control per tenfold fall of the training prevalence; ``left_out`` names the classes with
            too few patients for it.
        precision: Columns :data:`PRECISION_COLUMNS`, one row per metric, class and treatment. ``mde`` is the minimum
            detectable effect; ``seeds_needed`` (per arm) and ``positives_needed`` (patients) would decide an undecided
            row, the other staying as it is; NaN where that alone cannot, and where the row is decided.
    """

    ranks: pd.DataFrame
    trends: pd.DataFrame
    precision: pd.DataFrame


def standing_tables(
    samples: Iterable[MetricSamples],
    findings: pd.DataFrame,
    prevalence: Mapping[str, float],
    settings: ComparisonSettings,
    seed: int = 0,
) -> Standing:
    """Ranks, trends and precision, from the values of a comparison and its findings.

    Args:
        samples: The cells of the comparison; without arms that rank as another by construction, which would tie.
        findings: Of :func:`tailscope.stats.compare` over the same cells.
        prevalence: Class to its share of the training images.
        settings: The frozen plan: which metrics, and how few patients are too few.
        seed: Root of the seed terms in the ranks.

    Source: METHODS section 7.
    """
    families: dict[str, _Cells] = {}
    for cell in samples:
        if settings.is_primary(cell.metric) and not cell.is_aggregate and len(cell.arms) > 1:
            families.setdefault(cell.metric, []).append(cell)
    ranks: _Rows = []
    trends: _Rows = []
    for metric, cells in families.items():
        # as in the findings: the median over all estimable classes, also those that are too thin for a trend
        floor = seed_variance_floor([cell.seed_variance for cell in cells])
        ranks += _rank_rows(cells, floor, child_seed(seed, "ranks", metric))
        trends += _trend_rows(cells, floor, prevalence, settings)
    return Standing(
        pd.DataFrame(ranks, columns=list(RANK_COLUMNS)),
        pd.DataFrame(trends, columns=list(TREND_COLUMNS)),
        _precision(findings, list(families), settings),
    )


def _rank_rows(cells: _Cells, floor: float, seed: int) -> _Rows:
    """The arms of one metric; none where neither direction is better."""
    direction = cells[0].direction
    if direction is None:
        return []
    known = [cell for cell in cells if not cell.why_missing]
    found, reason = None, "no estimable class"
    if known:
        scatter = seed_scatter(_by_class(known), floor) if known[0].seeds > 1 else None
        means, drawn = _by_class(known).mean(axis=1), np.stack([cell.resampled for cell in known], axis=1)
        found = rank_distribution(means, drawn, direction, seed_scatter=scatter, seed=seed)
        reason = "" if found.classes else "no resample in which every class has a value"
    return [_rank_row(cells[0], number, found, reason) for number in range(len(cells[0].arms))]


def _rank_row(example: MetricSamples, arm: int, found: RankDistribution | None, reason: str) -> dict[str, Any]:
    address = {"metric": example.metric, "arm": example.arms[arm]}
    if found is None:
        return {**address, **dict.fromkeys(("mean_rank", "lo", "hi", "first"), np.nan), "classes": 0, "reason": reason}
    row = {**address, "mean_rank": found.mean_rank[arm], "classes": found.classes}
    if example.seeds < 2:
        return {**row, **dict.fromkeys(("lo", "hi", "first"), np.nan), "reason": reason or _ONE_SEED}
    return {**row, "lo": found.lo[arm], "hi": found.hi[arm], "first": found.first[arm], "reason": reason}


def _by_class(cells: Sequence[MetricSamples]) -> Any:
    """(A, S, K) the values of classes with the same arms and seeds."""
    return np.stack([cell.values for cell in cells], axis=2)


def _trend_rows(cells: _Cells, floor: float, prevalence: Mapping[str, float], settings: ComparisonSettings) -> _Rows:
    thin = [cell.class_name for cell in cells if not cell.why_missing and too_few(cell, settings.min_patients)]
    used = [
        cell
        for cell in cells
        if not cell.why_missing and cell.class_name not in thin and prevalence.get(cell.class_name, 0.0) > 0
    ]
    rows = []
    for arm in range(1, len(cells[0].arms)):
        found = _trend(used, arm, floor, prevalence)
        lo, hi = found.interval()
        numbers = {name: getattr(found, name) for name in TREND_COLUMNS if hasattr(found, name)}
        address = {"metric": cells[0].metric, "arm": cells[0].arms[arm]}
        rows.append({**numbers, **address, "lo": lo, "hi": hi, "left_out": ", ".join(thin)})
    return rows


def _trend(cells: _Cells, arm: int, floor: float, prevalence: Mapping[str, float]) -> TailTrend:
    found: list[PairedDifference] = [paired_difference(cell, arm, floor=floor) for cell in cells]
    if cells and cells[0].seeds < 2:
        return TailTrend(classes=len(cells), reason=_ONE_SEED)
    if cells and not np.isfinite([cell.resampled for cell in cells]).all(axis=(0, 1)).sum() > 1:
        return TailTrend(classes=len(cells), reason="fewer than 2 resamples in which every class has a value")
    return tail_trend(
        [one.difference for one in found],
        [one.variance for one in found],
        [prevalence[cell.class_name] for cell in cells],
        class_covariance(cells, arm, floor) if cells else None,
    )


def _precision(findings: pd.DataFrame, metrics: list[str], settings: ComparisonSettings) -> pd.DataFrame:
    is_mean = findings["class"].isin(AGGREGATES) & (findings["class"] == findings["group"])
    wanted = findings[findings["metric"].isin(metrics) & ~is_mean]
    families = family_sizes(findings)
    rows = [{**row, **_needed(row, settings, families.get(row["metric"], 1))} for row in wanted.to_dict("records")]
    return pd.DataFrame(rows, columns=list(PRECISION_COLUMNS))


def _needed(row: Mapping[Any, Any], settings: ComparisonSettings, family: int) -> dict[str, float]:
    """What would decide an undecided row: more seeds with these patients, or more patients with these seeds."""
    needed = {"seeds_needed": np.nan, "positives_needed": np.nan}
    if not row["verdict"].startswith("undecided"):
        return needed
    is_inside = abs(row["difference"]) < settings.margin(row["metric"])
    least = settings.min_patients_equivalent if is_inside else settings.min_patients
    if min(row["positives"], row["negatives"]) >= least:
        # seeds and patients change places: the seed part of the variance shrinks, and the patient part stays
        turned = {"seed_share": row["patient_share"], "ratio_seed_share": 1 - row["ratio_seed_share"]}
        few = replace(settings, min_patients=settings.min_seeds, min_patients_equivalent=settings.min_seeds)
        needed["seeds_needed"] = _more(
            positives_needed({**row, **turned, "positives": row["seeds"]}, few, family), row["seeds"]
        )
    if row["seeds"] >= settings.min_seeds and row["negatives"] >= least:
        needed["positives_needed"] = _more(positives_needed({**row}, settings, family), row["positives"])
    return needed


def _more(wanted: float, present: float) -> float:
    """The number, if it is more than there are; a later step of Holm's adjustment than the first may say no more."""
    return wanted if wanted > present else float("nan")
