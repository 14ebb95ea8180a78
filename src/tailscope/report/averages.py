"""The table that leads the chapter on performance: averages over classes, one line per arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailscope.report.blocks import Cell, Notes, Table, figure_cell, word
from tailscope.report.frames import AGGREGATES, has_intervals, text_of
from tailscope.report.numbers import decimal, interval
from tailscope.report.words import metric_name

Rows = list[dict[str, Any]]


def averages(metrics: tuple[str, ...], rows: Rows, arms: tuple[str, ...], verdicts: Mapping[str, str]) -> Table:
    """Each arm's averages over all classes and per group, beside the verdict of its audit.

    Args:
        metrics: Metrics to show, those present.
        rows: metric, class, arm, value, lo, hi, reason.
        arms: From top to bottom.
        verdicts: Arm to its audit's verdict; the column is left out where empty.
    """
    notes = Notes()
    cells = {(row["metric"], text_of(row["class"]), text_of(row["arm"])): row for row in rows}
    present = {(metric, name) for metric, name, _ in cells}
    columns = [(metric, name) for metric in metrics for name in AGGREGATES if (metric, name) in present]
    lines = tuple(
        (
            word(arm),
            *([_verdict(verdicts.get(arm, ""))] if verdicts else []),
            *(_value(cells.get((*column, arm)), notes) for column in columns),
        )
        for arm in arms
    )
    known = has_intervals(rows)
    which = "of arms whose intervals overlap means little" if known else "means little without intervals"
    return Table(
        f"Averages over classes per arm{', with 95 % intervals' if known else ''}: macro is the mean over all classes; "
        "head, medium and tail are means over the classes of the group. A click on a column's head sorts by it, but "
        f"the order {which}.",
        ("arm", *(["audit"] if verdicts else []), *(f"{metric_name(metric)}, {name}" for metric, name in columns)),
        lines,
        notes=notes.lines(),
        is_dense=True,
    )


def _verdict(verdict: str) -> Cell:
    return word(verdict, style=f"verdict {verdict or 'none'}")


def _value(row: dict[str, Any] | None, notes: Notes) -> Cell:
    if row is None:
        return figure_cell("", None, "not measured for this arm", notes)
    detail = interval(row["lo"], row["hi"])
    return figure_cell(decimal(row["value"]), row["value"], row["reason"], notes, detail=detail)
