"""What was compared with control, and which of it the lenses and AUROC and AP each tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailscope.report.content import ReportContent
from tailscope.report.frames import AGGREGATES, FINDING_COLUMNS, HIDDEN_COLUMNS, float_of, text_of
from tailscope.report.selection import by_class
from tailscope.report.summary import verdict_kind
from tailscope.report.words import PERFORMANCE_METRICS

Rows = list[dict[str, Any]]

COLUMNS = (*FINDING_COLUMNS, "positives", "negatives", "seeds", "seed_share", "positives_needed")


@dataclass(frozen=True)
class Compared:
    """The comparisons by class of arms that are not identical by construction.

    Args:
        performance: Findings on AUROC and AP.
        lenses: Findings on the primary metric of every other lens.
        hidden: Hidden differences, candidates, not visible and not counted ones; with their ``reason``.
    """

    performance: Rows
    lenses: Rows
    hidden: Rows

    @property
    def rows(self) -> Rows:
        """All findings: AUROC and AP, then the lenses."""
        return self.performance + self.lenses

    def of_kind(self, kind: str) -> Rows:
        """Cells of one kind of hidden difference, the surest first."""
        return sorted(
            (row for row in self.hidden if row["kind"] == kind),
            key=lambda row: (float_of(row["p_adjusted"]) != float_of(row["p_adjusted"]), float_of(row["p_adjusted"])),
        )

    def find(self, class_name: str, arm: str, *metrics: str) -> dict[str, Any] | None:
        """The finding on the first of some metrics that has one."""
        found = {row["metric"]: row for row in self.rows if (row["class"], row["arm"]) == (class_name, arm)}
        return next((found[metric] for metric in metrics if metric in found), None)

    def beside(self, kinds: tuple[str, ...]) -> Rows:
        """Findings of the lenses that are not told as cells of these kinds."""
        told = {cell_of(row) for row in self.hidden if row["kind"] in kinds}
        return [row for row in self.lenses if cell_of(row) not in told]


def compared(content: ReportContent) -> Compared:
    """Read the findings of a page: classes head first, within a class by arm."""
    rows = by_class(content, content.findings, COLUMNS)
    same = {text_of(row["arm"]) for row in rows if verdict_kind(row["verdict"]) == "identical"}
    every = [row for row in rows if text_of(row["class"]) not in AGGREGATES and text_of(row["arm"]) not in same]
    performance = [row for row in every if is_performance(row) and text_of(row["metric"]) in PERFORMANCE_METRICS]
    lenses = [row for row in every if not is_performance(row)]
    declared = [row for row in lenses if is_primary(row)]
    hidden = by_class(content, content.hidden, (*HIDDEN_COLUMNS, "group", "reason"))
    return Compared(performance, declared or lenses, hidden)


def is_performance(row: dict[str, Any]) -> bool:
    """Whether a finding is on performance and not on a lens into the model."""
    return text_of(row["lens"]) == "performance"


def is_primary(row: dict[str, Any]) -> bool:
    """Whether the metric of a finding was declared beforehand.

    >>> is_primary({"primary": True}), is_primary({"primary": None})
    (True, False)
    """
    return row["primary"] is True or float_of(row["primary"]) == 1


def cell_of(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """What tells findings apart: lens, metric, class, arm."""
    return text_of(row["lens"]), text_of(row["metric"]), text_of(row["class"]), text_of(row["arm"])
