"""When does each class rank, and when does its detector appear? The lenses over the kept epochs of the training."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from tailscope.report.blocks import Block, Cell, Figure, Notes, Table, figure_cell, not_shown, word
from tailscope.report.drawing import Rows, inline, line_encodings, svg
from tailscope.report.frames import AGGREGATES, float_of, text_of
from tailscope.report.numbers import count
from tailscope.report.page_order import PageOrder, grouped

TRAJECTORY_COLUMNS = ("run", "arm", "seed", "epoch", "class", "metric", "value", "reason")
FIRST_COLUMNS = ("arm", "class", "seeds", "found", "first", "latest", "epoch", "reason")

_TITLES = {
    "best_iou_matched": "best unit, cross-fitted IoU above its null",
    "auroc": "AUROC",
    "mass_inside": "Grad-CAM: mass inside, excess",
    "detectors": "detectors",
}
_SHOWN = ("best_iou_matched", "auroc")
_PER_LINE = 4
_WIDTH, _HEIGHT = 150, 84


def trajectory_blocks(table: pd.DataFrame | None, first: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """The figure of the detector's score and of the AUROC of every class over epochs, and from when on it has one.

    Args:
        table: run, arm, seed, epoch (from 1), class, metric, value, reason.
        first: arm, class, seeds, found, first, latest, epoch, reason; one row per arm and class.
        order: Of classes and arms.
    """
    rows = order.rows(table, TRAJECTORY_COLUMNS)
    if not rows:
        return (not_shown("no epoch was kept; name some in `training.keep_checkpoints` before training"),)
    metrics = [name for name in _SHOWN if any(_is_drawn(row, name) for row in rows)]
    blocks: list[Block] = []
    if metrics:
        caption = (
            "Over the kept epochs (across, logarithmic), class by class: how well its best unit marks its annotations, "
            "chosen on one half of the patients and scored on the other, above what annotations of other patients "
            "give (0 is chance), and its AUROC on the test images (0.5 is chance). Thin lines are seeds, thick lines "
            "their mean at the epochs that all seeds of the arm have kept."
        )
        blocks.append(Figure(caption, trajectory_chart(rows, tuple(metrics), order)))
    firsts = order.rows(first, FIRST_COLUMNS)
    blocks.append(_first_table(firsts) if firsts else not_shown("no unit was tested at the kept epochs"))
    return tuple(blocks)


def trajectory_chart(rows: Rows, metrics: tuple[str, ...], order: PageOrder) -> Markup:
    """For each metric a panel per class: the value (up) at each kept epoch (across).

    Args:
        rows: run, arm, epoch, class, metric, value; what is not finite is not drawn.
        metrics: From top to bottom, each with a value.
        order: Arms, control first.
    """
    drawn = [row for row in rows if any(_is_drawn(row, metric) for metric in metrics) and row["arm"] in order.arms]
    ticks = sorted({float_of(row["epoch"]) for row in drawn})
    grids = []
    for metric in metrics:
        mine = [_point(row) for row in drawn if row["metric"] == metric]
        axes = _axes(mine, ticks)
        panels = [_panel(points, name, axes, order) for (name,), points in grouped(mine, "class").items()]
        lines = [alt.hconcat(*panels[at : at + _PER_LINE], spacing=14) for at in range(0, len(panels), _PER_LINE)]
        grids.append(alt.vconcat(*lines, spacing=8, title=_TITLES[metric]))
    return svg(alt.vconcat(*grids, spacing=22), f"Over epochs: {'; '.join(_TITLES[metric] for metric in metrics)}")


def _axes(points: Rows, ticks: list[float]) -> tuple[Any, Any]:
    """Both axes, the same in every panel of a metric, so that classes can be compared."""
    across = alt.Axis(values=ticks, format="d", labelOverlap="greedy", grid=False)
    epochs = alt.Scale(type="log", domain=[ticks[0], max(ticks[-1], ticks[0] + 1)], nice=False)
    values = [point["value"] for point in points]
    return (
        alt.X("epoch:Q", title=None, axis=across, scale=epochs),
        alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=3), scale=alt.Scale(domain=[min(values), max(values)])),
    )


def _panel(points: Rows, name: str, axes: tuple[Any, Any], order: PageOrder) -> Any:
    colour, dashes = line_encodings(order.arms)
    x, y = axes
    seeds = alt.Chart(inline(points)).encode(x=x, y=y, color=colour)
    means = alt.Chart(inline(_means(points))).encode(x=x, y=y, color=colour)
    return alt.layer(
        seeds.mark_line(strokeWidth=0.6, opacity=0.6).encode(detail="run:N"),
        means.mark_line(strokeWidth=1.8).encode(strokeDash=dashes),
        means.mark_point(filled=True, size=16, opacity=1),
    ).properties(width=_WIDTH, height=_HEIGHT, title=alt.TitleParams(name, fontSize=10, fontWeight="normal"))


def _means(points: Rows) -> Rows:
    """Mean over the runs of an arm at the epochs at which all of them have a value."""
    means = []
    for (arm,), mine in grouped(points, "arm").items():
        runs = len({point["run"] for point in mine})
        for at in grouped(mine, "epoch").values():
            if len(at) == runs:
                mean = math.fsum(point["value"] for point in at) / runs
                means.append({"arm": arm, "epoch": at[0]["epoch"], "value": mean})
    return means


def _first_table(rows: Rows) -> Table:
    notes = Notes()
    has_seeds = any(float_of(row["seeds"]) > 1 for row in rows)
    return Table(
        "From which kept epoch on the class has a detector: a unit that marks its annotations better than annotations "
        "of the same class put on other patients, at that and at every later kept epoch. "
        + ("The first epoch by which more than half of the seeds have one; beside it the range of those. " * has_seeds)
        + "Between two kept epochs nothing is known, so the number is the latest at which it can have appeared.",
        ("class", "arm", "first epoch", "seeds with a detector"),
        tuple(_line(row, notes) for row in rows),
        title="When detectors appear",
        notes=notes.lines(),
    )


def _line(row: dict[str, Any], notes: Notes) -> tuple[Cell, ...]:
    reason = text_of(row["reason"])
    first, latest = row["first"], row["latest"]
    spread = f"{count(first)} to {count(latest)}" if float_of(first) < float_of(latest) else ""
    never = "" if reason else "no detector at the last kept epoch in half of the seeds or more"
    found, seeds = row["found"], row["seeds"]
    return (
        word(row["class"]),
        word(row["arm"]),
        figure_cell(count(row["epoch"]), row["epoch"], reason or never, notes, detail=spread),
        figure_cell(f"{count(found)} of {count(seeds)}", math.nan if reason else found, reason, notes),
    )


def _is_drawn(row: dict[str, Any], metric: str) -> bool:
    return (
        row["metric"] == metric
        and text_of(row["class"]) not in AGGREGATES
        and math.isfinite(float_of(row["value"]))
        and float_of(row["epoch"]) >= 1
    )


def _point(row: dict[str, Any]) -> dict[str, Any]:
    names = {name: text_of(row[name]) for name in ("run", "arm", "class")}
    return {**names, "epoch": float_of(row["epoch"]), "value": float_of(row["value"])}
