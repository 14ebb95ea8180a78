"""A heat map of the similarity of runs, layer by layer."""

from __future__ import annotations

import json
import math
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import inline, svg
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import decimal
from tailscope.report.page_order import PageOrder, Rows, grouped

Run = tuple[str, str]

_MOST_NUMBERS = 16  # runs; beyond them the cells are too small for numbers
_SIDE, _CELL = 330, 11  # px: of a panel, and the least of a cell
_DARK = 0.5  # place on the colour scale from which numbers are white


def similarity_chart(rows: Rows, order: PageOrder) -> Markup:
    """Panels two by two, one per layer: runs against runs, grouped by arm; dark is alike.

    Args:
        rows: layer, arm_a, seed_a, arm_b, seed_b, value; one row per pair is enough.
        order: Arms, control first.
    """
    known = [row for row in rows if math.isfinite(float_of(row["value"]))]
    lowest = min((float_of(row["value"]) for row in known), default=0.0)
    limits = (math.floor(10 * min(lowest, 0.9)) / 10, 1.0)
    by_layer = grouped(known, "layer")
    most = max((len(_runs(mine, order)) for mine in by_layer.values()), default=1)
    side = min(max(_SIDE, most * _CELL), 2 * _SIDE)
    across = 2 if side < 1.3 * _SIDE else 1
    panels = [
        alt.layer(*_layers(mine, order, limits, side / most), title=layer).properties(width=side, height=side)
        for (layer,), mine in by_layer.items()
    ]
    lines = [alt.hconcat(*panels[at : at + across], spacing=24) for at in range(0, len(panels), across)]
    return svg(alt.vconcat(*lines, spacing=16), "Similarity of runs, layer by layer")


def _layers(rows: Rows, order: PageOrder, limits: tuple[float, float], cell: float) -> list[Any]:
    """Cells, numbers and lines of one panel; ``cell`` is the side of a cell in px."""
    runs = _runs(rows, order)
    labels = [_label(run) for run in runs]
    cells = _cells(rows, limits)
    x = alt.X("a:N", title=None, scale=alt.Scale(domain=labels), axis=_axis(runs, labelAngle=-60))
    y = alt.Y("b:N", title=None, scale=alt.Scale(domain=labels), axis=_axis(runs))
    scale = alt.Scale(domain=list(limits), scheme="blues", clamp=True)
    legend = alt.Legend(
        title="CKA", type="symbol", symbolType="square", symbolSize=120, values=_steps(limits), format=".1f"
    )
    base = alt.Chart(inline(cells)).encode(x=x, y=y)
    layers = [base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, legend=legend))]
    if len(runs) <= _MOST_NUMBERS:
        layers += [
            base.transform_filter(f"datum.ink == '{ink}'").mark_text(fontSize=10, color=ink).encode(text="told:N")
            for ink in ("white", "#222")
        ]
    return [*layers, *_gaps(runs, cell)]


def _steps(limits: tuple[float, float]) -> list[float]:
    """Values of the legend: every tenth, highest first, or fewer where there are many."""
    tenths = round(10 * (limits[1] - limits[0]))
    width = -(-tenths // 6)
    return [limits[1] - number / 10 for number in range(0, tenths + 1, width)]


def _gaps(runs: list[Run], cell: float) -> list[Any]:
    """White lines between the arms, across and down."""
    starts = [place for place in range(1, len(runs)) if runs[place][0] != runs[place - 1][0]]
    line = alt.Chart(inline([{}])).mark_rule(color="white", strokeWidth=2.5)
    at = [alt.value(place * cell) for place in starts]
    return [*(line.encode(x=place) for place in at), *(line.encode(y=place) for place in at)]


def _axis(runs: list[Run], **more: Any) -> Any:
    """Each arm is named once, beside the middle of its seeds."""
    of_arm = {arm: [run for run in runs if run[0] == arm] for arm, _ in runs}
    middles = json.dumps([_label(mine[len(mine) // 2]) for mine in of_arm.values()])
    name = f"indexof({middles}, datum.label) < 0 ? '' : slice(datum.label, 0, lastindexof(datum.label, ','))"
    return alt.Axis(
        grid=False, ticks=False, domain=False, labelFontSize=10, labelLimit=190, labelOverlap=False, labelExpr=name,
        **more,
    )  # fmt: skip


def _runs(rows: Rows, order: PageOrder) -> list[Run]:
    """Runs by arm, then by seed."""
    found = {(text_of(row[f"arm_{side}"]), text_of(row[f"seed_{side}"])) for row in rows for side in "ab"}
    places = {arm: place for place, arm in enumerate(order.arms)}
    return sorted(found, key=lambda run: (places.get(run[0], len(places)), run[0], float_of(run[1]), run[1]))


def _label(run: Run) -> str:
    return f"{run[0]}, {run[1]}"


def _cells(rows: Rows, limits: tuple[float, float]) -> Rows:
    """Every pair both ways; a pair that is given both ways is drawn once each."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        value = float_of(row["value"])
        place = (value - limits[0]) / (limits[1] - limits[0])
        ends = [_label((text_of(row[f"arm_{side}"]), text_of(row[f"seed_{side}"]))) for side in "ab"]
        cell = {"value": value, "told": decimal(value, 2).lstrip("0"), "ink": "white" if place > _DARK else "#222"}
        for a, b in (ends, ends[::-1]):
            cells[a, b] = {"a": a, "b": b, **cell}
    return list(cells.values())
