"""The chapter on the instrument: does each attribution method show what it is taken to show?"""

from __future__ import annotations

from typing import Any

from tailscope.report.blocks import Block, Cell, Paragraph, Section, Table, figure_cell, not_shown, word
from tailscope.report.content import ReportContent
from tailscope.report.frames import SOUNDNESS_COLUMNS, STAGE_COLUMNS, filled, ranked, rows_of, text_of
from tailscope.report.numbers import count, decimal, interval, listed

FAILS = "fails"
_HOW = (
    "How each attribution method fares on the networks of this experiment. Class discriminative: rank correlation of "
    "the maps of different classes on one image; a method that gives each class the same map says nothing of a class. "
    "Parameters randomised: rank correlation of a map with that of the same network after all its weights were drawn "
    "anew; labels permuted: with that of a network trained on permuted labels; a map that stays as it is shows the "
    "image, not what was learnt. Deletion and insertion: how much sooner the logit falls and rises along the map's "
    "order of pixels than along a random one. Agreement with another method is described, not judged."
)


def soundness(content: ReportContent) -> Section:
    """Every check of every method and arm."""
    title = "Is the instrument sound?"
    rows = _rows(content)
    if not rows:
        return Section("instrument", title, (not_shown("the attribution methods were not checked in this experiment"),))
    return Section("instrument", title, (*failed_methods(content), _table(rows), *_stages(content)))


def failed_methods(content: ReportContent) -> tuple[Block, ...]:
    """A line for those who read the first chapter only, if a method fails; its findings are not counted."""
    failed: dict[str, set[str]] = {}
    for row in _rows(content):
        if text_of(row["verdict"]) == FAILS:
            failed.setdefault(text_of(row["method"]), set()).add(text_of(row["check"]))
    return tuple(
        Paragraph(
            f"The attribution method {method} fails a check of its soundness ({listed(sorted(checks), limit=4)}; see "
            "Is the instrument sound?): its findings are not counted as hidden differences."
        )
        for method, checks in failed.items()
    )


def _rows(content: ReportContent) -> list[dict[str, Any]]:
    return rows_of(ranked(filled(content.soundness, SOUNDNESS_COLUMNS), "arm", content.arms))


def _table(rows: list[dict[str, Any]]) -> Table:
    by_method = sorted(rows, key=_place)
    return Table(
        _HOW,
        ("method", "check", "arm", "value", "limit", "pairs", "verdict", "what it means"),
        tuple(
            (
                word(row["method"]),
                word(row["check"]),
                word(row["arm"]),
                figure_cell(decimal(row["value"], 2), row["value"], detail=interval(row["lo"], row["hi"])),
                figure_cell(decimal(row["limit"], 2), row["limit"]),
                figure_cell(count(row["n"]), row["n"]),
                Cell(text_of(row["verdict"]) or "–", style="strong" if text_of(row["verdict"]) == FAILS else "text"),
                word(row["sentence"]),
            )
            for row in by_method
        ),
        title="Checks of the attribution methods",
    )


def _stages(content: ReportContent) -> tuple[Block, ...]:
    """Cascading and independent randomisation, a column per arm."""
    rows = rows_of(ranked(filled(content.stages, STAGE_COLUMNS), "arm", content.arms))
    cells: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((text_of(row["method"]), text_of(row["stage"])), {})[text_of(row["arm"])] = row
    nothing: dict[str, Any] = {"value": None, "lo": None, "hi": None}
    lines = tuple(
        (word(method), word(stage), *(_likeness(found.get(arm, nothing)) for arm in content.arms))
        for (method, stage), found in cells.items()
    )
    caption = (
        "Mean absolute rank correlation of the maps with those of the trained network while its weights are drawn "
        "anew: cascading from the head downwards up to the layer that is named, then all weights, and one layer at a "
        "time (independent). A method that shows what was learnt falls early."
    )
    title = "Randomisation, stage by stage"
    head = ("method", "stage", *content.arms)
    return (Table(caption, head, lines, title=title, is_open=False, is_dense=True),) if lines else ()


def _likeness(row: dict[str, Any]) -> Cell:
    return figure_cell(decimal(row["value"], 2), row["value"], detail=interval(row["lo"], row["hi"]))


def _place(row: dict[str, Any]) -> tuple[str, bool, str]:
    """By method; what is judged before what is only described."""
    return text_of(row["method"]), not text_of(row["verdict"]), text_of(row["check"])
