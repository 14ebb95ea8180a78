"""Did the features change, or only the head? Similarity of runs, probes, swapped heads, geometry of the classes."""

from __future__ import annotations

import math

import pandas as pd

from tailscope.report.blocks import Block, Cell, Figure, Notes, Table, figure_cell, not_shown, word
from tailscope.report.differences import MOST_OPEN
from tailscope.report.frames import float_of
from tailscope.report.numbers import count, decimal, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, first_reason, grouped
from tailscope.report.probes import probe_blocks
from tailscope.report.representation_tables import RepresentationTables
from tailscope.report.seed_range import RANGES, range_cell
from tailscope.report.similarity import similarity_chart

CKA_COLUMNS = ("layer", "arm_a", "seed_a", "arm_b", "seed_b", "value")
RELATIVE_COLUMNS = ("layer", "arm", "cka_to_control", "control_to_control", "difference", "pairs", "reason")
SWAP_COLUMNS = ("arm", "seed", "class", "features_of", "head_of", "auroc", "reason")
GEOMETRY_COLUMNS = (
    "arm", "seed", "class", "group", "scatter_ratio", "classifier_cosine", "self_duality", "effective_rank", "reason",
)  # fmt: skip

_MEASURES = {
    "scatter_ratio": "within / between",
    "classifier_cosine": "cosine of head rows",
    "self_duality": "head row with class mean",
    "effective_rank": "effective rank",
}


def representation_blocks(tables: RepresentationTables, order: PageOrder) -> tuple[Block, ...]:
    """All of it: first the verdicts, then what stands behind them."""
    given = (tables.cka, tables.relative, tables.probes, tables.swap, tables.geometry)
    if all(frame is None or frame.empty for frame in given):
        return (not_shown("the features of the runs were not compared (the lens was not asked for)"),)
    return (
        *probe_blocks(tables.probes, order),
        *swap_blocks(tables.swap, order),
        *similarity_blocks(tables.cka, tables.relative, order),
        *geometry_blocks(tables.geometry, order),
    )


def swap_blocks(swap: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """The 2×2 of features and heads, a line per class and treatment."""
    rows = order.rows(swap, SWAP_COLUMNS)
    if not rows:
        return (not_shown("heads and features were not swapped between treatments and control"),)
    notes = Notes()
    lines = []
    for (name, arm), mine in grouped(rows, "class", "arm").items():
        if arm == order.arms[0] and len(order.arms) > 1:
            continue
        pairs = [(features == arm, head == arm) for features, head in ((r["features_of"], r["head_of"]) for r in mine)]
        cells = [
            range_cell(
                [row["auroc"] for row, pair in zip(mine, pairs, strict=True) if pair == wanted],
                decimal,
                first_reason(mine),
                notes,
            )
            for wanted in ((False, False), (False, True), (True, False), (True, True))
        ]
        lines.append((class_cell(name), word(arm), *cells))
    return (
        Table(
            f"Swapped heads: AUROC of every pair of features and head. {RANGES} If the treatment's head on control's "
            "features does what the treatment does, only the head changed; a swapped head that falls on both sides "
            "means that features and head changed together.",
            ("class", "arm", "control's both", "control's features, arm's head", "arm's features, control's head",
             "arm's both"),
            tuple(lines),
            title="Heads and features swapped",
            is_open=len(lines) <= MOST_OPEN,
            notes=notes.lines(),
            is_dense=True,
        ),
    )  # fmt: skip


def similarity_blocks(cka: pd.DataFrame | None, relative: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Heat maps of linear CKA, and how far each arm lies from control beyond control's own seeds."""
    pairs = order.rows(cka, CKA_COLUMNS)
    pairs = [row for row in pairs if math.isfinite(float_of(row["value"]))]
    rows = order.rows(relative, RELATIVE_COLUMNS)
    if not pairs and not rows:
        return (not_shown("the layers of the runs were not compared"),)
    figure = Figure(
        "Linear CKA (unbiased, the same minibatches for all runs) between all runs, layer by layer: 1 is the same up "
        "to rotation and scale. Runs stand by arm, then seed; white lines part the arms. The squares along the "
        "diagonal are seeds of one arm: an arm differs from control only where its cells are paler than those. Runs "
        "of one seed share their first weights and are alike for that reason too.",
        similarity_chart(pairs, order),
    ) if pairs else None  # fmt: skip
    return (*([figure] if figure else []), *([_relative_table(rows)] if rows else []))


def _relative_table(rows: Rows) -> Table:
    notes = Notes()
    lines = tuple(
        (
            Cell(layer),
            word(arm),
            *(
                figure_cell(show(mine[0][name]), mine[0][name], mine[0]["reason"], notes)
                for name, show in (
                    ("cka_to_control", decimal),
                    ("control_to_control", decimal),
                    ("difference", signed),
                    ("pairs", count),
                )
            ),
        )
        for (layer, arm), mine in grouped(rows, "layer", "arm").items()
    )
    return Table(
        "Similarity to control, measured against control's own seeds: mean CKA of an arm's runs with control's runs of "
        "another seed, of control's runs with each other, and the difference; below zero the treatment changed the "
        "layer more than another seed does.",
        ("layer", "arm", "arm to control", "control to control", "difference", "pairs of runs"),
        lines,
        title="CKA to control, beyond the seeds",
        is_open=len(lines) <= MOST_OPEN,
        notes=notes.lines(),
    )


def geometry_blocks(geometry: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Scatter, angles and rank, per class and arm; measures that no row has are left out."""
    rows = order.rows(geometry, GEOMETRY_COLUMNS)
    if not rows:
        return (not_shown("the geometry of the classes was not measured"),)
    shown = [name for name in _MEASURES if any(math.isfinite(float_of(row[name])) for row in rows)]
    notes = Notes()
    lines = tuple(
        (
            class_cell(name) if name else Cell("all classes", style="strong"),
            word(mine[0]["group"]),
            word(arm),
            *(range_cell([row[measure] for row in mine], _SHOWN[measure], first_reason(mine), notes)
              for measure in shown),
        )
        for (name, arm), mine in grouped(rows, "class", "arm").items()
    )  # fmt: skip
    return (
        Table(
            f"Geometry of the classes. {RANGES} Within / between: scatter of a class's features around their mean, "
            "over the distance from all others (small is compact). Cosine of head rows: of the class's row with the "
            "rows of the other classes; near 1 in rare classes is minority collapse. Head row with class mean: 1 is "
            "self-dual. Effective rank: how many directions the features use.",
            ("class", "group", "arm", *(_MEASURES[name] for name in shown)),
            lines,
            title="Geometry of the classes",
            is_open=len(lines) <= MOST_OPEN,
            notes=notes.lines(),
        ),
    )


def _two(value: float) -> str:
    return decimal(value, 2)


def _tenth(value: float) -> str:
    return decimal(value, 1)


_SHOWN = {"scatter_ratio": _two, "classifier_cosine": _two, "self_duality": _two, "effective_rank": _tenth}
