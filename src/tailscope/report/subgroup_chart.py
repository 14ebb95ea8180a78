"""A chart of subgroups: a metric in each, and its gap to all others, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import Rows, arm_encodings, inline, svg
from tailscope.report.frames import float_of, text_of

_WIDTH, _PITCH, _GAP, _LEAST = 350, 10, 12, 60  # px: of a panel, of an arm, between subgroups, of the least height
_AXIS = alt.Axis(tickCount=6, labelFlush=True, labelOverlap="greedy")  # two panels stand close together
_SOFT = "#777"


@dataclass(frozen=True)
class SubgroupLine:
    """What one line of the chart shows.

    Args:
        title: Of the axis: the metric, and the class or mean over classes.
        values: subgroup, arm, value, lo, hi.
        gaps: subgroup, arm, gap, lo, hi.
    """

    title: str
    values: Rows
    gaps: Rows


def subgroup_chart(lines: list[SubgroupLine], subgroups: tuple[str, ...], arms: tuple[str, ...]) -> Markup:
    """One row per subgroup, one mark with its interval per arm: the value on the left, the gap on the right.

    Args:
        lines: At least one.
        subgroups: From top to bottom; one without any number says so.
        arms: Control first.
    """
    height = max(_LEAST, len(subgroups) * (_GAP + _PITCH * len(arms)))
    drawn = []
    for line in lines:
        places = [{**row, "value": row["gap"]} for row in line.gaps]
        left = _panel(line.title, line.values, subgroups, arms, has_names=True)
        right = [_zero(), *_panel(f"{line.title}: gap to all others", places, subgroups, arms, has_names=False)]
        pair = [alt.layer(*layers).properties(width=_WIDTH, height=height) for layers in (left, right)]
        drawn.append(alt.hconcat(*pair, spacing=24, bounds="flush"))
    told = "; ".join(f"{line.title} per subgroup and arm, and its gap to all others" for line in lines)
    return svg(alt.vconcat(*drawn), told)


def _panel(title: str, rows: Rows, subgroups: tuple[str, ...], arms: tuple[str, ...], *, has_names: bool) -> list[Any]:
    marks = [_mark(row) for row in rows if text_of(row["arm"]) in arms and math.isfinite(float_of(row["value"]))]
    colour, shape = arm_encodings(arms)
    axis = alt.Axis(grid=True, labels=has_names, ticks=has_names)
    y = alt.Y("subgroup:N", title=None, scale=alt.Scale(domain=list(subgroups), paddingInner=0.25), axis=axis)
    offset = alt.YOffset("arm:N", scale=alt.Scale(domain=list(arms)))
    base = alt.Chart(inline(marks)).encode(y=y, yOffset=offset, color=colour)
    x = alt.X("lo:Q", title=title, axis=_AXIS, scale=alt.Scale(zero=False))
    layers = [
        base.mark_rule(strokeWidth=1.6).encode(x=x, x2="hi:Q"),
        base.mark_point(filled=True, size=42, opacity=1).encode(x="value:Q", shape=shape),
    ]
    empty = [
        {"subgroup": name, "told": "no number"} for name in subgroups if name not in {m["subgroup"] for m in marks}
    ]
    told = alt.Chart(inline(empty)).mark_text(align="left", color=_SOFT, fontStyle="italic", fontSize=10)
    return [*layers, *([told.encode(x=alt.value(6), y=y, text="told:N")] if empty else [])]


def _zero() -> Any:
    return alt.Chart(inline([{"x": 0}])).mark_rule(color="#444", strokeDash=[4, 3]).encode(x="x:Q")


def _mark(row: dict[str, Any]) -> dict[str, Any]:
    value, lo, hi = (float_of(row[name]) for name in ("value", "lo", "hi"))
    ends = {"lo": lo if math.isfinite(lo) else value, "hi": hi if math.isfinite(hi) else value}
    return {"subgroup": text_of(row["subgroup"]), "arm": text_of(row["arm"]), "value": value, **ends}
