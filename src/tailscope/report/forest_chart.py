"""A forest plot: differences from control per class and arm, with the margin and the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import SPARSE, Rows, arm_encodings, inline, svg
from tailscope.report.frames import float_of, text_of

_WIDTH, _PITCH, _GAP = 400, 15, 10  # px of the plot, of one arm's line, and between classes


def forest_chart(
    title: str, rows: Rows, arms: tuple[str, ...], margin: float, facts: Mapping[str, str] | None = None
) -> Markup:
    """One line per class and arm: difference, 95 % interval and verdict; the grey band is the margin.

    Args:
        title: Of the axis.
        rows: class, arm, difference, lo, hi, verdict; in the order of display.
        arms: Control first; colours and shapes follow this order.
        margin: Half the width of the band.
        facts: What stands below the name of a class.
    """
    classes = list(dict.fromkeys(text_of(row["class"]) for row in rows))
    data = inline([_mark(row) for row in rows])
    known = facts or {}
    names = inline([{"class": name, "fact": known.get(name, "")} for name in classes])
    shown = tuple(arm for arm in arms[1:] if any(row["arm"] == arm for row in rows))
    colour, shape = arm_encodings(arms, shown)
    y = alt.Y("class:N", title=None, axis=None, scale=alt.Scale(domain=classes, paddingInner=0.18))
    offset = alt.YOffset("arm:N", scale=alt.Scale(domain=list(shown)))
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    axis = alt.X("lo:Q", title=title, axis=SPARSE, scale=alt.Scale(zero=True))
    bars = base.mark_rule(strokeWidth=1.6).encode(x=axis, x2="hi:Q", color=colour)
    dots = base.mark_point(filled=True, size=46, opacity=1).encode(x="value:Q", color=colour, shape=shape)
    verdicts = base.mark_text(align="left", fontSize=10).encode(x=alt.value(_WIDTH + 10), text="verdict:N")
    height = len(classes) * (_GAP + _PITCH * max(len(shown), 2))
    layers = [*_margin(margin), *_names(names, y), bars, dots, verdicts]
    return svg(alt.layer(*layers).properties(width=_WIDTH, height=height), f"{title}, per class and arm, with verdicts")


def _margin(margin: float) -> list[Any]:
    """The band in which a difference counts as none, and the line of no difference."""
    ends = alt.Chart(inline([{"a": -margin, "b": margin, "zero": 0}]))
    return [
        ends.mark_rect(color="#bbb", opacity=0.35).encode(x="a:Q", x2="b:Q"),
        ends.mark_rule(color="#555", strokeDash=[3, 3]).encode(x="zero:Q"),
    ]


def _names(names: Any, y: Any) -> list[Any]:
    """Name and facts of each class left of the plot."""
    base = alt.Chart(names).encode(y=y, x=alt.value(-8))
    return [
        base.mark_text(align="right", dy=-6, fontSize=11, fontWeight="bold").encode(text="class:N"),
        base.mark_text(align="right", dy=8, fontSize=10, color="#565b63").encode(text="fact:N"),
    ]


def _mark(row: dict[str, Any]) -> dict[str, Any]:
    value, lo, hi = (float_of(row[name]) for name in ("difference", "lo", "hi"))
    return {
        "class": text_of(row["class"]),
        "arm": text_of(row["arm"]),
        "value": value,
        "lo": lo if math.isfinite(lo) else value,
        "hi": hi if math.isfinite(hi) else value,
        "verdict": text_of(row["verdict"]) or "no verdict",
    }
