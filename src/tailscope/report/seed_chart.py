"""A chart of seeds: a small dot for every run, a large mark for the mean of the arm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import SPARSE, WIDTH, Rows, arm_encodings, arm_legend, inline, svg
from tailscope.report.frames import float_of, text_of
from tailscope.report.page_order import PageOrder, grouped
from tailscope.report.seed_range import seed_range

_PAIR = 385
_SOFT = "#777"


@dataclass(frozen=True)
class SeedPanel:
    """One panel of the chart.

    Args:
        title: What the axis shows.
        rows: class, arm, value; one per run.
        intervals: class, arm, value, lo, hi; one per arm, drawn as the mean and its line. Where an arm has none, the
            mean of its runs is drawn.
    """

    title: str
    rows: Rows
    intervals: Rows


def seed_chart(panels: list[SeedPanel], names: tuple[str, ...], order: PageOrder, *, has_zero: bool = False) -> Markup:
    """Panels two by two, one row per class, one mark with its seeds per arm.

    Args:
        panels: At least one.
        names: Classes from top to bottom; one without any number says so.
        order: Arms, control first.
        has_zero: Draw a dashed line at zero.
    """
    width = WIDTH if len(panels) == 1 else _PAIR
    height = max(60, len(names) * (8 + 10 * len(order.arms)) if len(order.arms) > 1 else len(names) * 22)
    drawn = [
        _panel(panel, names, order, has_zero=has_zero, has_names=place % 2 == 0).properties(width=width, height=height)
        for place, panel in enumerate(panels)
    ]
    pairs = [alt.hconcat(*drawn[at : at + 2], spacing=18) for at in range(0, len(drawn), 2)]
    return svg(pairs[0] if len(pairs) == 1 else alt.vconcat(*pairs), "; ".join(panel.title for panel in panels))


def _panel(panel: SeedPanel, names: tuple[str, ...], order: PageOrder, *, has_zero: bool, has_names: bool) -> Any:
    runs = [row for row in map(_point, panel.rows) if _has_place(row, names, order)]
    means = _means(panel, runs, names, order)
    legend = arm_legend(list(order.arms), symbolOpacity=1)
    colour, shape = (encoding.legend(legend) for encoding in arm_encodings(order.arms))
    axis = alt.Axis(grid=True, labels=has_names, ticks=has_names)
    y = alt.Y("class:N", title=None, scale=alt.Scale(domain=list(names), paddingInner=0.25), axis=axis)
    offset = alt.YOffset("arm:N", scale=alt.Scale(domain=list(order.arms)))
    x = alt.X("value:Q", title=panel.title, axis=SPARSE, scale=alt.Scale(zero=False))
    seeds = alt.Chart(inline(runs)).mark_point(filled=True, shape="circle", size=14)
    base = alt.Chart(inline(means)).encode(y=y, yOffset=offset, color=colour)
    line = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("lo:Q", title=panel.title), x2="hi:Q")
    layers = [
        line,
        seeds.encode(x=x, y=y, yOffset=offset, color=colour, opacity=alt.value(0.5)),
        base.mark_point(filled=True, size=44, opacity=1).encode(x=x, shape=shape),
    ]
    empty = [{"class": name, "told": "no number"} for name in names if name not in {row["class"] for row in means}]
    told = alt.Chart(inline(empty)).mark_text(align="left", color=_SOFT, fontStyle="italic", fontSize=10)
    layers += [told.encode(x=alt.value(6), y=y, text="told:N")] if empty else []
    zero = alt.Chart(inline([{"x": 0}])).mark_rule(color="#444", strokeDash=[4, 3]).encode(x="x:Q")
    return alt.layer(*([zero] if has_zero else []), *layers)


def _point(row: dict[str, Any]) -> dict[str, Any]:
    return {"class": text_of(row["class"]), "arm": text_of(row["arm"]), "value": float_of(row["value"])}


def _has_place(row: dict[str, Any], names: tuple[str, ...], order: PageOrder) -> bool:
    return row["class"] in names and row["arm"] in order.arms and math.isfinite(row["value"])


def _means(panel: SeedPanel, runs: Rows, names: tuple[str, ...], order: PageOrder) -> Rows:
    """One mark per class and arm; without an interval its line has no length."""
    means = {
        key: {"class": key[0], "arm": key[1], **dict.fromkeys(("value", "lo", "hi"), _mean(mine))}
        for key, mine in grouped(runs, "class", "arm").items()
    }
    for row in panel.intervals:
        point = _point(row)
        if _has_place(point, names, order):
            ends = {end: float_of(row[end]) for end in ("lo", "hi")}
            known = ends if all(map(math.isfinite, ends.values())) else dict.fromkeys(ends, point["value"])
            means[point["class"], point["arm"]] = {**point, **known}
    return list(means.values())


def _mean(rows: Rows) -> float:
    return seed_range(row["value"] for row in rows).mean
