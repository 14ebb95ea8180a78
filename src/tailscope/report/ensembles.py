"""Ensembles of seeds against control's ensemble."""

from __future__ import annotations

from typing import Any

from tailscope.report.blocks import Block, Cell, Paragraph, Table, figure_cell, not_shown, word
from tailscope.report.forest import Scale, common_scale, interval_picture
from tailscope.report.frames import AGGREGATES, has_intervals, text_of
from tailscope.report.numbers import decimal, interval, signed
from tailscope.report.selection import metrics_of
from tailscope.report.words import PERFORMANCE_METRICS, metric_name

Rows = list[dict[str, Any]]

_MOST_OPEN = 40  # rows; a longer table starts folded


def ensemble_blocks(rows: Rows) -> tuple[Block, ...]:
    """One table per metric, and what one ensemble per arm cannot tell."""
    if not rows:
        return (not_shown("no ensemble of seeds was asked for"),)
    sentence = (
        "Ensembles average the probabilities of an arm's seeds. There is one ensemble per arm, so nothing is known of "
        "its seed noise and there is no verdict; an interval tells only how far the difference moves with the patients."
    )
    return (Paragraph(sentence), *(_table(metric, rows) for metric in metrics_of(rows, first=PERFORMANCE_METRICS)))


def _table(metric: str, rows: Rows) -> Table:
    mine = [row for row in rows if row["metric"] == metric]
    scale = common_scale([row[end] for row in mine for end in ("difference", "difference_lo", "difference_hi")])
    name = metric_name(metric)
    bounds = " with its 95 % interval over patients" if has_intervals(mine, "difference_lo") else ""
    return Table(
        f"{name} of ensembles, per class, and the difference from control's ensemble{bounds}. The picture shows "
        "the same numbers on one axis, dashed line at zero.",
        ("class", "ensemble", name, "difference", ""),
        tuple(_line(row, scale) for row in mine),
        title=f"{name} of ensembles",
        is_open=len(mine) <= _MOST_OPEN,
    )


def _line(row: dict[str, Any], scale: Scale) -> tuple[Cell, ...]:
    name = text_of(row["class"])
    lo, hi = row["difference_lo"], row["difference_hi"]
    return (
        Cell(f"{name} (average)", style="strong") if name in AGGREGATES else Cell(name),
        word(row["arm"]),
        figure_cell(decimal(row["value"]), row["value"], detail=interval(row["lo"], row["hi"])),
        figure_cell(signed(row["difference"]), row["difference"], detail=interval(lo, hi, is_difference=True)),
        Cell("", picture=interval_picture(row["difference"], lo, hi, scale), style="picture"),
    )
