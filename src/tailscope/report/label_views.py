"""What the label view does: every further view against the first, and every treatment within a further view."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.blocks import Block, Cell, Figure, Notes, Paragraph, Section, Table, figure_cell, not_shown, word
from tailscope.report.content import ReportContent
from tailscope.report.forest_chart import forest_chart
from tailscope.report.frames import AGGREGATES, float_of, text_of
from tailscope.report.numbers import decimal, interval, listed, p_value, plural, signed
from tailscope.report.selection import by_class, metrics_of
from tailscope.report.words import PERFORMANCE_METRICS, capital, metric_name

COLUMNS = (
    "comparison", "view", "treatment", "metric", "class", "group", "arm", "control", "value", "control_value",
    "difference", "lo", "hi", "p_adjusted", "margin", "verdict", "reason", "primary",
)  # fmt: skip
_MOST_DRAWN = 60  # lines of a chart; beyond, only the means over classes are drawn
_MOST_OPEN = 40  # rows; a longer table starts folded
_DIFFERENT = ("better", "worse", "higher", "lower", "differs, within the margin")
_SAID = {
    "view": "under a further label view minus the same arm under the first",
    "treatment": "minus control, both under the further label view",
}
_TITLES = {"view": "Further views against the first", "treatment": "Treatments within the further views"}
Rows = list[dict[str, Any]]


def label_views(content: ReportContent) -> tuple[Section, ...]:
    """The chapter; none where an experiment has one label view."""
    if content.label_views is None or content.label_views.empty:
        return ()
    rows = [row for row in by_class(content, content.label_views, COLUMNS) if _is_primary(row)]
    if not rows:
        return (Section("label-views", "Label views", (not_shown("no comparison of label views was handed over"),)),)
    views = list(dict.fromkeys(text_of(row["view"]) for row in rows))
    blocks: list[Block] = [Paragraph(_design(views))]
    arms = ("", *dict.fromkeys(text_of(row["arm"]) for row in rows))  # an arm looks alike in both charts
    for kind in ("view", "treatment"):
        mine = [row for row in rows if row["comparison"] == kind]
        blocks += _comparison(kind, mine, arms) if mine else []
    return (Section("label-views", "Label views", tuple(blocks)),)


def _design(views: list[str]) -> str:
    further = f"{plural(len(views), 'further label view')} ({listed(views, limit=len(views))})"
    return (
        f"Every arm of the comparison was trained again with the training and validation labels of {further}. Images, "
        "split and test labels are those of the first view, whose arms are the arms of all other chapters; so are the "
        "batches, but for samplers that draw by labels. What follows is apart from the other chapters: each treatment, "
        "and each view, is a comparison of its own, adjusted over its own classes."
    )


def _comparison(kind: str, rows: Rows, arms: tuple[str, ...]) -> list[Block]:
    blocks: list[Block] = [Paragraph(_counted(kind, rows))]
    for number, metric in enumerate(metrics_of(rows, first=PERFORMANCE_METRICS)):
        mine = [row for row in rows if row["metric"] == metric]
        blocks += _forest(kind, metric, mine, arms) if number == 0 else []
        blocks.append(_table(kind, metric, mine))
    return blocks


def _counted(kind: str, rows: Rows) -> str:
    judged = [row for row in rows if text_of(row["verdict"]) and row["class"] not in AGGREGATES]
    different = [row for row in judged if text_of(row["verdict"]) in _DIFFERENT]
    start = f"{_TITLES[kind]}: "
    if not judged:
        return f"{start}there is no verdict, because {_why_none(rows)}."
    arms = list(
        dict.fromkeys(f"{row['arm']} ({row['class']}, {metric_name(text_of(row['metric']))})" for row in different)
    )
    which = f" ({listed(arms, limit=6)})" if arms else ""
    equal = sum(text_of(row["verdict"]) == "equivalent" for row in judged)
    undecided = len(judged) - len(different) - equal
    return (
        f"{start}of {plural(len(judged), 'comparison')} by class, {len(different)} differ beyond noise{which}, "
        f"{equal} are equivalent and {undecided} undecided, which does not mean no difference."
    )


def _why_none(rows: Rows) -> str:
    return next((text_of(row["reason"]) for row in rows if text_of(row["reason"])), "nothing could be estimated")


def _is_primary(row: dict[str, Any]) -> bool:
    return bool(row["primary"]) and row["primary"] == row["primary"]


def _forest(kind: str, metric: str, rows: Rows, arms: tuple[str, ...]) -> list[Block]:
    """Differences of one metric, class by class, or their means alone where the classes would fill pages."""
    finite = [row for row in rows if math.isfinite(float_of(row["difference"]))]
    by_class_rows = [row for row in finite if row["class"] not in AGGREGATES]
    is_long = len(by_class_rows) > _MOST_DRAWN
    shown = [row for row in finite if row["class"] in AGGREGATES] if is_long else by_class_rows
    if not shown:
        return []
    margin, name = float_of(shown[0]["margin"]), capital(metric_name(metric))
    what = "means over classes" if is_long else "per class from frequent to rare"
    caption = (
        f"{name}, arms {_SAID[kind]}, {what}, with 95 % intervals; the grey band is the margin of "
        f"±{decimal(margin, 2)}. The verdict stands beside each, and only it is corrected for their number."
    )
    title = f"{name}, view − first view" if kind == "view" else f"{name}, treatment − control"
    return [Figure(caption, forest_chart(title, shown, arms, margin))]


def _table(kind: str, metric: str, rows: Rows) -> Table:
    notes, name = Notes(), metric_name(metric)
    caption = (
        f"{capital(name)} of arms {_SAID[kind]}, with 95 % intervals; p after Holm's adjustment over "
        f"{'classes and further views' if kind == 'view' else 'classes and treatments'}."
    )
    return Table(
        caption,
        ("class", "arm", "against", name, f"{name} against", "difference", "adjusted p", "verdict"),
        tuple(_line(row, notes) for row in rows),
        title=f"{_TITLES[kind]}: {name}",
        is_open=len(rows) <= _MOST_OPEN and metric in PERFORMANCE_METRICS[:1],
        notes=notes.lines(),
    )


def _line(row: dict[str, Any], notes: Notes) -> tuple[Cell, ...]:
    name = text_of(row["class"])
    bounds = interval(row["lo"], row["hi"], is_difference=True)
    return (
        Cell(f"{name} (average)", style="strong") if name in AGGREGATES else Cell(name),
        word(row["arm"]),
        word(row["control"]),
        figure_cell(decimal(row["value"]), row["value"]),
        figure_cell(decimal(row["control_value"]), row["control_value"]),
        figure_cell(signed(row["difference"]), row["difference"], row["reason"], notes, detail=bounds),
        figure_cell(p_value(row["p_adjusted"]), row["p_adjusted"]),
        word(row["verdict"]),
    )
