"""The fixed fraction as a curve, so that no conclusion hangs on one value of it."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from tailscope.report.blocks import Block, Cell, Figure, Notes, Table, figure_cell, not_shown, word
from tailscope.report.drawing import arm_legend, inline, line_encodings, svg
from tailscope.report.folding import folded
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import decimal, setting
from tailscope.report.page_order import PageOrder, Rows, by_layer, first_reason, grouped, names_in
from tailscope.report.seed_range import SeedRange, seed_range

CURVE_COLUMNS = ("run", "arm", "layer", "class", "fraction", "best_iou", "attainable", "above_rule", "reason")

_ACROSS = 4
_WIDTH, _HEIGHT = 178, 120
_RULE_IOU = 0.04
_TICKS = (0, 0.04, 0.2, 0.5, 1)
_POWERS = (0.0001, 0.001, 0.01, 0.1)
_SOFT = "#888"
_CAPTION = (
    "IoU of the best unit against the share of a unit's values that count as activated (both axes are stretched: "
    "fractions by their logarithm, IoU by its root). Lines are means over seeds, bands run from the lowest to the "
    "highest seed. The dashed line is the best value that a perfect unit can reach at that fraction, the dotted one "
    "NetDissect's rule of 0.04. The fraction 0.005 and the rule 0.04 are conventions: only what holds along the whole "
    "curve, and not at one fraction, is a finding."
)


def curve_blocks(curve: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Curves of the best IoU over the fraction, small panels per class, and the numbers folded below.

    Args:
        curve: Per run, layer, class and fraction: run, arm, layer, class, fraction in (0, 1), best_iou, attainable,
            above_rule (units above 0.04, NaN where the rule is not attainable), reason.
        order: Of classes and arms.
    """
    rows = order.rows(curve, CURVE_COLUMNS)
    if not rows:
        return (not_shown("the fixed fraction was not varied"),)
    charts = {
        layer: fraction_chart(mine, order)
        for (layer,), mine in grouped(rows, "layer").items()
        if any(map(_has_point, mine))
    }
    blocks: list[Block] = []
    if charts:
        *others, last = charts
        more = Markup("").join(folded(f"The same in {layer}", charts[layer]) for layer in others)
        blocks.append(Figure(f"{last}. {_CAPTION}", charts[last] + more))
    return (*blocks, _table(rows))


def fraction_chart(rows: Rows, order: PageOrder) -> Markup:
    """One small panel per class: IoU (up) against the fraction (across), one line per arm.

    Args:
        rows: class, arm, fraction, best_iou, attainable of one layer; one per run.
        order: Arms, control first.
    """
    known = [row for row in rows if _has_point(row)]
    names = names_in(known, "class")
    panels = [
        _panel(
            [row for row in known if row["class"] == name],
            order,
            up="IoU" if place % _ACROSS == 0 else "",
            across="fraction" if place + _ACROSS >= len(names) else "",
        )
        for place, name in enumerate(names)
    ]
    lines = [alt.hconcat(*panels[at : at + _ACROSS], spacing=14) for at in range(0, len(panels), _ACROSS)]
    return svg(alt.vconcat(*lines, spacing=8), "IoU of the best unit against the fraction")


def _panel(rows: Rows, order: PageOrder, *, up: str, across: str) -> Any:
    """The panel of one class; only those at the edge have titles, and numbers of the axis that goes up."""
    legend = arm_legend(list(order.arms), symbolType="stroke", symbolSize=180, symbolStrokeWidth=2, symbolOpacity=1)
    colour, dashes = (encoding.legend(legend) for encoding in line_encodings(order.arms))
    x = alt.X("fraction:Q", title=across or None, scale=alt.Scale(type="log", nice=False), axis=_fraction_axis(rows))
    axis = alt.Axis(values=list(_TICKS), format="~g", labels=bool(up), ticks=bool(up), labelOverlap=False)
    scale = alt.Scale(type="sqrt", domain=[0, 1])
    y = alt.Y("iou:Q", title=up or None, scale=scale, axis=axis)
    base = alt.Chart(inline(_means(rows, order))).encode(x=x, color=colour)
    low = alt.Y("low:Q", title=up or None, scale=scale, axis=axis)
    band = base.mark_area(strokeWidth=0).encode(y=low, y2="high:Q", detail="arm:N", opacity=alt.value(0.16))
    line = base.mark_line(strokeWidth=1.5).encode(y=y, strokeDash=dashes)
    best = alt.Chart(inline(_attainable(rows))).mark_line(color="#222", strokeDash=[5, 3], strokeWidth=1)
    rule = alt.Chart(inline([{"iou": _RULE_IOU}])).mark_rule(color=_SOFT, strokeDash=[1.5, 2.5])
    title = alt.Chart(inline([{"name": text_of(rows[0]["class"])}])).mark_text(
        align="left", baseline="bottom", fontSize=11, limit=_WIDTH
    )
    named = title.encode(text="name:N", x=alt.value(0), y=alt.value(-5))
    layers = (rule.encode(y=y), band, best.encode(x=x, y=y), line, named)
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


def _fraction_axis(rows: Rows) -> Any:
    """Ticks at the powers of ten that lie among the fractions, or at all of them."""
    fractions = sorted({float_of(row["fraction"]) for row in rows})
    inside = [mark for mark in _POWERS if fractions[0] <= mark <= fractions[-1]]
    return alt.Axis(values=inside or fractions, format="~g", labelOverlap="greedy", labelFontSize=10)


def _has_point(row: dict[str, Any]) -> bool:
    """Whether the row has a place on a logarithmic axis."""
    return float_of(row["fraction"]) > 0 and math.isfinite(float_of(row["best_iou"]))


def _means(rows: Rows, order: PageOrder) -> Rows:
    points = []
    for (arm, _), mine in grouped([row for row in rows if row["arm"] in order.arms], "arm", "fraction").items():
        found = seed_range(row["best_iou"] for row in mine)
        points.append(
            {
                "arm": arm,
                "fraction": float_of(mine[0]["fraction"]),
                "iou": found.mean,
                "low": found.low,
                "high": found.high,
            }
        )
    return points


def _attainable(rows: Rows) -> Rows:
    """The dashed line: it depends on the size of the annotations alone, so all arms share it."""
    points = [
        {
            "fraction": float_of(mine[0]["fraction"]),
            "iou": seed_range(row["attainable"] for row in mine).mean,
        }
        for mine in grouped(rows, "fraction").values()
    ]
    return sorted((point for point in points if math.isfinite(point["iou"])), key=lambda point: point["fraction"])


def _table(rows: Rows) -> Table:
    notes = Notes()
    fractions = sorted({float_of(row["fraction"]) for row in rows if math.isfinite(float_of(row["fraction"]))})
    lines = []
    for (name, layer, arm), mine in grouped(by_layer(rows), "class", "layer", "arm").items():
        at = {
            fraction: [row for row in mine if float_of(row["fraction"]) == fraction] or [{"reason": "not measured"}]
            for fraction in fractions
        }
        lines.append((Cell(name), word(layer), word(arm), *(_cell(at[fraction], notes) for fraction in fractions)))
    return Table(
        "The curves as numbers: IoU of the best unit at each fraction, mean over seeds, and below it the units above "
        "0.04 (lowest to highest seed). Below an attainable value of 0.2 the rule of 0.04 is not counted.",
        ("class", "layer", "arm", *(setting(fraction) for fraction in fractions)),
        tuple(lines),
        title="Best IoU by fraction",
        is_open=False,
        notes=notes.lines(),
        is_dense=True,
    )


def _cell(rows: Rows, notes: Notes) -> Cell:
    best = seed_range(row.get("best_iou") for row in rows)
    units = _units(seed_range(row.get("above_rule") for row in rows))
    return figure_cell(decimal(best.mean), best.mean, first_reason(rows), notes, detail=units)


def _units(found: SeedRange) -> str:
    if not found.seeds:
        return ""
    low, high = decimal(found.low, 0), decimal(found.high, 0)
    return f"{low} units" if low == high else f"{low} to {high} units"
