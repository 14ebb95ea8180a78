"""Which detectors a treatment keeps, gains and loses, unit matched to unit."""

from __future__ import annotations

import pandas as pd

from tailscope.report.blocks import Block, Cell, Notes, Table, not_shown, word
from tailscope.report.numbers import share
from tailscope.report.page_order import PageOrder, Rows, by_layer, first_reason, grouped
from tailscope.report.seed_range import RANGES, known_sum, mean_count, range_cell, seed_range

CHANGE_COLUMNS = (
    "arm", "seed", "layer", "class", "detectors_control", "detectors_arm", "kept", "gained", "lost", "matched_share",
    "reason",
)  # fmt: skip

_COUNTS = ("detectors_control", "detectors_arm", "kept", "gained", "lost")
_HEADS = ("detectors, control", "detectors, arm", "kept", "gained", "lost")
_HOW = (
    "Every unit of an arm is matched with one unit of control of the same seed (correlation of activations, linear "
    "assignment). Kept: the partner detects the class as well. Gained: a detector whose partner in control does not. "
    "Lost: a detector of control whose partner does not. Matched is the share of the units that have a partner like "
    "them; where it is low, a detector may live on spread over several units."
)


def change_blocks(changes: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Concepts gained and lost: the sums of each arm, and every class folded below.

    Args:
        changes: Per arm, seed, layer and class: arm, seed, layer, class, detectors_control, detectors_arm, kept,
            gained, lost, matched_share in [0, 1], reason. Rows of control itself compare it with another seed.
        order: Of classes and arms.
    """
    rows = order.rows(changes, CHANGE_COLUMNS)
    if not rows:
        return (not_shown("the units of the arms were not matched with those of control"),)
    return (_sums(rows, order), _classes(rows))


def _sums(rows: Rows, order: PageOrder) -> Table:
    lines = []
    for (layer, arm), mine in grouped(by_layer(rows), "layer", "arm").items():
        runs = list(grouped(mine, "seed").values())
        counts = [range_cell([known_sum(row[name] for row in run) for run in runs], mean_count) for name in _COUNTS]
        matched = range_cell([seed_range(row["matched_share"] for row in run).mean for run in runs], share)
        lines.append((Cell(arm, style="strong"), word(layer), *counts, matched))
    noise = " The rows of control compare two of its seeds: so much changes without any treatment."
    has_noise = any(row["arm"] == order.arms[0] for row in rows)
    return Table(
        f"Concepts gained and lost, summed over the classes. {_HOW} {RANGES}{noise if has_noise else ''}",
        ("arm", "layer", *_HEADS, "matched"),
        tuple(lines),
        title="Concepts gained and lost",
        is_dense=True,
    )


def _classes(rows: Rows) -> Table:
    notes = Notes()
    lines = []
    for (name, layer, arm), mine in grouped(by_layer(rows), "class", "layer", "arm").items():
        reason = first_reason(mine)
        counts = [range_cell([row[column] for row in mine], mean_count, reason, notes) for column in _COUNTS]
        matched = range_cell([row["matched_share"] for row in mine], share, reason, notes)
        lines.append((Cell(name), word(layer), word(arm), *counts, matched))
    return Table(
        f"Concepts gained and lost, per class. {RANGES}",
        ("class", "layer", "arm", *_HEADS, "matched"),
        tuple(lines),
        title="Concepts gained and lost by class",
        is_open=False,
        notes=notes.lines(),
    )
