"""Charts as inline SVG: drawn once by Vega-Lite, so the page needs no script, no font and no network."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import COLOURS, SHAPES, SPARSE, WIDTH, Rows, arm_encodings, inline, line_encodings, svg
from tailscope.report.frames import GROUPS, float_of, text_of

_MANY = 6  # arms; beyond them rows move closer together


def imbalance_chart(rows: Rows, order: tuple[str, ...]) -> Markup:
    """Positives per class on a logarithmic axis: training (filled, by group) and test (hollow)."""
    data = inline([
        {"class": text_of(row["class"]), "group": text_of(row["group"]), "split": split, "n": float_of(row[column])}
        for row in rows
        for split, column in (("training", "train_positives"), ("test", "test_positives"))
        if float_of(row[column]) >= 1
    ])  # fmt: skip
    x = alt.X("n:Q", title="positive images (logarithmic)", scale=alt.Scale(type="log", nice=True))
    y = alt.Y("class:N", sort=list(order), title=None)
    colour, shape = _group_encodings({text_of(row["group"]) for row in rows})
    base = alt.Chart(data).encode(x=x, y=y, color=colour, shape=shape)
    train = base.transform_filter("datum.split == 'training'").mark_point(filled=True, size=80, opacity=1)
    test = base.transform_filter("datum.split == 'test'").mark_point(size=55, strokeWidth=1.5, opacity=1)
    link = (
        alt.Chart(data)
        .transform_aggregate(low="min(n)", high="max(n)", groupby=["class"])
        .mark_rule(color="#c4c4c4")
        .encode(x=alt.X("low:Q", title="positive images (logarithmic)"), x2="high:Q", y=y)
    )
    return svg(
        alt.layer(link, train, test).properties(width=WIDTH, height=_height(len(order), 1)), "Positives per class"
    )


def _group_encodings(present: set[str]) -> tuple[Any, Any]:
    """Colour and shape of the groups that have a class; a group looks alike whichever others there are."""
    numbers = [number for number, group in enumerate(GROUPS) if group in present]
    names = [GROUPS[number] for number in numbers]
    colours, shapes = [COLOURS[1 + number] for number in numbers], [SHAPES[number] for number in numbers]
    return (
        alt.Color("group:N", title="group", sort=names, scale=alt.Scale(domain=names, range=colours)),
        alt.Shape("group:N", title="group", sort=names, scale=alt.Scale(domain=names, range=shapes)),
    )


def interval_chart(
    panels: list[tuple[str, Rows]], order: tuple[str, ...], arms: tuple[str, ...], *, has_zero: bool = False
) -> Markup:
    """One panel per metric, one row per class, one dot with its interval per arm.

    Args:
        panels: (axis title, rows with class, arm, value, lo, hi).
        order: Classes from top to bottom.
        arms: Control first; colours and shapes follow this order.
        has_zero: Draw a dashed line at zero.
    """
    width = WIDTH if len(panels) == 1 else 390
    charts = [_interval_panel(title, _values(rows, order, arms), order, arms) for title, rows in panels]
    height = _height(len(order), len(arms))
    layered = [alt.layer(_zero_line(), *chart) if has_zero else alt.layer(*chart) for chart in charts]
    sized = [chart.properties(width=width, height=height) for chart in layered]
    whole = sized[0] if len(sized) == 1 else alt.hconcat(*sized, spacing=18)
    return svg(whole, "; ".join(title for title, _ in panels))


def _values(rows: Rows, order: tuple[str, ...], arms: tuple[str, ...]) -> Rows:
    return [
        {"class": text_of(row["class"]), "arm": text_of(row["arm"]), **_ends(row)}
        for row in rows
        if text_of(row["class"]) in order and text_of(row["arm"]) in arms and math.isfinite(float_of(row["value"]))
    ]


def _interval_panel(title: str, values: Rows, order: tuple[str, ...], arms: tuple[str, ...]) -> tuple[Any, Any]:
    data = inline(values)
    colour, shape = arm_encodings(arms)
    y = alt.Y("class:N", title=None, scale=alt.Scale(domain=list(order), paddingInner=0.25), axis=alt.Axis(grid=True))
    base = alt.Chart(data).encode(y=y, yOffset=alt.YOffset("arm:N", scale=alt.Scale(domain=list(arms))), color=colour)
    whole_axis = alt.X("lo:Q", title=title, axis=SPARSE, scale=alt.Scale(zero=False))
    is_tight = len(arms) > _MANY
    rule = base.mark_rule(strokeWidth=1.2 if is_tight else 1.6).encode(x=whole_axis, x2="hi:Q")
    dot = base.mark_point(filled=True, size=26 if is_tight else 42, opacity=1).encode(x="value:Q", shape=shape)
    return rule, dot


def _zero_line() -> Any:
    return alt.Chart(inline([{"x": 0}])).mark_rule(color="#444", strokeDash=[4, 3]).encode(x="x:Q")


def history_chart(rows: Rows, arms: tuple[str, ...]) -> Markup:
    """Training loss and validation AUROC per epoch, one line per run."""
    panels = []
    colour, dashes = line_encodings(arms)
    for column, title in (("train_loss", "training loss"), ("val_auroc", "validation macro AUROC")):
        data = inline([
            {"run": text_of(row["run"]), "arm": text_of(row["arm"]), "epoch": float_of(row["epoch"]),
             "y": float_of(row[column])}
            for row in rows if math.isfinite(float_of(row[column]))
        ])  # fmt: skip
        x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(zero=False))
        y = alt.Y("y:Q", title=title, scale=alt.Scale(zero=False))
        base = alt.Chart(data).encode(x=x, y=y, color=colour)
        lines = base.mark_line(strokeWidth=1.4).encode(strokeDash=dashes, detail="run:N")
        points = base.mark_point(filled=True, size=14, opacity=1)
        panels.append(alt.layer(lines, points).properties(width=390, height=200))
    return svg(alt.hconcat(*panels, spacing=24), "Training loss and validation AUROC per epoch")


def _ends(row: dict[str, Any]) -> dict[str, float]:
    """Value and interval; a missing end falls on the value, so that the dot stands without a line."""
    value, lo, hi = (float_of(row[name]) for name in ("value", "lo", "hi"))
    return {"value": value, "lo": lo if math.isfinite(lo) else value, "hi": hi if math.isfinite(hi) else value}


def _height(classes: int, arms: int) -> int:
    pitch = 10 if arms <= _MANY else 8
    return max(60, classes * (8 + pitch * arms) if arms > 1 else classes * 22)
