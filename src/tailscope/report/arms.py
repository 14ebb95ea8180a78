"""What the audits of one arm's runs say together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tailscope.report.frames import AUDIT_COLUMNS, filled, float_of, ranked, rows_of, text_of

Rows = list[dict[str, Any]]

VERDICTS = ("ok", "warning", "failed")
_NUMBERS = (
    "images", "images_drawn", "images_drawn_expected", "loss_ratio", "gradient_norm_ratio", "trained_norm_ratio", "lr",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A check of one arm that did not pass.

    Args:
        check: What was checked.
        verdict: warning or failed: the worst over its seeds.
        sentence: What was found in the first seed with this verdict.
        seeds: The seeds in which it did not pass.
    """

    check: str
    verdict: str
    sentence: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class ArmAudit:
    """One arm, its seeds merged.

    Args:
        arm: Label.
        verdict: The worst over the seeds; empty where unknown.
        worst: Number of seeds with that verdict.
        seeds: All seeds, in order.
        sentence: Of the first seed with that verdict.
        is_allowed: Whether it went on although it failed, because the configuration names it.
        weights_from: The arm whose weights it takes; empty where it was trained.
        numbers: Means over the seeds; NaN where unknown.
        problems: Checks that did not pass.
    """

    arm: str
    verdict: str
    worst: int
    seeds: tuple[int, ...]
    sentence: str
    is_allowed: bool
    weights_from: str
    numbers: Mapping[str, float]
    problems: tuple[Problem, ...]


def arm_audits(frame: pd.DataFrame | None, arms: Iterable[str]) -> tuple[ArmAudit, ...]:
    """One entry per arm, in the order of ``arms``, then those that only the audit names.

    Example:
        >>> runs = pd.DataFrame({"arm": ["focal"] * 2, "seed": [0, 1], "verdict": ["ok", "warning"]})
        >>> found = arm_audits(runs, ("focal",))[0]
        >>> found.verdict, found.worst, found.seeds
        ('warning', 1, (0, 1))
    """
    rows = rows_of(ranked(filled(frame, AUDIT_COLUMNS), "arm", tuple(arms)))
    names = dict.fromkeys(text_of(row["arm"]) for row in rows)
    return tuple(_merged(name, [row for row in rows if text_of(row["arm"]) == name]) for name in names)


def severity(verdict: str) -> int:
    """How bad a verdict is; unknown ones are least.

    >>> severity("failed") > severity("warning") > severity("ok") > severity("")
    True
    """
    return VERDICTS.index(verdict) if verdict in VERDICTS else -1


def _merged(arm: str, rows: Rows) -> ArmAudit:
    worst = max((text_of(row["verdict"]) for row in rows), key=severity)
    alike = [row for row in rows if text_of(row["verdict"]) == worst]
    return ArmAudit(
        arm=arm,
        verdict=worst,
        worst=len(alike),
        seeds=tuple(_seed(row) for row in rows),
        sentence=text_of(alike[0]["sentence"]),
        is_allowed=worst == "failed" and any(row["allowed"] is True for row in alike),
        weights_from=next((text_of(row["weights_from"]) for row in rows if text_of(row["weights_from"])), ""),
        numbers={name: _mean(row[name] for row in rows) for name in _NUMBERS},
        problems=_problems(rows),
    )


def _problems(rows: Rows) -> tuple[Problem, ...]:
    """Checks that did not pass, failed ones first."""
    found: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for row in rows:
        for problem in row["problems"] if isinstance(row["problems"], (list, tuple)) else ():
            found.setdefault(problem["check"], []).append((_seed(row), problem))
    merged = [_problem(check, each) for check, each in found.items()]
    return tuple(sorted(merged, key=lambda problem: -severity(problem.verdict)))


def _problem(check: str, found: list[tuple[int, dict[str, str]]]) -> Problem:
    _, worst = max(found, key=lambda item: severity(item[1]["verdict"]))
    return Problem(check, worst["verdict"], worst["sentence"], tuple(seed for seed, _ in found))


def _seed(row: dict[str, Any]) -> int:
    number = float_of(row["seed"])
    return int(number) if math.isfinite(number) else 0


def _mean(values: Iterable[Any]) -> float:
    finite = [number for number in map(float_of, values) if math.isfinite(number)]
    if not finite:
        return math.nan
    return finite[0] + sum(value - finite[0] for value in finite) / len(finite)  # equal values keep every bit
