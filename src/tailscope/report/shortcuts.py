"""The chapter on shortcuts: does a class look at what is no finding, and does its logit rest on it?"""

from __future__ import annotations

from typing import Any

from tailscope.report import figures
from tailscope.report.blocks import Block, Cell, Figure, Paragraph, Section, Table, figure_cell, not_shown, word
from tailscope.report.content import ReportContent
from tailscope.report.differences import MOST_OPEN
from tailscope.report.forest import common_scale, interval_picture
from tailscope.report.frames import AGGREGATES, SHORTCUT_COLUMNS, float_of, has_intervals, text_of
from tailscope.report.numbers import count, decimal, listed, plural, signed
from tailscope.report.selection import by_class, class_names
from tailscope.report.words import capital

Rows = list[dict[str, Any]]
SHORTCUT = "shortcut"
_WORTH = (SHORTCUT, "effect, without looking", "looks, without effect")


def shortcuts(content: ReportContent) -> Section:
    """Saliency on confounders, and what their removal does."""
    title = "Shortcuts: what is no finding"
    rows = _rows(content)
    if not rows:
        why = "no confounder was looked at (the data set names none, or the audit was not asked for)"
        return Section("shortcuts", title, (not_shown(why),))
    names = list(dict.fromkeys(text_of(row["confounder"]) for row in rows))
    charts = tuple(_chart(content, name, [row for row in rows if row["confounder"] == name]) for name in names)
    return Section("shortcuts", title, (*found_shortcuts(content), *charts, _table(rows)))


def found_shortcuts(content: ReportContent) -> tuple[Block, ...]:
    """One sentence on the shortcuts that were found; nothing where none was."""
    found = [row for row in _rows(content) if text_of(row["verdict"]) == SHORTCUT]
    if not found:
        return ()
    cells: dict[tuple[str, str], list[str]] = {}
    for row in found:
        cells.setdefault((text_of(row["class"]), text_of(row["confounder"])), []).append(text_of(row["arm"]))
    told = [
        f"{name} looks at {_plain(confounder)}, and its logit rests on it, under {listed(arms, limit=6)}"
        for (name, confounder), arms in cells.items()
    ]
    return (Paragraph(f"{plural(len(told), 'shortcut')} found: {'; '.join(told)}."),)


def _rows(content: ReportContent) -> Rows:
    return [
        row for row in by_class(content, content.shortcuts, SHORTCUT_COLUMNS) if text_of(row["class"]) not in AGGREGATES
    ]


def _plain(confounder: str) -> str:
    return f"the {confounder.replace('_', ' ')}" if confounder != "outside_body" else "what lies outside the body"


def _chart(content: ReportContent, confounder: str, rows: Rows) -> Block:
    looks = [{**row, "value": row["excess"]} for row in rows]
    rests = [
        {**row, "value": row["removal"], "lo": row["removal_lo"], "hi": row["removal_hi"]}
        for row in rows
        if row["removal"] == row["removal"]
    ]
    panels = [("share of saliency on it, above its area", looks)]
    panels += [("fall of the logit without it, in SD, above placebo", rests)] if rests else []
    lines = "; lines are 95 % intervals over patients and seeds" if has_intervals(rows) else ""
    right = (
        "; right, how far the class's logit falls when it is painted over, in standard deviations of that logit, above "
        "the fall when the mirrored place is painted over. A shortcut shows in both."
    )
    caption = (
        f"{capital(_plain(confounder))}, per class and arm, on test images that show it{lines}. Left, how much more "
        "saliency lies on it than its area would get from an uninformed map"
        f"{right if rests else '. Whether a class rests on it was not measured.'}"
    )
    return Figure(caption, figures.interval_chart(panels, class_names(content), content.arms, has_zero=True))


def _table(rows: Rows) -> Table:
    order = {verdict: number for number, verdict in enumerate(_WORTH)}
    listed_first = sorted(rows, key=lambda row: order.get(text_of(row["verdict"]), len(order)))
    scales = {
        column: common_scale([row[end] for row in rows for end in ends])
        for column, ends in (("excess", ("excess", "lo", "hi")), ("removal", ("removal", "removal_lo", "removal_hi")))
    }
    return Table(
        "Every class and confounder. Share is the part of the positive saliency that lies on the confounder, chance "
        "its share of the picture. A shortcut is a class that looks there more than chance and whose logit falls when "
        "it is taken away, both after Holm's correction within the arm; anything else is no verdict of innocence.",
        ("class", "confounder", "arm", "share", "chance", "excess", "", "removal", "", "images", "verdict"),
        tuple(
            (
                Cell(text_of(row["class"])),
                word(row["confounder"]),
                word(row["arm"]),
                figure_cell(decimal(row["share"]), row["share"]),
                figure_cell(decimal(row["chance"]), row["chance"]),
                figure_cell(signed(row["excess"]), row["excess"]),
                Cell(
                    "",
                    picture=interval_picture(row["excess"], row["lo"], row["hi"], scales["excess"]),
                    style="picture",
                ),
                figure_cell(signed(row["removal"], 2), row["removal"]),
                Cell(
                    "",
                    picture=interval_picture(row["removal"], row["removal_lo"], row["removal_hi"], scales["removal"]),
                    style="picture",
                ),
                figure_cell(count(row["n"]), row["n"]),
                Cell(text_of(row["verdict"]) or "–", style=_style(row)),
            )
            for row in listed_first
        ),
        title="Shortcut audit",
        is_open=len(rows) <= MOST_OPEN,
    )


def _style(row: dict[str, Any]) -> str:
    return "strong" if text_of(row["verdict"]) == SHORTCUT and float_of(row["excess"]) > 0 else "text"
