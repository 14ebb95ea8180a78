"""What was found, in three sentences that never say more than the statistics do."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pandas as pd

from tailscope.report.frames import (
    AGGREGATES,
    ESTIMATE_COLUMNS,
    FINDING_COLUMNS,
    HIDDEN_COLUMNS,
    filled,
    float_of,
    rows_of,
    text_of,
)
from tailscope.report.numbers import decimal, listed, plural
from tailscope.report.words import PERFORMANCE_METRICS, metric_name

Rows = list[dict[str, Any]]

VERDICT_KINDS = ("different", "within", "equivalent", "candidate", "undecided", "identical", "none")


def verdict_kind(verdict: Any) -> str:
    """One of :data:`VERDICT_KINDS` for a verdict as ``findings.parquet`` spells it.

    >>> [verdict_kind(v) for v in ("better", "undecided (3 positive patients)", "candidate: worse", "")]
    ['different', 'undecided', 'candidate', 'none']
    """
    text = text_of(verdict)
    if text in {"better", "worse", "higher", "lower"}:
        return "different"
    for start, kind in (
        ("differs", "within"),
        ("equivalent", "equivalent"),
        ("candidate", "candidate"),
        ("identical", "identical"),
    ):
        if text.startswith(start):
            return kind
    return "undecided" if text.startswith("undecided") else "none"


def three_sentences(
    findings: pd.DataFrame | None,
    hidden: pd.DataFrame | None,
    estimates: pd.DataFrame | None,
    *,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    test_images: int = 0,
) -> tuple[str, str, str]:
    """Performance, lenses, hidden differences: one sentence each.

    Args:
        findings: Columns of DESIGN section 4, with ``primary`` where known; None or empty where nothing was compared.
        hidden: Hidden differences, candidates and cells that are not visible.
        estimates: Values per arm, for the macro averages.
        arms: Labels, the control first.
        seeds: The seeds of every arm.
        test_images: Number of test images; left out where 0.

    Returns:
        Three sentences. "Undecided" is always named as such, with its number and its main reason. Arms that are
        identical by construction are not counted.

    Example:
        >>> three_sentences(None, None, None, arms=("control",), seeds=(0,))[0]
        'Performance: nothing is compared, because there is only one arm (control).'
    """
    rows = rows_of(filled(findings, FINDING_COLUMNS))
    same = {text_of(row["arm"]) for row in rows if verdict_kind(row["verdict"]) == "identical"}
    found = [row for row in rows if text_of(row["class"]) not in AGGREGATES and text_of(row["arm"]) not in same]
    values = [row for row in rows_of(filled(estimates, ESTIMATE_COLUMNS)) if text_of(row["arm"]) not in same]
    performance = [row for row in found if text_of(row["metric"]) in PERFORMANCE_METRICS and _is_performance(row)]
    lenses = _primary([row for row in found if not _is_performance(row)])
    setting = _setting(values, seeds, test_images)
    return (
        _performance_sentence(performance, setting, _macro(values, arms), (arms, seeds)),
        _lens_sentence(lenses, (arms, seeds)),
        _hidden_sentence(rows_of(filled(hidden, HIDDEN_COLUMNS)), performance + lenses, (arms, seeds)),
    )


def why_not_compared(arms: tuple[str, ...], seeds: tuple[int, ...]) -> str:
    """Why there may be no verdict at all, or nothing if arms and seeds suffice.

    >>> why_not_compared(("control", "focal"), (0, 1, 2))
    ''
    """
    if len(arms) < 2:
        return f"there is only one arm ({', '.join(arms) or 'none'})"
    if len(seeds) < 2:
        return "one seed per arm cannot separate a treatment from seed noise (a verdict needs 3 seeds)"
    return "two seeds give candidates, not verdicts (a verdict needs 3 seeds)" if len(seeds) == 2 else ""


def _performance_sentence(rows: Rows, setting: str, macro: str, design: tuple[tuple[str, ...], tuple[int, ...]]) -> str:
    if not rows:
        why = why_not_compared(*design) or "no comparison of AUROC or AP was handed to the report"
        return f"Performance: nothing is compared, because {why}{f'; {macro}' if macro else ''}."
    different = [_cell(row) for row in rows if verdict_kind(row["verdict"]) == "different"]
    candidates = [_cell(row) for row in rows if verdict_kind(row["verdict"]) == "candidate"]
    if different:
        claim = f"AUROC or AP differs from control beyond seed noise for {listed(different)}"
    elif candidates:
        claim = f"no difference from control in AUROC or AP is established ({plural(len(candidates), 'candidate')})"
    else:
        claim = "no difference from control in AUROC or AP is established"
    parts = [f"{setting}, {claim}", macro, f"of {tally(rows)}"]
    return "; ".join(part for part in parts if part) + "."


def _lens_sentence(rows: Rows, design: tuple[tuple[str, ...], tuple[int, ...]]) -> str:
    if not rows:
        why = why_not_compared(*design) or "no lens handed a comparison to the report"
        return f"Lenses: nothing is compared, because {why}."
    parts = []
    for lens in dict.fromkeys(text_of(row["lens"]) for row in rows):
        mine = [row for row in rows if text_of(row["lens"]) == lens]
        metrics = listed(list(dict.fromkeys(metric_name(text_of(row["metric"])) for row in mine)), limit=2)
        moved = [row for row in mine if verdict_kind(row["verdict"]) == "different"]
        several = len({row["verdict"] for row in moved}) > 1
        names = [f"{row['arm']} on {row['class']}" + (f" {row['verdict']}" if several else "") for row in moved]
        shown = f" ({listed(names)})" if moved else ""
        parts.append(f"{lens} ({metrics}): of {tally(mine)}{shown}")
    return f"Inside the models, {'; '.join(parts)}."


def _hidden_sentence(hidden: Rows, found: Rows, design: tuple[tuple[str, ...], tuple[int, ...]]) -> str:
    by_kind = {kind: [row for row in hidden if row["kind"] == kind] for kind in _HIDDEN_KINDS}
    sure, candidates, unseen = (by_kind[kind] for kind in _HIDDEN_KINDS)
    if sure:
        claim = f"{plural(len(sure), 'hidden difference')} found: {listed([_cell(row, lens=True) for row in sure])}"
    else:
        claim = "No hidden difference is established"
    parts = [claim]
    if candidates:
        named = listed([_cell(row, lens=True) for row in candidates])
        parts.append(f"{plural(len(candidates), 'candidate')} to confirm: {named}")
    if unseen:
        verb = "differs" if len(unseen) == 1 else "differ"
        parts.append(
            f"{plural(len(unseen), 'cell')} {verb} in a lens while AUROC or AP is undecided (not visible, not hidden)"
        )
    parts.append(_undecided(found, design))
    return "; ".join(part for part in parts if part) + "."


_HIDDEN_KINDS = ("hidden difference", "candidate", "not visible")


def _undecided(found: Rows, design: tuple[tuple[str, ...], tuple[int, ...]]) -> str:
    why = why_not_compared(*design)
    rows = [row for row in found if verdict_kind(row["verdict"]) == "undecided"]
    if not rows:
        return why
    few = sum(bool(re.search(r"\d", text_of(row["verdict"]))) for row in rows)
    wide = len(rows) - few
    reasons = [why] if why else []
    reasons += [f"{few} for too few patients"] if few else []
    reasons += [f"{wide} because the interval allows both a difference and none"] if wide and not why else []
    verb = "stays" if len(rows) == 1 else "stay"
    because = "; ".join(reasons)
    return f"{plural(len(rows), 'comparison')} {verb} undecided, which does not mean no difference ({because})"


def tally(rows: Rows) -> str:
    """How many findings there are, and how many have each verdict.

    >>> tally([{"verdict": "better"}, {"verdict": "undecided"}, {"verdict": "undecided (3 positive patients)"}])
    '3 comparisons by class, 1 is better and 2 stay undecided'
    """
    kinds = Counter(verdict_kind(row["verdict"]) for row in rows)
    directions = Counter(text_of(row["verdict"]) for row in rows if verdict_kind(row["verdict"]) == "different")
    parts = [f"{number} {'is' if number == 1 else 'are'} {verdict}" for verdict, number in sorted(directions.items())]
    for kind, phrase in (
        ("within", "differ but within the margin"),
        ("equivalent", "are equivalent"),
        ("candidate", "are candidates"),
        ("undecided", "stay undecided"),
        ("none", "have no verdict"),
    ):
        if kinds[kind]:
            parts.append(f"{kinds[kind]} {_singular(phrase) if kinds[kind] == 1 else phrase}")
    return f"{plural(len(rows), 'comparison')} by class, {listed(parts, limit=9)}"


def _singular(phrase: str) -> str:
    return {
        "differ but within the margin": "differs but within the margin",
        "are equivalent": "is equivalent",
        "are candidates": "is a candidate",
        "stay undecided": "stays undecided",
        "have no verdict": "has no verdict",
    }[phrase]


def _cell(row: dict[str, Any], *, lens: bool = False) -> str:
    metric = metric_name(text_of(row["metric"]))
    where = f"{row['lens']} {metric}" if lens else metric
    direction = text_of(row.get("verdict")) or _direction(row)
    return f"{row['arm']} on {row['class']} ({where} {direction})"


def _direction(row: dict[str, Any]) -> str:
    difference = float_of(row.get("difference"))
    return ("higher" if difference > 0 else "lower") if math.isfinite(difference) else "different"


def _primary(rows: Rows) -> Rows:
    marked = [row for row in rows if row["primary"] is True or float_of(row["primary"]) == 1]
    return marked or rows


def _is_performance(row: dict[str, Any]) -> bool:
    return text_of(row["lens"]) == "performance"


def _setting(values: Rows, seeds: tuple[int, ...], test_images: int) -> str:
    classes = {text_of(row["class"]) for row in values} - set(AGGREGATES) - {""}
    images = f"{plural(test_images, 'test image')}" if test_images else "the test images"
    of_classes = f" of {plural(len(classes), 'class', 'classes')}" if classes else ""
    return f"On {images}{of_classes} with {plural(len(seeds), 'seed')} per arm"


def _macro(values: Rows, arms: tuple[str, ...]) -> str:
    macro = {
        text_of(row["arm"]): float_of(row["value"])
        for row in values
        if text_of(row["metric"]) == "auroc" and text_of(row["class"]) == "macro"
    }
    if not arms or not math.isfinite(macro.get(arms[0], math.nan)):
        return ""
    others = sorted((value, arm) for arm, value in macro.items() if arm != arms[0] and math.isfinite(value))
    text = f"macro AUROC is {decimal(macro[arms[0]])} for {arms[0]}"
    if not others:
        return text
    low, high = decimal(others[0][0]), decimal(others[-1][0])
    spread = low if low == high else f"{low} to {high}"
    return f"{text} against {spread} for {others[0][1] if len(others) == 1 else 'the treatments'}"
