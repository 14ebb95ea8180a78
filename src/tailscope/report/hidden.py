"""The chapter on what AUROC and AP do not show: lens against AUROC, and the cells that are hidden or may be."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from tailscope.report import tables
from tailscope.report.blocks import Block, Cell, Figure, Section, Table, not_shown
from tailscope.report.claims import hidden_anchor, linked
from tailscope.report.compared import Compared, cell_of, compared
from tailscope.report.content import ReportContent
from tailscope.report.false_alarms import false_alarm_blocks
from tailscope.report.frames import float_of, has_intervals, text_of
from tailscope.report.hidden_chart import hidden_chart
from tailscope.report.hidden_claims import CANDIDATE, HIDDEN, NOT_COUNTED, NOT_VISIBLE
from tailscope.report.numbers import decimal, plural
from tailscope.report.selection import class_names
from tailscope.report.summary import verdict_kind, why_not_compared
from tailscope.report.words import PERFORMANCE_METRICS, metric_name

Rows = list[dict[str, Any]]

_CAPTIONS = {
    HIDDEN: "Hidden differences: AUROC and AP are equivalent within the margin, and the lens differs by "
    "more than seed noise and margin, after Holm's correction over all classes, arms and primary metrics.",
    CANDIDATE: "Candidates: the same pattern without the full evidence (unadjusted p below 0.05, or two seeds). "
    "Confirm them with more seeds before relying on them.",
    NOT_VISIBLE: "Not visible: the lens differs, but AUROC or AP is undecided, so nobody can say whether they hide "
    "it. The column of positives needed has the number of positive patients that would decide it.",
    NOT_COUNTED: "Not counted: the lens differs, but the attribution method failed a check of its soundness (see Is "
    "the instrument sound?).",
}
_JOINT = (
    "p is that of the whole pattern, the largest of its three: AUROC is equivalent, AP is equivalent, and the lens "
    "differs by more than its margin."
)


def hidden(content: ReportContent, false_alarms: pd.DataFrame | None = None) -> Section:
    """The differences that AUROC and AP hide, and how often a second control would be said to differ."""
    found = compared(content)
    blocks: list[Block] = [*_figure(content, found), *(_table(kind, found.of_kind(kind)) for kind in _kinds(found))]
    if not found.hidden:
        blocks.append(not_shown(_why_nothing(content, found)))
    blocks += false_alarm_blocks(false_alarms, class_names(content))
    return Section("hidden", "What AUROC and AP do not show", tuple(blocks))


def _kinds(found: Compared) -> list[str]:
    return [kind for kind in _CAPTIONS if found.of_kind(kind)]


def _figure(content: ReportContent, found: Compared) -> tuple[Block, ...]:
    panels = _panels(found)
    if not panels:
        return ()
    caption = (
        "What AUROC and AP do not show: every class × arm by its difference in AUROC (across) and in the lens (up). "
        f"The upright grey band is ±{decimal(content.margin, 2)}, where AUROC counts as equivalent; the level band is "
        f"±{decimal(content.lens_margin, 2)}, where the lens counts as unchanged. {_marks(found)}A hidden difference "
        f"lies inside the upright band and outside the level one; its statistics decide, not its place. "
        f"{_data_sentence(found)}"
    )
    return (Figure(caption, hidden_chart(panels, content.arms, (content.margin, content.lens_margin))),)


def _marks(found: Compared) -> str:
    """How to tell the listed cells from the others, where some are listed."""
    if not found.hidden:
        return ""
    bars = " with bars (95 % intervals)" if has_intervals(found.hidden) else ""
    return f"Large named marks{bars} are the cells listed below, filled where the difference is hidden. "


def _data_sentence(found: Compared) -> str:
    """What the figure shows, for those who cannot see it."""
    counts = [plural(len(found.of_kind(kind)), kind) for kind in (HIDDEN, CANDIDATE) if found.of_kind(kind)]
    counts += [f"{len(found.of_kind(kind))} {kind}" for kind in (NOT_VISIBLE, NOT_COUNTED) if found.of_kind(kind)]
    return f"Shown: {', '.join(counts) or 'no hidden difference and no candidate'}."


def _panels(found: Compared) -> list[tuple[str, Rows]]:
    """Per lens: a point per class and arm that has both differences, with what the chart says of it."""
    kinds = {cell_of(row): text_of(row["kind"]) for row in found.hidden}
    panels: dict[str, Rows] = {}
    for row in found.lenses:
        auroc = found.find(row["class"], row["arm"], "auroc") or {}
        across, up = float_of(auroc.get("difference")), float_of(row["difference"])
        if not (math.isfinite(across) and math.isfinite(up)):
            continue
        point = {
            "arm": text_of(row["arm"]), "class": text_of(row["class"]), "kind": kinds.get(cell_of(row), ""),
            "x": across, "x_lo": float_of(auroc["lo"]), "x_hi": float_of(auroc["hi"]),
            "y": up, "y_lo": float_of(row["lo"]), "y_hi": float_of(row["hi"]),
        }  # fmt: skip
        panels.setdefault(f"{metric_name(text_of(row['metric']))}, treatment − control", []).append(point)
    return list(panels.items())


def _table(kind: str, rows: Rows) -> Table:
    plural_s = "s" if len(rows) > 1 and kind in (HIDDEN, CANDIDATE) else ""
    table = tables.hidden(f"{kind.capitalize()}{plural_s}", f"{_CAPTIONS[kind]} {_JOINT}", rows)
    if any(text_of(row["reason"]) for row in rows):
        cells = tuple((*line, Cell(_why(row))) for line, row in zip(table.rows, rows, strict=True))
        table = Table(table.caption, (*table.columns, "why not more"), cells, title=table.title)
    return linked(table, [hidden_anchor(*cell_of(row)) for row in rows])


def _why(row: dict[str, Any]) -> str:
    """The reason of a kind, with metrics by their names."""
    reason = text_of(row["reason"])
    for metric in PERFORMANCE_METRICS:
        reason = re.sub(rf"\b{metric}\b", metric_name(metric), reason)
    return reason


def _why_nothing(content: ReportContent, found: Compared) -> str:
    why = why_not_compared(content.arms, content.seeds)
    if why:
        return f"no cell can be called a hidden difference, because {why}"
    undecided = sum(verdict_kind(row["verdict"]) == "undecided" for row in found.rows)
    return (
        "no cell meets the criteria of a hidden difference or of a candidate; this does not show that there is none: "
        f"{plural(undecided, 'comparison')} of {len(found.rows):,} {'is' if undecided == 1 else 'are'} undecided"
    )
