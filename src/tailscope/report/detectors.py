"""How many units answer to each class, beyond other patients' annotations: counts, layers, and the fraction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Cell, Figure, Notes, Paragraph, Table, not_shown, word
from tailscope.report.differences import MOST_OPEN
from tailscope.report.frames import GROUPS, float_of, text_of
from tailscope.report.numbers import decimal, listed, share
from tailscope.report.page_order import PageOrder, Rows, by_layer, first_reason, grouped, names_in
from tailscope.report.seed_chart import SeedPanel, seed_chart
from tailscope.report.seed_range import RANGES, known_sum, mean_count, range_cell

DETECTOR_COLUMNS = (
    "run", "arm", "seed", "layer", "class", "group", "detectors", "position_only", "above_rule", "reason",
)  # fmt: skip
UNIT_LAYER_COLUMNS = (
    "run", "arm", "seed", "layer", "units", "dead", "sparse", "live", "coverage", "redundancy", "detectors_total",
)  # fmt: skip

_RULE = (
    "A detector is a unit that marks the annotations of its class better than annotations of the same class put on "
    "other patients (at least 1,000 derangements, maximum over units, Holm over classes, 5 %)."
)
_POSITION = (
    "Position-only units pass NetDissect's rule (IoU above 0.04 at the fixed fraction) and fail this test: they mark "
    "where such findings usually lie, not where this one lies."
)


def detector_blocks(detectors: pd.DataFrame | None, layers: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Chart and tables of detectors per class, arm and layer, with the range of the seeds beside every mean.

    Args:
        detectors: Per run, layer and class: run, arm, seed, layer, class, group, detectors (NaN where untested),
            position_only, above_rule, reason.
        layers: Per run and layer: run, arm, seed, layer, units, dead, sparse, live, coverage, redundancy,
            detectors_total.
        order: Of classes and arms.
    """
    rows = order.rows(detectors, DETECTOR_COLUMNS)
    summaries = order.rows(layers, UNIT_LAYER_COLUMNS)
    if not rows and not summaries:
        return (not_shown("no unit was tested against other patients' annotations"),)
    untested = _untested(rows)
    blocks: list[Block] = [Paragraph(f"{_RULE} {_POSITION}")]
    if untested:
        blocks.append(Paragraph(f"Not testable: {untested}. They count neither as with nor as without detectors."))
    blocks += [_chart(rows, summaries, order)] if any(math.isfinite(float_of(row["detectors"])) for row in rows) else []
    blocks += [_layer_table(rows, summaries)]
    blocks += [_class_table(rows)] if rows else []
    return tuple(blocks)


def _untested(rows: Rows) -> str:
    """Classes without a number in any run, each with its reason."""
    parts: dict[str, list[str]] = {}
    for (name,), mine in grouped(rows, "class").items():
        if not any(math.isfinite(float_of(row["detectors"])) for row in mine):
            parts.setdefault(first_reason(mine) or "no reason was given", []).append(name)
    return "; ".join(f"{listed(names, limit=len(names))} ({reason})" for reason, names in parts.items())


def _chart(rows: Rows, summaries: Rows, order: PageOrder) -> Figure:
    units = {(text_of(row["run"]), text_of(row["layer"])): float_of(row["units"]) for row in summaries}
    panels = []
    for (layer,), mine in grouped(rows, "layer").items():
        per_100 = [
            {**row, "value": _per_100(row["detectors"], units.get((text_of(row["run"]), layer), math.nan))}
            for row in mine
        ]
        panels.append(SeedPanel(f"{layer}: detectors per 100 units", per_100, []))
    return Figure(
        "Detectors per 100 units of the layer, per class and arm. Small dots are seeds, large marks their mean: two "
        "arms whose dots mix differ by no more than the seeds do.",
        seed_chart(panels, names_in(rows, "class"), order),
    )


def _per_100(detectors: Any, units: float) -> float:
    return 100 * float_of(detectors) / units if units > 0 else math.nan


def _layer_table(rows: Rows, summaries: Rows) -> Table:
    """One line per layer and arm; the sums of the groups come from the classes that could be tested."""
    summed = grouped(by_layer(summaries or rows), "layer", "arm")
    of_classes = grouped(rows, "layer", "arm")
    groups = [group for group in GROUPS if any(row["group"] == group for row in rows)]
    notes = Notes()
    lines = [
        (
            Cell(key[0]),
            word(key[1]),
            *_summary(mine),
            *(_group_sum(of_classes.get(key, []), group, notes) for group in groups),
        )
        for key, mine in summed.items()
    ]
    return Table(
        f"Layers. {RANGES} Coverage is the share of the tested classes that have a detector, redundancy the number of "
        "detectors of a class that has one. A dead unit is constant on all test images; a sparse one is at rest on all "
        "but the top fraction. Head, medium and tail: detectors summed over the tested classes of the group.",
        ("layer", "arm", "units", "live", "dead", "sparse", "detectors", "coverage", "redundancy", *groups),
        tuple(lines),
        title="Detectors by layer and arm",
        is_open=len(lines) <= MOST_OPEN,
        notes=notes.lines(),
        is_dense=True,
    )


def _summary(rows: Rows) -> tuple[Cell, ...]:
    shown: dict[str, Callable[[float], str]] = {
        **dict.fromkeys(("units", "live", "dead", "sparse", "detectors_total"), mean_count),
        "coverage": share,
        "redundancy": _tenth,
    }
    return tuple(range_cell([row.get(name) for row in rows], show) for name, show in shown.items())


def _group_sum(rows: Rows, group: str, notes: Notes) -> Cell:
    mine = [row for row in rows if row["group"] == group]
    sums = [known_sum(row["detectors"] for row in run) for run in grouped(mine, "run").values()]
    return range_cell(sums, mean_count, first_reason(mine), notes)


def _class_table(rows: Rows) -> Table:
    notes = Notes()
    lines = []
    for (layer, name, arm), mine in grouped(by_layer(rows), "layer", "class", "arm").items():
        reason = first_reason(mine)
        lines.append(
            (
                Cell(name),
                word(mine[0]["group"]),
                word(layer),
                word(arm),
                *(
                    range_cell([row[column] for row in mine], mean_count, reason, notes)
                    for column in ("detectors", "position_only", "above_rule")
                ),
            )
        )
    return Table(
        f"Units per class. {RANGES} {_POSITION} Above the rule: all units with a fixed-fraction IoU above 0.04.",
        ("class", "group", "layer", "arm", "detectors", "position-only", "above the rule"),
        tuple(lines),
        title="Detectors by class",
        is_open=False,
        notes=notes.lines(),
    )


def _tenth(value: float) -> str:
    return decimal(value, 1)
