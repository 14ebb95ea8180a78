"""Curves of localisation over the limit of overlap."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import Rows, inline, line_encodings, svg
from tailscope.report.frames import float_of, text_of

_TITLES = {"iou": "IoU at least T", "iobb": "IoBB at least T"}


def localization_chart(rows: Rows, arms: tuple[str, ...]) -> Markup:
    """One panel per kind of overlap: share localised (up) against the limit T (across), one line per arm.

    Args:
        rows: arm, overlap, at, value, reference.
        arms: Control first.
    """
    kinds = [kind for kind in _TITLES if any(text_of(row["overlap"]) == kind for row in rows)]
    panels = [_panel([row for row in rows if text_of(row["overlap"]) == kind], kind, arms) for kind in kinds]
    return svg(alt.hconcat(*panels, spacing=24), "Share of annotations localised against the limit of overlap")


def _panel(rows: Rows, kind: str, arms: tuple[str, ...]) -> Any:
    colour, dashes = line_encodings(arms)
    x = alt.X("at:Q", title=f"T ({_TITLES[kind]})", scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("y:Q", title="share localised", scale=alt.Scale(domain=[0, 1]))
    found = alt.Chart(_points(rows, "value")).encode(x=x, y=y, color=colour)
    chance = alt.Chart(_points(rows, "reference")).encode(x=x, y=y, color=colour)
    return alt.layer(
        chance.mark_line(strokeWidth=0.8, strokeDash=[2, 3]).encode(detail="arm:N"),
        found.mark_line(strokeWidth=1.6).encode(strokeDash=dashes),
        found.mark_point(filled=True, size=22, opacity=1),
    ).properties(width=390, height=200)


def _points(rows: Rows, column: str) -> Any:
    return inline([
        {"arm": text_of(row["arm"]), "at": float_of(row["at"]), "y": float_of(row[column])}
        for row in rows
        if math.isfinite(float_of(row[column]))
    ])  # fmt: skip
