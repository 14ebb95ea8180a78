"""Did the features of a class change, or only the head? Probes beside the trained heads."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.report import figures
from tailscope.report.blocks import Block, Cell, Figure, Listing, Notes, Table, figure_cell, not_shown, word
from tailscope.report.frames import AGGREGATES, float_of, has_intervals, text_of
from tailscope.report.numbers import decimal, interval, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, grouped, names_in

PROBE_COLUMNS = (
    "arm", "class", "group", "probe_auroc", "probe_lo", "probe_hi", "head_auroc", "head_lo", "head_hi",
    "probe_difference", "probe_difference_lo", "probe_difference_hi", "head_difference", "head_difference_lo",
    "head_difference_hi", "verdict", "sentence", "reason",
)  # fmt: skip

_STRONG = ("features changed", "only the head")


def probe_blocks(probes: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Features or only the head: sentences of the groups, verdicts per class and arm, a chart and all numbers."""
    rows = order.rows(probes, PROBE_COLUMNS)
    if not rows:
        return (not_shown("no probe was fitted, so nobody can say whether features or only the head changed"),)
    told = tuple(text_of(row["sentence"]) for row in rows if row["class"] in AGGREGATES and text_of(row["sentence"]))
    blocks: list[Block] = [Listing(told)] if told else []
    blocks += [_verdicts(rows, order)] if names_in(rows, "verdict") else []
    blocks += [_probe_chart(rows, order), _probe_table(rows)]
    return tuple(blocks)


def _verdicts(rows: Rows, order: PageOrder) -> Table:
    """One line per class, one column per treatment."""
    arms = [arm for arm in order.arms if any(row["arm"] == arm and text_of(row["verdict"]) for row in rows)]
    lines = tuple(
        (class_cell(name), word(mine[0]["group"]), *(_verdict(mine, arm) for arm in arms))
        for (name,), mine in grouped(rows, "class").items()
    )
    return Table(
        "Did the features change, or only the head? Features changed: a balanced linear probe, fitted on the features "
        "by one protocol for all arms, reaches another AUROC than on control's features. Only the head: the probe is "
        "equivalent, the trained head is not. Nothing changed: both are equivalent. Undecided says nothing.",
        ("class", "group", *arms),
        lines,
        title="Features, or only the head",
    )


def _verdict(rows: Rows, arm: str) -> Cell:
    mine = [row for row in rows if row["arm"] == arm]
    verdict = text_of(mine[0]["verdict"]) if mine else ""
    if not mine or not verdict:
        return word(None)
    style = "different" if verdict in _STRONG else "undecided" if verdict.startswith("undecided") else "equivalent"
    return Cell(verdict, title=text_of(mine[0]["sentence"]), style=f"verdict {style}")


def _probe_chart(rows: Rows, order: PageOrder) -> Figure:
    panels = [
        (
            title,
            [{**row, "value": row[f"{name}_auroc"], "lo": row[f"{name}_lo"], "hi": row[f"{name}_hi"]} for row in rows],
        )
        for name, title in (("probe", "AUROC of the probe (features)"), ("head", "AUROC of the trained head"))
    ]
    ends = ", with 95 % intervals" if has_intervals(rows, "probe_lo") else ""
    return Figure(
        f"What the features hold (left) and what the head makes of them (right), per class and arm{ends}. An arm that "
        "moves on the right only has changed its head.",
        figures.interval_chart(panels, names_in(rows, "class"), order.arms),
    )


def _probe_table(rows: Rows) -> Table:
    names = ("probe", "head", "probe_difference", "head_difference")
    shown = [name for name in names if any(math.isfinite(float_of(row[_value(name)])) for row in rows)]
    heads = {"probe": "probe", "head": "head", "probe_difference": "Δ probe", "head_difference": "Δ head"}
    notes = Notes()
    lines = tuple(
        (
            class_cell(text_of(row["class"])),
            word(row["arm"]),
            *(_auroc(row, name, notes) for name in shown),
            Cell(text_of(row["verdict"]) or "–", title=text_of(row["sentence"])),
        )
        for row in rows
    )
    brackets = ", brackets are 95 % intervals" if has_intervals(rows, "probe_lo") else ""
    return Table(
        f"AUROC of the probe and of the trained head, mean over seeds; Δ is the difference from control{brackets}.",
        ("class", "arm", *(heads[name] for name in shown), "verdict"),
        lines,
        title="Probes and heads",
        is_open=False,
        notes=notes.lines(),
        is_dense=True,
    )


def _value(name: str) -> str:
    return name if name.endswith("difference") else f"{name}_auroc"


def _auroc(row: dict[str, Any], name: str, notes: Notes) -> Cell:
    is_difference = name.endswith("difference")
    value = row[_value(name)]
    ends = interval(row[f"{name}_lo"], row[f"{name}_hi"], is_difference=is_difference)
    return figure_cell(signed(value) if is_difference else decimal(value), value, row["reason"], notes, detail=ends)
