"""Whom does an arm serve worst? Performance in subgroups of the patients, and their gap to all others."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Cell, Figure, Listing, Notes, Table, figure_cell, not_shown, word
from tailscope.report.frames import AGGREGATES, float_of, has_intervals, text_of
from tailscope.report.numbers import count, decimal, interval, plural, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, grouped
from tailscope.report.subgroup_chart import SubgroupLine, subgroup_chart
from tailscope.report.words import metric_name

SUBGROUP_COLUMNS = (
    "column", "subgroup", "class", "group", "arm", "metric", "value", "lo", "hi", "difference", "difference_lo",
    "difference_hi", "n", "patients", "positives", "reason",
)  # fmt: skip
GAP_COLUMNS = (
    "column", "subgroup", "class", "group", "arm", "metric", "gap", "lo", "hi", "difference", "difference_lo",
    "difference_hi", "reason",
)  # fmt: skip

_METRIC = "auroc"
_METRICS = ("auroc", "average_precision", "sensitivity", "specificity")
_HOW = (
    "A gap is the value in a subgroup minus the value among all other test images whose subgroup is known, on the same "
    "classes: below 0 the subgroup is served worse. The worst subgroup is named after looking; its interval allows for "
    "that, because the intervals of a column's gaps hold for all its subgroups at once. They are not adjusted over "
    "classes, arms and columns, and a gap does not say why: subgroups differ in how hard their images are."
)
_POINT = (
    "Sensitivity and specificity are at the arm's one threshold, chosen on all validation images (at least 95 % "
    "specificity there)."
)

Cells = dict[tuple[str, ...], dict[str, Any]]


def subgroup_blocks(subgroups: pd.DataFrame | None, gaps: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Per column a figure, a sentence per arm on its worst subgroup, and a folded table.

    Args:
        subgroups: column, subgroup, class, group, arm, metric, value, lo, hi, difference (from control),
            difference_lo, difference_hi, n, patients, positives, reason.
        gaps: column, subgroup, class, group, arm, metric, gap (to all others), lo, hi, difference (of the gap, from
            control), difference_lo, difference_hi, reason.
        order: Of classes and arms.
    """
    rows = [row for row in order.rows(subgroups, SUBGROUP_COLUMNS) if text_of(row["arm"]) in order.arms]
    if not rows:
        return (not_shown("no column of the images splits the test images into subgroups, or none was asked for"),)
    apart = [row for row in order.rows(gaps, GAP_COLUMNS) if text_of(row["arm"]) in order.arms]
    found: list[Block] = []
    for (column,), mine in grouped(rows, "column").items():
        theirs = [row for row in apart if row["column"] == column]
        found += _column(column, mine, theirs, order)
    return tuple(found)


def _column(column: str, rows: Rows, gaps: Rows, order: PageOrder) -> list[Block]:
    ranked = [row for row in gaps if row["metric"] == _METRIC and math.isfinite(float_of(row["gap"]))]
    if not ranked:
        why = not_shown(f"no two subgroups by {column} have enough patients to be compared")
        return [why, _table(column, rows, gaps)]
    values = [row for row in rows if row["metric"] == _METRIC]
    names = [name for name in ("macro", _most_affected(ranked, order)) if any(row["class"] == name for row in ranked)]
    told = tuple(_sentences(name, values, ranked, order) for name in names)
    items = tuple(f"By {column}, {_of(name)}; the worst is named after looking:" for name in names)
    return [Listing(items, below=told), _figure(column, names, values, ranked, order), _table(column, rows, gaps)]


def _most_affected(ranked: Rows, order: PageOrder) -> str:
    """The class with the lowest gap of any subgroup in control."""
    single = [row for row in ranked if row["class"] not in AGGREGATES and row["arm"] == order.arms[0]]
    return text_of(min(single, key=lambda row: float_of(row["gap"]))["class"]) if single else ""


def _of(name: str) -> str:
    return "average over classes" if name == "macro" else f"{name}, the class with the widest gap in control"


def _sentences(name: str, values: Rows, ranked: Rows, order: PageOrder) -> tuple[str, ...]:
    """The subgroup with the lowest gap: for every arm on average, for control alone on a class that was picked."""
    sizes = {(text_of(row["arm"]), text_of(row["subgroup"])): row for row in values if row["class"] == name}
    told = []
    for arm in order.arms if name == "macro" else order.arms[:1]:
        mine = [row for row in ranked if row["class"] == name and row["arm"] == arm]
        if mine:
            worst = min(mine, key=lambda row: float_of(row["gap"]))
            told.append(_sentence(worst, sizes.get((arm, text_of(worst["subgroup"])), {}), len(mine)))
    return tuple(told)


def _sentence(gap: dict[str, Any], value: dict[str, Any], subgroups: int) -> str:
    which = f"the worst of {subgroups} is" if subgroups > 1 else "the only one that can be ranked is"
    apart = f"{signed(gap['gap'])} {interval(gap['lo'], gap['hi'], is_difference=True)}".rstrip()
    where = (
        f"{metric_name(_METRIC)} {decimal(value.get('value'))} {interval(value.get('lo'), value.get('hi'))}".rstrip()
    )
    size = f"{_many(value.get('n'), 'image')} of {_many(value.get('patients'), 'patient')}"
    change = interval(gap["difference_lo"], gap["difference_hi"], is_difference=True)
    against = f"; gap minus control's {signed(gap['difference'])} {change}" if change else ""
    return (
        f"{text_of(gap['arm'])}: {which} {text_of(gap['subgroup'])}, {apart} against all others ({_judged(gap)}); "
        f"{where} in {size}{against}."
    )


def _many(value: Any, one: str) -> str:
    number = float_of(value)
    return plural(round(number), one) if math.isfinite(number) else f"an unknown number of {one}s"


def _judged(gap: dict[str, Any]) -> str:
    high = float_of(gap["hi"])
    if not math.isfinite(high):
        return "no interval, so nothing is shown"
    return "worse" if high < 0 else "not shown to be worse"


def _figure(column: str, names: list[str], values: Rows, ranked: Rows, order: PageOrder) -> Figure:
    lines = [
        SubgroupLine(
            f"{metric_name(_METRIC)}, {'average' if name == 'macro' else name}",
            [row for row in values if row["class"] == name],
            [row for row in ranked if row["class"] == name],
        )
        for name in names
    ]
    subgroups = tuple(dict.fromkeys(text_of(row["subgroup"]) for row in values))
    marks = "95 % intervals over patients and seeds" if has_intervals(ranked) else "missing: intervals need two seeds"
    return Figure(
        f"Subgroups by {column}: {metric_name(_METRIC)} in each (left) and its gap to all others (right), "
        f"{' and '.join(_of(name) for name in names)}. Marks are means over seeds, lines {marks}. {_HOW} Averages in "
        "two subgroups may be over different classes, those ranked in each: compare the gaps, not the averages.",
        subgroup_chart(lines, subgroups, order.arms),
    )


def _table(column: str, rows: Rows, gaps: Rows) -> Table:
    notes = Notes()
    cells = {_address(row): row for row in rows}
    apart = {_address(row): row for row in gaps}
    lines = []
    for key, mine in grouped(rows, "class", "subgroup", "arm").items():
        values = [cells.get((*key, metric), {}) for metric in _METRICS]
        gap = apart.get((*key, _METRIC), {})
        lines.append(
            (
                class_cell(key[0]),
                word(key[1]),
                word(key[2]),
                *(_value(row, notes) for row in values),
                _change(values[0], "difference"),
                _change(gap, "gap", ("lo", "hi"), notes),
                _change(gap, "difference"),
                *(figure_cell(count(mine[0][name]), mine[0][name]) for name in ("n", "patients", "positives")),
            )
        )
    brackets = "; brackets are 95 % intervals over patients and seeds" if has_intervals(rows) else ""
    return Table(
        f"Subgroups by {column}, mean over seeds{brackets}. {_POINT} AP "
        "rises with the prevalence of a subgroup, so it is compared between arms and not between subgroups. Δ is the "
        "arm minus control inside the subgroup, Δ gap the same of the gap. Positives are patients with a positive "
        "image; an average is over the classes that are ranked in the subgroup (20 patients with either label) and "
        "counts those of the class with fewest.",
        ("class", column, "arm", "AUROC", "AP", "sensitivity", "specificity", "Δ AUROC", "gap AUROC", "Δ gap", "images",
         "patients", "positives"),
        tuple(lines),
        title=f"Subgroups by {column}",
        is_open=False,
        notes=notes.lines(),
        is_dense=True,
    )  # fmt: skip


def _address(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(text_of(row[name]) for name in ("class", "subgroup", "arm", "metric"))


def _value(row: dict[str, Any], notes: Notes) -> Cell:
    value = row.get("value")
    ends = interval(row.get("lo"), row.get("hi"))
    cell = figure_cell(decimal(value), value, row.get("reason"), notes, detail=ends)
    why = text_of(row.get("reason"))
    if not why or cell.note:
        return cell
    return Cell(cell.text, key=cell.key, title=why, note=notes.letter(why), style=cell.style)  # a value, not ranked


def _change(
    row: dict[str, Any],
    name: str,
    ends: tuple[str, str] = ("difference_lo", "difference_hi"),
    notes: Notes | None = None,
) -> Cell:
    value = row.get(name)
    shown = interval(*(row.get(end) for end in ends), is_difference=True)
    return figure_cell(signed(value), value, row.get("reason") if notes else "", notes, detail=shown)
