"""Differences that AUROC and AP hide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tailscope.stats.multiplicity import holm
from tailscope.stats.samples import AGGREGATES, ComparisonSettings
from tailscope.stats.verdicts import DIFFERENT

HIDDEN_COLUMNS = (
    "class", "group", "arm", "lens", "metric", "kind", "difference", "lo", "hi", "p", "p_adjusted", "auroc_difference",
    "ap_difference", "positives_needed", "reason",
)  # fmt: skip
_Row = dict[str, Any]


def hidden_differences(
    findings: pd.DataFrame, settings: ComparisonSettings, unsound: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Where AUROC and AP are equivalent and a primary lens metric differs by more than Δ.

    p = max(p_equivalence AUROC, p_equivalence AP, p of H0 |d_lens| ≤ Δ), Holm over classes × treatments × primary
    metrics.

    Args:
        findings: From :func:`tailscope.stats.compare`.
        settings: The frozen plan.
        unsound: Primary metrics whose instrument failed its checks, with the reason; they stay in the family.

    Returns:
        Columns :data:`HIDDEN_COLUMNS`, one row per cell of one of four kinds: ``hidden difference`` (adjusted p < .05,
        enough seeds and patients); ``candidate`` (unadjusted p < .05); ``not visible`` (the lens has a verdict that it
        differs, but AUROC or AP is undecided), with ``positives_needed``, the positive patients that would decide both,
        NaN where patients alone cannot; ``not counted``: any of these, by an unsound instrument.

    Source: METHODS section 7.

    Example:
        >>> from tailscope.stats import compare
        >>> hidden_differences(compare([], ComparisonSettings()), ComparisonSettings()).empty
        True
    """
    rows: list[_Row] = [
        {str(name): value for name, value in row.items()}
        for row in findings.to_dict("records")
        if not (row["class"] in AGGREGATES and row["group"] == row["class"])
    ]
    performance = {(row["class"], row["arm"], row["metric"]): row for row in rows}
    cells = []
    for row in rows:
        if row["metric"] not in settings.primary:
            continue
        judges = [performance.get((row["class"], row["arm"], metric)) for metric in settings.performance]
        cells.append((row, [judge for judge in judges if judge is not None]))
    p = np.array([_joint_p(row, judges, settings) for row, judges in cells])
    adjusted = holm(p)
    families = family_sizes(findings)
    found = [
        _record(row, judges, (float(p[number]), float(adjusted[number])), settings, families)
        for number, (row, judges) in enumerate(cells)
    ]
    kept = [_judged(record, unsound or {}) for record in found if record["kind"]]
    return pd.DataFrame(kept, columns=list(HIDDEN_COLUMNS))


def _judged(record: _Row, unsound: Mapping[str, str]) -> _Row:
    """A cell of an unsound instrument is listed, and counts as nothing."""
    why = unsound.get(record["metric"])
    return record if why is None else {**record, "kind": "not counted", "reason": why}


def family_sizes(findings: pd.DataFrame) -> dict[str, int]:
    """Tests of each metric that are adjusted together: classes × treatments with a p value, without means."""
    is_mean = findings["class"].isin(AGGREGATES) & (findings["class"] == findings["group"])
    tested = findings[~is_mean & findings["p"].notna() & findings["p_adjusted"].notna()]
    return {str(metric): int(count) for metric, count in tested["metric"].value_counts().items()}


def positives_needed(row: _Row, settings: ComparisonSettings, family: int = 1) -> float:
    """Positive patients at which one undecided finding would be decided, its difference as observed.

    The patient part of the variance shrinks as 1/patients, the seed part stays. Where |d̄| is inside the margin, the
    90 % interval must fit into it (and the ratio's into its limits); where it is outside, p must be below α/m, the
    first and strictest step of Holm's adjustment, for m = ``family`` tests. At least the minimum of ``equivalent``, or
    of any verdict.

    Returns:
        A whole number, or NaN where more patients alone cannot decide it.
    """
    size = abs(row["difference"])
    if size < settings.margin(row["metric"]):
        wanted = _needed(row, (row["se"], row["df"], row["seed_share"]), settings.margin(row["metric"]) - size, 0.95)
        if row["metric"] in settings.ratio_metrics:
            lower, upper = np.log(settings.ratio_limits)
            room = min(np.log(row["ratio"]) - lower, upper - np.log(row["ratio"]))
            of_ratio = _needed(row, (row["ratio_se"], row["ratio_df"], row["ratio_seed_share"]), float(room), 0.95)
            wanted = float(np.maximum(wanted, of_ratio))
        least = settings.min_patients_equivalent
    else:
        level = 1 - settings.alpha / (2 * max(family, 1))
        wanted, least = _needed(row, (row["se"], row["df"], row["seed_share"]), size, level), settings.min_patients
    return float(np.maximum(wanted, least))


def _needed(row: _Row, spread: tuple[float, float, float], room: float, level: float) -> float:
    se, df, seed_share = spread
    if not (math.isfinite(se) and math.isfinite(df) and room > 0):
        return 0.0 if se == 0 and room > 0 else math.nan
    left = (room / float(stats.t.ppf(level, df))) ** 2 - seed_share * se**2
    return math.ceil(row["positives"] * (1 - seed_share) * se**2 / left) if left > 0 else math.nan


def _joint_p(row: _Row, judges: list[_Row], settings: ComparisonSettings) -> float:
    if len(judges) < len(settings.performance):
        return math.nan
    return float(np.max([row["p_beyond_margin"], *(judge["p_equivalence"] for judge in judges)]))


def _record(
    row: _Row, judges: list[_Row], p: tuple[float, float], settings: ComparisonSettings, families: Mapping[str, int]
) -> _Row:
    kind, reason = _kind(row, judges, p, settings)
    by_metric = {judge["metric"]: judge["difference"] for judge in judges}
    undecided = [judge for judge in judges if judge["verdict"].startswith("undecided")]
    wanted = undecided if kind == "not visible" else []
    needed = [positives_needed(judge, settings, families.get(judge["metric"], 1)) for judge in wanted]
    return {
        **{name: row[name] for name in ("class", "group", "arm", "lens", "metric", "difference", "lo", "hi")},
        "kind": kind,
        "p": p[0],
        "p_adjusted": p[1],
        "auroc_difference": by_metric.get("auroc", math.nan),
        "ap_difference": by_metric.get("average_precision", math.nan),
        "positives_needed": float(np.max(needed)) if needed else math.nan,
        "reason": reason,
    }


def _kind(row: _Row, judges: list[_Row], p: tuple[float, float], settings: ComparisonSettings) -> tuple[str, str]:
    if p[0] < settings.alpha:
        why = _why_only_candidate(row, judges, p[1], settings)
        return ("candidate", why) if why else ("hidden difference", "")
    verdicts = [judge["verdict"] for judge in judges]
    is_visible = any(said in DIFFERENT for said in verdicts)
    undecided = [judge["metric"] for judge in judges if judge["verdict"].startswith("undecided")]
    if row["verdict"] in DIFFERENT and undecided and not is_visible:
        return "not visible", f"{' and '.join(undecided)} undecided"
    return "", ""


def _why_only_candidate(row: _Row, judges: list[_Row], p_adjusted: float, settings: ComparisonSettings) -> str:
    if row["seeds"] < settings.min_seeds:
        return f"{row['seeds']} seeds, expected {settings.min_seeds} or more"
    fewest = min(min(judge["positives"], judge["negatives"]) for judge in judges)
    if fewest < settings.min_patients_equivalent:
        return f"{fewest} patients with the rarer label, expected {settings.min_patients_equivalent} or more"
    if min(row["positives"], row["negatives"]) < settings.min_patients:
        return f"{row['positives']} annotated patients, expected {settings.min_patients} or more"
    return "" if p_adjusted < settings.alpha else "not after Holm's adjustment"
