"""Verdicts by kind and in numbers, and why there may be none."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tailscope.report.frames import text_of
from tailscope.report.numbers import listed, plural

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
