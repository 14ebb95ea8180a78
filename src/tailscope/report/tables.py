"""The tables of each chapter, from the rows that came in."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.blocks import Cell, Notes, Table, figure_cell, word
from tailscope.report.forest import Scale, common_scale, interval_picture
from tailscope.report.frames import AGGREGATES, float_of, has_intervals, text_of
from tailscope.report.numbers import count, decimal, interval, p_value, share, signed
from tailscope.report.summary import verdict_kind
from tailscope.report.words import capital, metric_meaning, metric_name

Rows = list[dict[str, Any]]

_DIFFERENCE_COLUMNS = (
    "class", "arm", "difference", "", "SE", "seed noise", "detectable", "p", "p (Holm)", "n", "patients", "verdict",
)  # fmt: skip

INTERVALS = "Brackets are 95 % intervals."


def class_counts(rows: Rows) -> Table:
    """Counts of every class, head first."""
    names = (
        "train_positives", "train_negatives", "val_positives", "test_positives", "test_negatives", "unknown",
        "annotated_test",
    )  # fmt: skip
    return Table(
        "Labels per class. Prevalence is the share of positives among the known training labels; n⁻/n⁺ is how many "
        "negatives stand against one positive. Annotated: positive test images on which an expert drew this class.",
        ("class", "group", "prevalence", "n⁻/n⁺", "train +", "train −", "val +", "test +", "test −", "unknown",
         "annotated"),
        tuple(
            (
                _named(row),
                word(row["group"]),
                figure_cell(share(row["prevalence"]), row["prevalence"]),
                _ratio(row),
                *(figure_cell(count(row[name]), row[name]) for name in names),
            )
            for row in rows
        ),
    )  # fmt: skip


def estimates(
    metric: str, rows: Rows, order: tuple[str, ...], arms: tuple[str, ...], *, is_open: bool, remark: str = ""
) -> Table:
    """One metric: a row per class (averages first), a column per arm; ``remark`` ends the caption."""
    notes = Notes()
    cells = {(text_of(row["class"]), text_of(row["arm"])): row for row in rows}
    present = {name for name, _ in cells}
    names = [name for name in (*AGGREGATES, *order) if name in present]
    lines = []
    for name in names:
        sizes = [float_of(row["n"]) for (which, _), row in cells.items() if which == name]
        n = max((size for size in sizes if math.isfinite(size)), default=math.nan)
        values = [_estimate(cells.get((name, arm), {}), notes) for arm in arms]
        lines.append((_named({"class": name}), *values, _size({"class": name, "n": n})))
    title = capital(metric_name(metric))
    compared = (
        f"{INTERVALS} Overlapping intervals of two arms do not mean equality: the arms are compared image by image in "
        "the table of differences."
    )
    reading = compared if has_intervals(rows) else "It is described, not compared, and has no interval."
    return Table(
        f"{title} per class and arm, mean over seeds. {metric_meaning(metric)} {reading}{remark}",
        ("class", *arms, "test images"),
        tuple(lines),
        title=title,
        is_open=is_open,
        notes=notes.lines(),
        is_dense=len(arms) > 4,
    )


def differences(metric: str, rows: Rows, margin: float, *, is_open: bool) -> Table:
    """One metric: every arm against control, with the whole of its statistics."""
    notes = Notes()
    scale = common_scale([row[end] for row in rows for end in ("difference", "lo", "hi")] + [-margin, margin])
    title = f"{capital(metric_name(metric))}: difference from control"
    is_some_identical = any(verdict_kind(row["verdict"]) == "identical" for row in rows)
    identical = " Arms identical by construction stand outside the correction and get no verdict."
    return Table(
        f"{title}, per class and arm. {_forest(rows)}, grey band ±{decimal(margin, 2)}. SE is the standard error of "
        "the difference, seed noise its part from seeds alone; detectable is the smallest difference that would be "
        "found four times out of five after Holm's correction. Undecided means that neither a difference nor "
        f"equivalence is shown.{identical if is_some_identical else ''}",
        _DIFFERENCE_COLUMNS,
        tuple(_difference(row, scale, margin, notes) for row in rows),
        title=title,
        is_open=is_open,
        notes=notes.lines(),
    )


def hidden(kind: str, caption: str, rows: Rows) -> Table:
    """The cells of one kind: hidden differences, candidates, or not visible."""
    scale = common_scale([row[end] for row in rows for end in ("difference", "lo", "hi")])
    return Table(
        caption,
        ("class", "arm", "lens", "difference", "", "p", "p (Holm)", "ΔAUROC", "ΔAP", "positives needed"),
        tuple(
            (
                _named(row),
                word(row["arm"]),
                Cell(f"{text_of(row['lens'])}: {metric_name(text_of(row['metric']))}"),
                _signed(row, "difference"),
                Cell("", picture=interval_picture(row["difference"], row["lo"], row["hi"], scale), style="picture"),
                figure_cell(p_value(row["p"]), row["p"]),
                figure_cell(p_value(row["p_adjusted"]), row["p_adjusted"]),
                figure_cell(signed(row["auroc_difference"]), row["auroc_difference"]),
                figure_cell(signed(row["ap_difference"]), row["ap_difference"]),
                figure_cell(count(row["positives_needed"]), row["positives_needed"]),
            )
            for row in rows
        ),
        title=kind,
    )


def alignment(metric: str, method: str, rows: Rows, *, is_open: bool) -> Table:
    """One metric of one method: value, chance level, excess, and what the grid allows."""
    scale = common_scale([row[end] for row in rows for end in ("excess", "lo", "hi")])
    title = f"{capital(metric_name(metric))}, {method}"
    return Table(
        f"{title}: agreement of saliency and annotation. {metric_meaning(metric)} Chance is what an uninformed map "
        f"reaches on the same annotations, excess is value minus chance. {_forest(rows)}. Attainable is the best value "
        "that any map on this grid can reach: judge a value against it, not against 1.",
        ("class", "arm", "value", "chance", "excess", "", "pairs", "patients", "degenerate", "attainable"),
        tuple(
            (
                _named(row),
                word(row["arm"]),
                figure_cell(decimal(row["value"]), row["value"]),
                figure_cell(decimal(row["reference"]), row["reference"]),
                _signed(row, "excess"),
                Cell("", picture=interval_picture(row["excess"], row["lo"], row["hi"], scale), style="picture"),
                _size(row),
                figure_cell(count(row["patients"]), row["patients"]),
                figure_cell(share(row["degenerate"]), row["degenerate"]),
                figure_cell(decimal(row["attainable"]), row["attainable"]),
            )
            for row in rows
        ),
        title=title,
        is_open=is_open,
    )


def attainable(rows: Rows) -> Table:
    """Per metric and method, the best value on the map's own grid: over all classes, and in the worst class."""
    lines = []
    for metric, method in dict.fromkeys((text_of(row["metric"]), text_of(row["method"])) for row in rows):
        mine = [row for row in rows if (text_of(row["metric"]), text_of(row["method"])) == (metric, method)]
        best = [(float_of(row["attainable"]), text_of(row["class"])) for row in mine]
        finite = sorted(pair for pair in best if math.isfinite(pair[0]))
        if finite:
            (low, where), (high, _) = finite[0], finite[-1]
            numbers = (figure_cell(decimal(low), low), word(where), figure_cell(decimal(high), high))
            lines.append((Cell(metric_name(metric)), word(method), *numbers))
    return Table(
        "The best value that each metric can reach on the grid of the maps, even for a perfect map, in the class where "
        "it is lowest and where it is highest. Small findings on a coarse grid cannot reach 1.",
        ("metric", "method", "lowest", "in class", "highest"),
        tuple(lines),
    )


def units(rows: Rows, *, is_open: bool = True) -> Table:
    """Per class and arm: how well the best unit answers to the class, and how many units do."""
    notes = Notes()
    scale = common_scale([row[end] for row in rows for end in ("crossfit", "lo", "hi")])
    return Table(
        "Units and concepts. Best unit: matched IoU of the best unit minus its null, chosen on one half of the "
        f"patients and scored on the other; 0 is chance, 1 a perfect unit. {_forest(rows)}. IoU at a fixed fraction is "
        "the classical NetDissect score, with the best value it can reach for a concept of this size. Units per 100: "
        "units active inside the annotation, above the count with other patients' annotations.",
        ("class", "arm", "best unit", "", "IoU, fixed", "attainable", "units per 100", "images", "patients"),
        tuple(
            (
                _named(row),
                word(row["arm"]),
                figure_cell(signed(row["crossfit"]), row["crossfit"], row["reason"], notes,
                            detail=interval(row["lo"], row["hi"], is_difference=True)),
                Cell("", picture=interval_picture(row["crossfit"], row["lo"], row["hi"], scale), style="picture"),
                figure_cell(decimal(row["best_iou_fixed"]), row["best_iou_fixed"]),
                figure_cell(decimal(row["attainable_fixed"]), row["attainable_fixed"]),
                figure_cell(signed(row["units_per_100"], 2), row["units_per_100"]),
                _size(row),
                figure_cell(count(row["patients"]), row["patients"]),
            )
            for row in rows
        ),
        title="Units by class",
        is_open=is_open,
        notes=notes.lines(),
    )  # fmt: skip


def layers(rows: Rows) -> Table:
    """The dissected layer of each arm."""
    return Table(
        "The layer that was dissected. A dead unit is constant on all test images; live units are an outcome of the "
        "treatment, so counts are given per 100 units of the layer.",
        ("arm", "layer", "grid", "units", "live", "dead"),
        tuple(
            (
                word(row["arm"]),
                word(row["layer"]),
                word(row["grid"]),
                *(figure_cell(count(row[name]), row[name]) for name in ("units", "live", "dead")),
            )
            for row in rows
        ),
    )


def _forest(rows: Rows) -> str:
    """How to read the pictures of a table, up to the dashed line at zero."""
    marks = "dot and 95 % interval" if has_intervals(rows) else "a dot"
    return f"The picture shows the same numbers: {marks} on one axis per table, dashed line at zero"


def _size(row: dict[str, Any]) -> Cell:
    """How many images or pairs a class has; an average is over classes, so none stands there."""
    if text_of(row["class"]) in AGGREGATES:
        return Cell("", style="number")
    return figure_cell(count(row["n"]), row["n"])


def _named(row: dict[str, Any]) -> Cell:
    name = text_of(row["class"])
    return Cell(f"{name} (average)", style="strong") if name in AGGREGATES else Cell(name)


def _ratio(row: dict[str, Any]) -> Cell:
    positives, negatives = float_of(row["train_positives"]), float_of(row["train_negatives"])
    ratio = negatives / positives if positives > 0 else math.nan
    return figure_cell(count(ratio) if ratio >= 10 else decimal(ratio, 1), ratio)


def _estimate(row: dict[str, Any], notes: Notes) -> Cell:
    if not row:
        return Cell("–", title="not measured", note=notes.letter("not measured for this arm"), style="number")
    value = row["value"]
    return figure_cell(decimal(value), value, row["reason"], notes, detail=interval(row["lo"], row["hi"]))


def _signed(row: dict[str, Any], column: str) -> Cell:
    detail = interval(row["lo"], row["hi"], is_difference=True)
    return figure_cell(signed(row[column]), row[column], detail=detail)


def _difference(row: dict[str, Any], scale: Scale, margin: float, notes: Notes) -> tuple[Cell, ...]:
    reason = text_of(row["reason"])
    verdict = text_of(row["verdict"]) or "–"
    letter = notes.letter(reason) if reason else ""
    style = f"verdict {verdict_kind(row['verdict'])}"
    return (
        _named(row),
        word(row["arm"]),
        _signed(row, "difference"),
        Cell("", picture=interval_picture(row["difference"], row["lo"], row["hi"], scale, margin), style="picture"),
        figure_cell(decimal(row["se"]), row["se"]),
        figure_cell(decimal(row["seed_noise"]), row["seed_noise"]),
        figure_cell(decimal(row["mde"]), row["mde"]),
        figure_cell(p_value(row["p"]), row["p"]),
        figure_cell(p_value(row["p_adjusted"]), row["p_adjusted"]),
        _size(row),
        figure_cell(count(row["patients"]), row["patients"]),
        Cell(verdict, title=reason, note=letter, style=style),
    )
