"""The forest plots and tables of differences that close a chapter, or why there are none."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report import tables
from tailscope.report.blocks import Block, Figure, Table, not_shown
from tailscope.report.claims import described, difference_anchor, linked
from tailscope.report.compared import COLUMNS, cell_of
from tailscope.report.content import ReportContent
from tailscope.report.forest_chart import forest_chart
from tailscope.report.frames import AGGREGATES, CLASS_COLUMNS, filled, float_of, has_intervals, rows_of, text_of
from tailscope.report.numbers import count, decimal, share
from tailscope.report.selection import by_class, metrics_of
from tailscope.report.summary import verdict_kind, why_not_compared
from tailscope.report.words import PERFORMANCE_METRICS, capital, metric_name

Rows = list[dict[str, Any]]

MOST_OPEN = 80  # rows; a longer table starts folded, so that the next chapter can be found


def difference_tables(
    content: ReportContent, lenses: set[str], is_open: tuple[str, ...], without: tuple[str, ...] = ()
) -> tuple[Block, ...]:
    """Per metric of some lenses a table, and a forest plot for those of ``is_open`` that have verdicts.

    Tables of ``is_open`` start open unless they are long; metrics of ``without`` stand elsewhere.
    """
    rows = [row for row in by_class(content, content.findings, COLUMNS) if row["lens"] in lenses]
    rows = [row for row in rows if row["metric"] not in without]
    if not rows:
        why = why_not_compared(content.arms, content.seeds) or "no comparison of this lens was handed over"
        return (not_shown(f"no arm is compared with control here, because {why}"),)
    margin = content.margin if "performance" in lenses else content.lens_margin
    prevalence = _prevalence(content)
    blocks: list[Block] = []
    for metric in metrics_of(rows, first=PERFORMANCE_METRICS):
        mine = [row for row in rows if row["metric"] == metric]
        if metric in is_open:
            blocks += _forest(content, metric, mine, margin)
        shown = tables.differences(metric, mine, margin, is_open=metric in is_open and len(mine) <= MOST_OPEN)
        blocks.append(_addressed(shown, mine, prevalence))
    return tuple(blocks)


def class_facts(row: dict[str, Any], prevalence: dict[str, float]) -> str:
    """How frequent a class is in training, and how many of its patients the comparison rests on.

    >>> class_facts({"class": "mass", "positives": 41.0}, {"mass": 0.035})
    '3.5 %, 41 positive'
    """
    frequency, positives = prevalence.get(text_of(row["class"]), math.nan), float_of(row["positives"])
    parts = [share(frequency)] if math.isfinite(frequency) else []
    parts += [f"{count(positives)} positive"] if math.isfinite(positives) else []
    return ", ".join(parts)


def _addressed(table: Table, rows: Rows, prevalence: dict[str, float]) -> Table:
    facts = ["" if row["class"] in AGGREGATES else class_facts(row, prevalence) for row in rows]
    remark = (
        "Classes run from frequent to rare; beside each stand its share of the training images and the number of its "
        "positive test patients (annotated ones, where annotations are compared)."
    )
    known = described(table, facts, remark) if any(facts) else table
    return linked(known, [difference_anchor(*cell_of(row)) for row in rows])


def _forest(content: ReportContent, metric: str, rows: Rows, margin: float) -> tuple[Block, ...]:
    """The forest plot of one metric: classes by prevalence, one line per arm, verdict beside."""
    shown = [
        row
        for row in rows
        if row["class"] not in AGGREGATES
        and math.isfinite(float_of(row["difference"]))
        and verdict_kind(row["verdict"]) != "identical"
    ]
    if not shown:
        return ()
    prevalence = _prevalence(content)
    facts = {text_of(row["class"]): class_facts(row, prevalence) for row in shown}
    name = capital(metric_name(metric))
    bars = "bars are 95 % intervals" if has_intervals(shown) else "there are no intervals"
    caption = (
        f"{name}, treatment minus control, per class from frequent to rare, with the class's share of the training "
        f"images and its positive test patients. Marks are differences, {bars}; the grey band is the margin of "
        f"±{decimal(margin, 2)}. The verdict stands beside each, and only it says what is shown: a bar "
        "that leaves out zero is not corrected for the number of comparisons."
    )
    title = f"{name}, treatment − control"
    return (Figure(caption, forest_chart(title, shown, content.arms, margin, facts)),)


def _prevalence(content: ReportContent) -> dict[str, float]:
    table = rows_of(filled(content.class_table, CLASS_COLUMNS))
    return {text_of(row["class"]): float_of(row["prevalence"]) for row in table}
