"""Charts of the audit: who gets the gradient, and how often each class is drawn."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import COLOURS, SHAPES, WIDTH, Rows, arm_encodings, inline, svg
from tailscope.report.frames import GROUPS, float_of, text_of

_MOMENTS = ("start", "end")
_TICK = "#111"


def gradient_chart(rows: Rows, arms: tuple[str, ...]) -> Markup:
    """One panel per class group, one row per arm: its share of the gradient, and control's on the same logits.

    Args:
        rows: arm, moment (start, end), group, share, share_control; shares in [0, 1].
        arms: From top to bottom.
    """
    known = [row for row in map(_shares, rows) if row["arm"] in arms and math.isfinite(row["share"])]
    groups = [group for group in GROUPS if any(row["group"] == group for row in known)]
    present = tuple(arm for arm in arms if any(row["arm"] == arm for row in known))
    width = min(270, (WIDTH - 20 * (len(groups) - 1)) // max(len(groups), 1) - 30)
    panels = [
        _gradient_panel(group, [row for row in known if row["group"] == group], present, has_names=not place)
        .properties(width=width, height=24 * len(present))
        for place, group in enumerate(groups)
    ]  # fmt: skip
    return svg(alt.hconcat(*panels, spacing=20), "Share of the gradient by class group and arm")


def _shares(row: dict[str, Any]) -> dict[str, Any]:
    names = {name: text_of(row[name]) for name in ("arm", "moment", "group")}
    return {**names, **{name: float_of(row[name]) for name in ("share", "share_control")}}


def _gradient_panel(group: str, rows: Rows, arms: tuple[str, ...], *, has_names: bool) -> Any:
    number = GROUPS.index(group)
    colour, shape = COLOURS[1 + number], SHAPES[number]
    axis = alt.Axis(tickCount=4, format="~%", labelFlush=False, labelOverlap="greedy")
    across = alt.X("share:Q", title=f"{group}: share of the gradient", axis=axis, scale=alt.Scale(zero=True))
    names = alt.Axis(labels=has_names, ticks=has_names, grid=True)
    y = alt.Y("arm:N", title=None, scale=alt.Scale(domain=list(arms), paddingInner=0.3), axis=names)
    base = alt.Chart(inline(rows)).encode(y=y, yOffset=alt.YOffset("moment:N", scale=alt.Scale(domain=list(_MOMENTS))))
    link = base.mark_rule(color=colour, strokeWidth=1.6).encode(x=across, x2="share_control:Q")
    tick = base.mark_tick(color=_TICK, thickness=2, size=9, opacity=1).encode(x="share_control:Q")
    marks = [
        base.transform_filter(f"datum.moment == '{moment}'")
        .mark_point(shape=shape, color=colour, fill=fill, size=44, strokeWidth=1.5, opacity=1)
        .encode(x="share:Q")
        for moment, fill in zip(_MOMENTS, ("white", colour), strict=True)
    ]
    return alt.layer(link, *marks, tick)


def draw_chart(rows: Rows, order: tuple[str, ...], arms: tuple[str, ...], sampling: tuple[str, ...]) -> Markup:
    """One row per class and sampling arm: its share among the images, and among the draws.

    Args:
        rows: class, arm, prevalence, expected, realised; shares in (0, 1], others are not drawn.
        order: Classes from top to bottom.
        arms: All arms of the page, control first: an arm looks alike in every chart.
        sampling: The arms to draw.
    """
    data = inline([_draws(row) for row in rows if row["arm"] in sampling and has_mark(row)])
    colour, shape = arm_encodings(arms, sampling)
    axis = alt.Axis(format="~%", tickCount=8, labelFlush=False, labelOverlap="greedy")
    scale = alt.Scale(type="log", nice=False, padding=12)
    title = "share of positive images (logarithmic)"
    across = alt.X("prevalence:Q", title=title, axis=axis, scale=scale)
    y = alt.Y("class:N", title=None, scale=alt.Scale(domain=list(order), paddingInner=0.25), axis=alt.Axis(grid=True))
    offset = alt.YOffset("arm:N", scale=alt.Scale(domain=list(sampling)))
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    link = base.mark_rule(strokeWidth=1.4).encode(x=across, x2="realised:Q", color=colour)
    tick = base.mark_tick(color=_TICK, thickness=2, size=8, opacity=1).encode(x="prevalence:Q")
    ring = base.mark_point(shape="circle", color="#666", size=75, strokeWidth=1.1, opacity=1).encode(x="expected:Q")
    dot = base.mark_point(filled=True, size=30, opacity=1).encode(x="realised:Q", color=colour, shape=shape)
    height = max(60, len(order) * (10 + 10 * len(sampling)))
    chart = alt.layer(link, tick, ring, dot).properties(width=WIDTH, height=height)
    return svg(chart, "Share of each class among the images and among the draws")


def has_mark(row: dict[str, Any]) -> bool:
    """Whether a logarithmic axis has a place for all shares of a row."""
    return all(float_of(row[name]) > 0 for name in ("prevalence", "expected", "realised"))


def _draws(row: dict[str, Any]) -> dict[str, Any]:
    names = {name: text_of(row[name]) for name in ("arm", "class")}
    return {**names, **{name: float_of(row[name]) for name in ("prevalence", "expected", "realised")}}
