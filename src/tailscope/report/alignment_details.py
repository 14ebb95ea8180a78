"""What stands behind the excess: other references, the size of the annotation, and boxes at every limit."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.blocks import Block, Cell, Figure, Table, figure_cell, word
from tailscope.report.content import ReportContent
from tailscope.report.curves import localization_chart
from tailscope.report.frames import (
    AGGREGATES,
    LOCALIZATION_COLUMNS,
    REFERENCE_COLUMNS,
    SIZE_COLUMNS,
    VIEW_COLUMNS,
    filled,
    float_of,
    ranked,
    rows_of,
    text_of,
)
from tailscope.report.numbers import count, decimal, share, signed
from tailscope.report.selection import by_class

Rows = list[dict[str, Any]]

_REFERENCES = {
    "centre_gaussian": "a hill in the middle",
    "class_mean_annotation": "the class's mean training annotation",
    "edge": "the image's edges",
    "random": "noise",
    "uniform": "no saliency anywhere in particular",
    "untrained": "the network before training",
    "other_map": "the map of another class",
    "other_readers": "what readers score against each other (a ceiling)",
}


_OVERLAPS = {"iou": "IoU", "iobb": "IoBB"}


def details(content: ReportContent) -> tuple[Block, ...]:
    """Tables of references, views and sizes, and the curves of localisation; each only where it was measured."""
    return (*_references(content), *_views(content), *_sizes(content), *_localization(content))


def _references(content: ReportContent) -> tuple[Block, ...]:
    rows = by_class(content, content.references, REFERENCE_COLUMNS)
    names = [name for name in _REFERENCES if any(row["reference"] == name for row in rows)]
    names += sorted({text_of(row["reference"]) for row in rows} - set(names))
    caption = (
        "Mass inside above other references, mean over pairs and seeds: what the maps know beyond each. The mean "
        "training annotation of the class is the strongest map that knows no image; a map that does not beat the "
        "untrained network or the map of another class shows the picture, not the class."
    )
    columns = {name: _REFERENCES.get(name, name.replace("_", " ")) for name in names}
    return _side_by_side(rows, "reference", columns, caption, "Excess over other references")


def _views(content: ReportContent) -> tuple[Block, ...]:
    rows = by_class(content, content.views, VIEW_COLUMNS)
    columns = {name: name for name in dict.fromkeys(text_of(row["view"]) for row in rows)}
    caption = (
        "Mass inside above chance over other selections of the same pairs, mean over pairs and seeds. Every verdict of "
        "this page is over all pairs. To take only what an arm calls positive, or to drop its degenerate maps, selects "
        "on the outcome: these columns describe, and nothing is tested on them."
    )
    return _side_by_side(rows, "view", columns, caption, "Other views of the same pairs")


def _side_by_side(rows: Rows, column: str, columns: dict[str, str], caption: str, title: str) -> tuple[Block, ...]:
    """Excess per class, arm and method, with a column for each value of ``column``; nothing without rows."""
    cells: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        key = (text_of(row["class"]), text_of(row["arm"]), text_of(row["method"]))
        cells.setdefault(key, {})[text_of(row[column])] = float_of(row["excess"])
    lines = tuple(
        (
            _named(name),
            word(arm),
            word(method),
            *(figure_cell(signed(found.get(one, math.nan)), found.get(one, math.nan)) for one in columns),
        )
        for (name, arm, method), found in cells.items()
    )
    head = ("class", "arm", "method", *columns.values())
    return (Table(caption, head, lines, title=title, is_open=False),) if lines else ()


def _sizes(content: ReportContent) -> tuple[Block, ...]:
    table = ranked(filled(content.sizes, SIZE_COLUMNS), "arm", content.arms)
    rows = rows_of(ranked(table, "size", ("small", "medium", "large")))
    if not rows:
        return ()
    return (
        Table(
            "Mass inside by size of the annotation (thirds of all annotated test pairs), mean over pairs and seeds. "
            "Raw values follow the size; the excess is what can be compared.",
            ("size", "mean area", "arm", "method", "value", "chance", "excess", "pairs"),
            tuple(
                (
                    word(row["size"]),
                    figure_cell(share(row["area"]), row["area"]),
                    word(row["arm"]),
                    word(row["method"]),
                    figure_cell(decimal(row["value"]), row["value"]),
                    figure_cell(decimal(row["reference"]), row["reference"]),
                    figure_cell(signed(row["excess"]), row["excess"]),
                    figure_cell(count(row["n"]), row["n"]),
                )
                for row in rows
            ),
            title="By size of the annotation",
            is_open=False,
        ),
    )


def _localization(content: ReportContent) -> tuple[Block, ...]:
    rows = by_class(content, content.localization, LOCALIZATION_COLUMNS)
    if not rows:
        return ()
    methods = dict.fromkeys(text_of(row["method"]) for row in rows)
    blocks: list[Block] = []
    for method in methods:
        mine = [row for row in rows if text_of(row["method"]) == method]
        caption = (
            f"Localisation by boxes ({method}): share of the annotations that a box of the thresholded map overlaps by "
            "the limit T or more, mean over classes. IoU divides by the union, IoBB by the detected box as in the NIH "
            "paper. Thin dashed lines: the same maps against the annotations of other patients."
        )
        blocks.append(Figure(caption, localization_chart([r for r in mine if r["class"] == "macro"], content.arms)))
        blocks.append(_localization_table(method, mine))
    return tuple(blocks)


def _localization_table(method: str, rows: Rows) -> Table:
    limits = sorted({(text_of(row["overlap"]), float_of(row["at"])) for row in rows})
    cells: dict[tuple[str, str], dict[tuple[str, float], float]] = {}
    for row in rows:
        key = (text_of(row["class"]), text_of(row["arm"]))
        cells.setdefault(key, {})[text_of(row["overlap"]), float_of(row["at"])] = float_of(row["value"])
    return Table(
        f"Share of annotations localised at each limit, {method}, per class and arm.",
        ("class", "arm", *(f"{_OVERLAPS[overlap]} {decimal(at, 2)}" for overlap, at in limits)),
        tuple(
            (
                _named(name),
                word(arm),
                *(figure_cell(decimal(found.get(limit, math.nan), 2), found.get(limit, math.nan)) for limit in limits),
            )
            for (name, arm), found in cells.items()
        ),
        title=f"Localised at, {method}",
        is_open=False,
        is_dense=True,
    )


def _named(name: str) -> Cell:
    return Cell(f"{name} (average)", style="strong") if name in AGGREGATES else Cell(name)
