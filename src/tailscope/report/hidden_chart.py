"""The chart of what AUROC and AP do not show: lens difference against AUROC difference, with the margins of both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import SPARSE, WIDTH, Rows, arm_encodings, inline, svg
from tailscope.report.frames import float_of

_HEIGHT, _LINE = 300, 13  # px of a panel, and of a line of text

_SIZES = {"hidden difference": 150, "": 34}
_LISTED = 95


def hidden_chart(panels: list[tuple[str, Rows]], arms: tuple[str, ...], margins: tuple[float, float]) -> Markup:
    """One panel per lens: AUROC difference (across) against lens difference (up); grey is the margin of each axis.

    Args:
        panels: (axis title, rows with arm, class, kind, and value and ends of both differences: x, x_lo, x_hi, y,
            y_lo, y_hi). Rows with a ``kind`` are large, have bars and the name of their class; hidden ones are filled.
        arms: Control first.
        margins: Equivalence margin of AUROC, and of the lens.
    """
    width = 560 if len(panels) == 1 else (WIDTH - 60) // 2
    charts = [
        _panel(title, rows, arms, margins, width).properties(width=width, height=_HEIGHT) for title, rows in panels
    ]
    whole = charts[0] if len(charts) == 1 else alt.concat(*charts, columns=2, spacing=24)
    titles = "; ".join(title for title, _ in panels)
    return svg(whole, f"Difference in a lens against difference in AUROC, per class and arm: {titles}")


def _panel(title: str, rows: Rows, arms: tuple[str, ...], margins: tuple[float, float], width: int) -> Any:
    across = domain([row[end] for row in rows for end in _ends(row, "x")], margins[0])
    up = domain([row[end] for row in rows for end in _ends(row, "y")], margins[1])
    x = alt.X("x:Q", title="AUROC, treatment − control", axis=SPARSE, scale=alt.Scale(domain=list(across), nice=False))
    y = alt.Y("y:Q", title=title, axis=SPARSE, scale=alt.Scale(domain=list(up), nice=False))
    colour, shape = arm_encodings(arms, arms[1:])
    named = [row for row in rows if row["kind"]]
    data, listed = inline([_drawn(row) for row in rows]), inline([_drawn(row) for row in named])
    labels = inline(placed(named, across, up, width))
    base = alt.Chart(data).encode(x=x, y=y, color=colour, shape=shape)
    marked = alt.Chart(listed).encode(color=colour)
    text = alt.Chart(labels).encode(x="label_x:Q", y="label_y:Q", text="label:N")
    size = alt.Size("size:Q", scale=None)
    parts = [
        *_bands(margins),
        base.transform_filter("datum.kind == ''").mark_point(filled=True, opacity=1).encode(size=size),
        marked.mark_rule(strokeWidth=1.4).encode(x="x_lo:Q", x2="x_hi:Q", y="y:Q"),
        marked.mark_rule(strokeWidth=1.4).encode(x="x:Q", y="y_lo:Q", y2="y_hi:Q"),
        base.transform_filter("datum.kind != '' && datum.kind != 'hidden difference'")
        .mark_point(fill="white", strokeWidth=2, opacity=1)
        .encode(size=size),
        base.transform_filter("datum.kind == 'hidden difference'").mark_point(filled=True, opacity=1).encode(size=size),
        text.transform_filter("datum.side == 'right'").mark_text(align="left", fontSize=11, fontWeight="bold"),
        text.transform_filter("datum.side == 'left'").mark_text(align="right", fontSize=11, fontWeight="bold"),
    ]
    return alt.layer(*parts)


def _bands(margins: tuple[float, float]) -> list[Any]:
    """The two margins, and the lines of no difference."""
    ends = inline([{"a": -margins[0], "b": margins[0], "c": -margins[1], "d": margins[1], "zero": 0}])
    base = alt.Chart(ends)
    grey: dict[str, Any] = {"color": "#bbb", "opacity": 0.35}
    dashed: dict[str, Any] = {"color": "#777", "strokeDash": [3, 3]}
    return [
        base.mark_rect(**grey).encode(x="a:Q", x2="b:Q"),
        base.mark_rect(**grey).encode(y="c:Q", y2="d:Q"),
        base.mark_rule(**dashed).encode(x="zero:Q"),
        base.mark_rule(**dashed).encode(y="zero:Q"),
    ]


def _ends(row: dict[str, Any], axis: str) -> tuple[str, ...]:
    return (axis, f"{axis}_lo", f"{axis}_hi") if row["kind"] else (axis,)


def _drawn(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its size; a missing end of an interval falls on the value."""
    ends = {
        f"{axis}_{end}": row[f"{axis}_{end}"] if math.isfinite(float_of(row[f"{axis}_{end}"])) else row[axis]
        for axis in "xy"
        for end in ("lo", "hi")
    }
    return {**row, **ends, "size": _SIZES.get(row["kind"], _LISTED)}


def domain(values: Iterable[Any], margin: float) -> tuple[float, float]:
    """The ends of an axis that holds all finite values and the margin, with some room.

    >>> domain([0.0, 0.08], 0.02)
    (-0.028, 0.088)
    """
    finite = [number for number in map(float_of, values) if math.isfinite(number)]
    low, high = min([*finite, -margin]), max([*finite, margin])
    room = 0.08 * (high - low) or 1.0
    return round(low - room, 6), round(high + room, 6)


def placed(rows: Rows, across: tuple[float, float], up: tuple[float, float], width: int) -> Rows:
    """Where the names stand: beside their mark on the roomier side, moved down where two would overlap.

    Args:
        rows: class, x, y.
        across: Ends of the axis across.
        up: Ends of the axis upward.
        width: Of the panel, in px.

    Returns:
        label, side (left or right), label_x, label_y in the units of the axes; one per row, from the top down.

    Example:
        >>> rows = [{"class": "mass", "x": 0.0, "y": 0.5}, {"class": "hernia", "x": 0.0, "y": 0.5}]
        >>> [(each["label"], round(each["label_y"], 3)) for each in placed(rows, (-1.0, 1.0), (0.0, 1.0), 560)]
        [('mass', 0.473), ('hernia', 0.43)]
    """
    per_px_x, per_px_y = (across[1] - across[0]) / width, (up[1] - up[0]) / _HEIGHT
    last = {"left": math.inf, "right": math.inf}
    labels: Rows = []
    for row in sorted(rows, key=lambda row: -row["y"]):
        side = "right" if row["x"] <= sum(across) / 2 else "left"
        height = min(row["y"] - 8 * per_px_y, last[side] - _LINE * per_px_y)  # 8 px: below the bar across
        last[side] = height
        shift = 9 * per_px_x * (1 if side == "right" else -1)
        labels.append({"label": row["class"], "side": side, "label_x": row["x"] + shift, "label_y": height})
    return labels
