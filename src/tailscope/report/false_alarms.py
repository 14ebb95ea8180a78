"""The experiment's own false-alarm check: how often a second control is said to differ from control."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Notes, Paragraph, Table, figure_cell, not_shown, word
from tailscope.report.frames import AGGREGATES, filled, float_of, is_missing, ranked, rows_of, text_of
from tailscope.report.numbers import interval, listed, p_value, plural, signed
from tailscope.report.words import metric_name

COLUMNS = (
    "metric", "class", "group", "seeds", "difference", "lo", "hi", "p", "verdict", "kind", "reason", "primary",
)  # fmt: skip
_ALPHA = 0.05
_DIFFERENT = ("better", "worse", "higher", "lower", "differs, within the margin")
_HIDDEN = "hidden difference"
_SEEDS_FOR_A_VERDICT = 3
Row = dict[str, Any]


def false_alarm_blocks(frame: pd.DataFrame | None, order: tuple[str, ...]) -> tuple[Block, ...]:
    """How many of the second control's comparisons are false alarms, and all of them in a folded table.

    Counted are the metrics that treatments get verdicts on, class by class; means over classes and exploratory metrics
    are not.

    Args:
        frame: ``false_alarms.parquet``; None or empty without a second control, and there is nothing to show then.
        order: Classes from head to tail.
    """
    if frame is None or frame.empty:
        return ()
    table = ranked(filled(frame, COLUMNS), "class", order)
    rows = [row for row in rows_of(table) if _is_counted(row)]
    judged = [row for row in rows if float_of(row["p"]) == float_of(row["p"])]
    if not judged:
        return (not_shown(f"the second control cannot be compared with control: {_why_none(rows)}"), *_table(rows))
    return (Paragraph(" ".join((_rate(judged), _hidden(judged), _reading(judged)))), *_table(rows))


def _is_counted(row: Row) -> bool:
    is_mean = row["class"] in AGGREGATES and row["group"] == row["class"]
    return not is_mean and not is_missing(row["primary"]) and bool(row["primary"])


def _why_none(rows: list[Row]) -> str:
    reasons = [text_of(row["reason"]) for row in rows if text_of(row["reason"])]
    return reasons[0] if reasons else "no metric that gets verdicts was handed over"


def _rate(rows: list[Row]) -> str:
    number = len(rows)
    unadjusted = sum(float_of(row["p"]) < _ALPHA for row in rows)
    start = "The second control, trained on other seeds, differs from control in"
    plain = f"by unadjusted p < .05 (5 % expected: {_ALPHA * number:.1f})"
    if _seeds(rows) < _SEEDS_FOR_A_VERDICT:
        few = plural(_seeds(rows), "seed")
        return f"{start} {unadjusted} of {plural(number, 'comparison')} {plain}; {few} per arm allow no verdict."
    false = sum(_is_false(row) for row in rows)
    return f"{start} {false} of {plural(number, 'comparison')} by verdict and in {unadjusted} of {number:,} {plain}."


def _seeds(rows: list[Row]) -> int:
    return min(int(row["seeds"]) for row in rows)


def _is_false(row: Row) -> bool:
    return text_of(row["verdict"]) in _DIFFERENT


def _hidden(rows: list[Row]) -> str:
    found = [row for row in rows if row["kind"] == _HIDDEN]
    candidates = sum(row["kind"] == "candidate" for row in rows)
    others = f" Of it {plural(candidates, 'candidate is', 'candidates are')} listed." if candidates else ""
    if not found:
        return f"No hidden difference is reported of it.{others}"
    names = listed([f"{row['class']} ({metric_name(text_of(row['metric']))})" for row in found], limit=len(found))
    return f"{plural(len(found), 'hidden difference is', 'hidden differences are')} reported of it: {names}.{others}"


def _reading(rows: list[Row]) -> str:
    """What follows for the reader; comparisons share images and runs, so the count is no test."""
    wrong = [row for row in rows if _is_false(row) or row["kind"] == _HIDDEN]
    shared = "Comparisons share images and runs and alarm together, so the count can be far from what is expected."
    if not wrong:
        return f"The two arms differ by chance alone: any difference between them would be a false alarm. {shared}"
    metrics = list(dict.fromkeys(metric_name(text_of(row["metric"])) for row in wrong))
    return (
        "The two arms differ by chance alone, so each of these is a false alarm: read the verdicts on "
        f"{listed(metrics, limit=len(metrics))} with care. {shared}"
    )


def _table(rows: list[Row]) -> tuple[Block, ...]:
    if not rows:
        return ()
    notes = Notes()
    lines = tuple(
        (
            word(metric_name(text_of(row["metric"]))),
            word(row["class"]),
            figure_cell(
                signed(row["difference"]),
                row["difference"],
                row["reason"],
                notes,
                detail=interval(row["lo"], row["hi"], is_difference=True),
            ),
            figure_cell(p_value(row["p"]), row["p"]),
            word(row["verdict"], "strong" if _is_false(row) else "text"),
            word(row["kind"]),
        )
        for row in rows
    )
    caption = (
        "The second control minus control, with 95 % intervals; unadjusted p, and the verdict after Holm's adjustment "
        "over the metric's classes. The last column is what the search for hidden differences says."
    )
    columns = ("metric", "class", "difference", "p", "verdict", "hidden")
    return (Table(caption, columns, lines, title="Second control", is_open=False, notes=notes.lines()),)
