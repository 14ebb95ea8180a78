"""What the search for settings gave each arm."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd

from tailscope.report.arms import ArmAudit
from tailscope.report.blocks import Block, Cell, Listing, Notes, Paragraph, Table, figure_cell, word
from tailscope.report.frames import TUNING_COLUMNS, filled, float_of, is_missing, ranked, rows_of, text_of
from tailscope.report.numbers import count, decimal, listed, plural, rate, setting

Rows = list[dict[str, Any]]


def tuning_blocks(frame: pd.DataFrame | None, arms: tuple[str, ...], audits: tuple[ArmAudit, ...]) -> tuple[Block, ...]:
    """What each arm got, who sits at the edge of what was searched, and all trials; or that nothing was tuned."""
    rows = rows_of(ranked(filled(frame, TUNING_COLUMNS), "arm", arms))
    if not rows:
        return (Paragraph(_untuned(audits)),)
    by_arm = {arm: [row for row in rows if text_of(row["arm"]) == arm] for arm in _arms(rows)}
    others = {audit.arm: audit.weights_from for audit in audits if audit.arm not in by_arm}
    return (Paragraph(_budget(by_arm, others)), _chosen(by_arm), *_edges(by_arm), _trials(rows))


def _untuned(audits: tuple[ArmAudit, ...]) -> str:
    rates = Counter(audit.numbers["lr"] for audit in audits if math.isfinite(audit.numbers["lr"]))
    if not rates:
        return "No arm was tuned: each was trained with its settings as configured."
    if len(rates) == 1:
        return f"No arm was tuned: all share the learning rate {rate(next(iter(rates)))}."
    usual = rates.most_common(1)[0][0]
    others = [f"{audit.arm} ({rate(audit.numbers['lr'])})" for audit in audits if audit.numbers["lr"] != usual]
    return f"No arm was tuned: the learning rate is {rate(usual)}, except of {listed(others, limit=len(others))}."


def _budget(by_arm: dict[str, Rows], others: dict[str, str]) -> str:
    trials = {arm: len(rows) for arm, rows in by_arm.items()}
    if len(set(trials.values())) == 1:
        which = "Each searched arm" if others else "Every arm"
        had = f"{which} had the same {plural(next(iter(trials.values())), 'trial')}"
    else:
        had = "The number of trials differs: " + ", ".join(f"{arm} {number}" for arm, number in trials.items())
    parts = [had, *(_resting(base, others) for base in dict.fromkeys(others.values()))]
    return f"Settings were searched on validation images alone, never on test images. {'; '.join(parts)}."


def _resting(base: str, others: dict[str, str]) -> str:
    """The arms without a search of their own that rest on one base; it is empty where none is known."""
    names = [arm for arm, its_base in others.items() if its_base == base]
    told, one = listed(names, limit=len(names)), len(names) == 1
    if not base:
        return f"{told} {'was' if one else 'were'} not searched"
    return f"{told} {'rests' if one else 'rest'} on {base} and {'takes' if one else 'take'} what {base} got"


def _chosen(by_arm: dict[str, Rows]) -> Table:
    notes = Notes()
    return Table(
        "What each arm got from the search: the learning rate and the value of its one main parameter with the best "
        "validation AUROC. Scores are those of the trials, on validation images, so the best of many is "
        "a little too good: they choose settings, and compare no arms.",
        ("arm", "learning rate", "parameter", "value", "best validation AUROC", "trials", "at the edge"),
        tuple(_choice(arm, rows, notes) for arm, rows in by_arm.items()),
        notes=notes.lines(),
    )


def _choice(arm: str, rows: Rows, notes: Notes) -> tuple[Cell, ...]:
    best = _selected(rows)
    why = next((text_of(row["reason"]) for row in rows if text_of(row["reason"])), "no trial was chosen")
    return (
        word(arm),
        figure_cell(rate(best.get("lr")), best.get("lr"), why, notes),
        word(best.get("parameter")),
        _value(best.get("value")),
        figure_cell(decimal(best.get("score")), best.get("score"), why, notes),
        figure_cell(count(len(rows)), len(rows)),
        word("yes" if text_of(best.get("at_edge")) else "no" if best else ""),
    )


def _edges(by_arm: dict[str, Rows]) -> tuple[Block, ...]:
    found = {arm: text_of(_selected(rows).get("at_edge")) for arm, rows in by_arm.items()}
    items = tuple(f"{arm}: {text}" for arm, text in found.items() if text)
    if not items:
        return (Paragraph("No arm sits at the edge of its range."),)
    return (Listing(items, "bullets", "Arms at the edge of their range: a wider search may favour them"),)


def _trials(rows: Rows) -> Table:
    notes = Notes()
    return Table(
        "All trials of the search, in the order in which they were run; the chosen one of each arm is marked. A trial "
        "without a score could not be finished, and its reason is given.",
        ("arm", "trial", "learning rate", "parameter", "value", "validation AUROC", "epoch", "chosen"),
        tuple(
            (
                word(row["arm"]),
                figure_cell(count(row["trial"]), row["trial"]),
                figure_cell(rate(row["lr"]), row["lr"]),
                word(row["parameter"]),
                _value(row["value"]),
                figure_cell(decimal(row["score"]), row["score"], row["reason"], notes),
                _epoch(row["epoch"]),
                Cell("chosen" if _is_selected(row) else ""),
            )
            for row in rows
        ),
        title="All trials",
        is_open=False,
        notes=notes.lines(),
    )


def _value(value: Any) -> Cell:
    number = float_of(value)
    return figure_cell(setting(number), number) if math.isfinite(number) or is_missing(value) else word(value)


def _epoch(value: Any) -> Cell:
    number = float_of(value) + 1
    return figure_cell(count(number), number)


def _selected(rows: Rows) -> dict[str, Any]:
    return next((row for row in rows if _is_selected(row)), {})


def _is_selected(row: dict[str, Any]) -> bool:
    return float_of(row["selected"]) == 1


def _arms(rows: Rows) -> list[str]:
    return list(dict.fromkeys(text_of(row["arm"]) for row in rows))
