"""Does a class depend on its detectors? What its logit loses when they are held at their mean."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Cell, Figure, Listing, Notes, Table, figure_cell, not_shown, word
from tailscope.report.differences import MOST_OPEN
from tailscope.report.forest import Scale, common_scale, interval_picture
from tailscope.report.frames import AGGREGATES, float_of, has_intervals, text_of
from tailscope.report.numbers import interval, listed, signed
from tailscope.report.page_order import PageOrder, Rows, by_layer, class_cell, first_reason, grouped, names_in
from tailscope.report.seed_chart import SeedPanel, seed_chart
from tailscope.report.seed_range import RANGES, range_cell, seed_range

CAUSE_COLUMNS = (
    "arm", "seed", "layer", "class", "own_drop", "other_drop", "specificity", "random_specificity", "over_random",
    "reason",
)  # fmt: skip
CAUSE_INTERVAL_COLUMNS = ("arm", "layer", "class", "value", "lo", "hi")

Intervals = dict[tuple[str, ...], dict[str, Any]]
_HOW = (
    "The detectors of a class are held at their mean, and the fall of the logits on its annotated positives is "
    "measured in standard deviations of each logit. Specificity is the fall of the class's own logit minus that of the "
    "others; above random is the specificity minus that of as many random live units with the same mean contribution "
    "to the logit. Units are chosen on one half of the patients and tested on the other."
)


def cause_blocks(causes: pd.DataFrame | None, intervals: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Sentences, a chart per layer and a table: the fall of a class's logit without its detectors.

    Args:
        causes: Per run, layer and class: arm, seed, layer, class, own_drop, other_drop, specificity,
            random_specificity, over_random (in standard deviations of the logit), reason.
        intervals: arm, layer, class, value, lo, hi of over_random, over patients and seeds; None where there are none.
        order: Of classes and arms.
    """
    rows = order.rows(causes, CAUSE_COLUMNS)
    if not rows:
        return (not_shown("no unit was ablated, so nothing is said of causes"),)
    found = _by_cell(order.rows(intervals, CAUSE_INTERVAL_COLUMNS), rows)
    told = _sentences(found, names_in(rows, "layer"), order)
    charts = [
        _chart(layer, mine, found, order)
        for (layer,), mine in grouped(rows, "layer").items()
        if any(math.isfinite(float_of(row["over_random"])) for row in mine)
    ]
    return (*([Listing(told)] if told else []), *charts, _table(rows, found))


def _by_cell(intervals: Rows, rows: Rows) -> Intervals:
    """Intervals by class, layer and arm; one without a layer belongs to the only layer there is, or to none."""
    layers = names_in(rows, "layer")
    only = layers[0] if len(layers) == 1 else ""
    placed = [{**row, "layer": text_of(row["layer"]) or only} for row in intervals]
    return {
        (text_of(row["class"]), row["layer"], text_of(row["arm"])): row
        for row in placed
        if row["layer"] in layers and math.isfinite(float_of(row["value"]))
    }


def _sentences(found: Intervals, layers: tuple[str, ...], order: PageOrder) -> tuple[str, ...]:
    """Per arm and layer, the classes whose interval lies above zero."""
    told = []
    for layer in layers:
        where = f", {layer}" if len(layers) > 1 else ""
        for arm in order.arms:
            mine = {name: row for (name, *place), row in found.items() if place == [layer, arm]}
            mine = {name: row for name, row in mine.items() if name not in AGGREGATES and has_intervals([row])}
            shown = [name for name, row in mine.items() if float_of(row["lo"]) > 0]
            if mine:
                names = f": {listed(shown, limit=6)}" if shown else ""
                told.append(
                    f"{arm}{where}: {len(shown)} of {len(mine)} classes lose more without their detectors than "
                    f"without random units (95 % interval above 0, each class by itself){names}."
                )
    return tuple(told)


def _chart(layer: str, rows: Rows, found: Intervals, order: PageOrder) -> Figure:
    lines = [row for (_, where, _), row in found.items() if where == layer]
    panels = [
        SeedPanel("specificity above random units, SD", [{**row, "value": row["over_random"]} for row in rows], lines),
        SeedPanel("fall of the class's own logit, SD", [{**row, "value": row["own_drop"]} for row in rows], []),
    ]
    ends = "; lines are 95 % intervals over patients and seeds" if has_intervals(lines) else ""
    return Figure(
        f"Does the class depend on its detectors in {layer}? {_HOW} Right of the dashed line the network uses them for "
        f"this class more than for others, and more than any units. Small dots are seeds, large marks the arm{ends}.",
        seed_chart(panels, names_in(rows, "class"), order, has_zero=True),
    )


def _table(rows: Rows, found: Intervals) -> Table:
    cells = grouped(by_layer(rows), "class", "layer", "arm")
    known = [row[column] for row in found.values() for column in ("value", "lo", "hi")]
    scale = common_scale([*known, *(row["over_random"] for row in rows)])
    notes = Notes()
    lines = tuple(
        (
            class_cell(key[0]),
            word(key[1]),
            word(key[2]),
            *(
                range_cell([row[column] for row in mine], _two, first_reason(mine), notes)
                for column in ("own_drop", "other_drop", "specificity", "random_specificity")
            ),
            *_above(mine, found.get(key), scale, notes),
        )
        for key, mine in cells.items()
    )
    ends = has_intervals(list(found.values()))
    last = "with its interval; brackets are 95 % intervals" if ends else "with the range of its seeds"
    return Table(
        f"The fall of the logits without the detectors of a class, in standard deviations. {RANGES} The picture shows "
        f"the last number {last}.",
        ("class", "layer", "arm", "own logit", "other logits", "specificity", "random units", "above random", ""),
        lines,
        title="Causes by class",
        is_open=len(lines) <= MOST_OPEN,
        notes=notes.lines(),
        is_dense=True,
    )


def _above(rows: Rows, line: dict[str, Any] | None, scale: Scale, notes: Notes) -> tuple[Cell, Cell]:
    """The number that decides, with its interval where there is one, and as a picture."""
    values = [row["over_random"] for row in rows]
    if line is None:
        found = seed_range(values)
        picture = interval_picture(found.mean, found.low, found.high, scale)
        return range_cell(values, _two, first_reason(rows), notes), Cell("", picture=picture, style="picture")
    picture = interval_picture(line["value"], line["lo"], line["hi"], scale)
    ends = interval(line["lo"], line["hi"], is_difference=True)
    return figure_cell(_two(line["value"]), line["value"], detail=ends), Cell("", picture=picture, style="picture")


def _two(value: Any) -> str:
    return signed(value, 2)
