"""Do the probabilities mean what they say? Reliability diagrams and calibration in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from tailscope.report.blocks import Block, Cell, Figure, Listing, Notes, Table, figure_cell, not_shown, word
from tailscope.report.class_panels import first_of_each_group, line_looks, paged, panels
from tailscope.report.drawing import svg
from tailscope.report.frames import ESTIMATE_COLUMNS, FINDING_COLUMNS, float_of, has_intervals, text_of
from tailscope.report.numbers import count, decimal, interval, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, grouped

CURVE_COLUMNS = ("class", "group", "arm", "version", "bin", "predicted", "observed", "n")

_VERSIONS = {"raw": "as predicted", "prior corrected": "prior corrected"}
_METRICS = {
    "brier": "Brier",
    "log_loss": "log loss",
    "expected_calibration_error": "ECE",
    "calibration_slope": "slope",
    "calibration_intercept": "intercept",
    "brier_prior_corrected": "Brier, corrected",
    "ece_prior_corrected": "ECE, corrected",
}
CALIBRATED_METRICS = tuple(_METRICS)
_TICKS = (0, 0.05, 0.2, 0.5, 1)
_SOFT = "#888"
_LABEL = "Observed share against predicted probability, per class and arm"
TITLE = "Calibration in numbers"
_READING = (
    "Brier score, log loss and ECE (expected calibration error): lower is better. A slope of 1 is right, below 1 the "
    "probabilities are too extreme; an intercept of 0 is right, below 0 they are too high. Corrected: after the prior "
    "correction."
)

Cells = dict[tuple[str, str, str], dict[str, Any]]
_Show = Callable[[Mapping[str, Any], Notes], Cell]


def calibration_blocks(
    curves: pd.DataFrame | None,
    estimates: pd.DataFrame | None,
    findings: pd.DataFrame | None,
    order: PageOrder,
) -> tuple[Block, ...]:
    """Sentences per arm, reliability diagrams, and tables of values and of differences from control.

    Args:
        curves: class, group, arm, version (raw, prior corrected), bin, predicted, observed, n; means over seeds.
        estimates: lens, metric, class, arm, value, lo, hi, reason; those of the lens performance are read.
        findings: lens, metric, class, arm, difference, lo, hi, reason; the same.
        order: Of classes and arms.
    """
    points = [row for row in order.rows(curves, CURVE_COLUMNS) if _has_point(row, order)]
    values = _by_cell(order.rows(estimates, ESTIMATE_COLUMNS), order)
    changes = _by_cell(order.rows(findings, FINDING_COLUMNS), order)
    if not points and not values:
        return (not_shown("no calibration was handed over"),)
    told = _sentences(values, order)
    drawn = _diagrams(points, order) if points else not_shown("no reliability curve was handed over")
    tables = (_values(values, order), _changes(changes, order))
    return (*([Listing(told)] if told else []), drawn, *(table for table in tables if table.rows))


def _has_point(row: dict[str, Any], order: PageOrder) -> bool:
    is_finite = math.isfinite(float_of(row["predicted"])) and math.isfinite(float_of(row["observed"]))
    return is_finite and text_of(row["arm"]) in order.arms


def _by_cell(rows: Rows, order: PageOrder) -> Cells:
    """Rows of the metrics of calibration by class, arm and metric; classes in the order of the page."""
    return {
        (text_of(row["class"]), text_of(row["arm"]), text_of(row["metric"])): row
        for row in rows
        if row["lens"] == "performance" and row["metric"] in _METRICS and text_of(row["arm"]) in order.arms
    }


def _sentences(values: Cells, order: PageOrder) -> tuple[str, ...]:
    """Per arm the average error, before and after the correction."""
    told = []
    for arm in order.arms:
        raw = values.get(("macro", arm, "expected_calibration_error"), {})
        corrected = values.get(("macro", arm, "ece_prior_corrected"), {})
        if math.isfinite(float_of(raw.get("value"))):
            after = f"; after prior correction {_told(corrected)}" if _is_known(corrected) else ""
            told.append(f"{arm}: expected calibration error {_told(raw)}, average over classes{after}.")
    return tuple(told)


def _is_known(row: Mapping[str, Any]) -> bool:
    return math.isfinite(float_of(row.get("value")))


def _told(row: Mapping[str, Any]) -> str:
    ends = interval(row.get("lo"), row.get("hi"))
    return " ".join(filter(None, (decimal(row["value"]), ends)))


def _diagrams(points: Rows, order: PageOrder) -> Figure:
    versions = tuple(told for version, told in _VERSIONS.items() if any(row["version"] == version for row in points))

    def drawn(names: tuple[str, ...]) -> Markup:
        rows = [row for row in points if row["class"] in names and row["version"] in _VERSIONS]
        return svg(panels(_layers(order), _marks(rows), names, versions), _LABEL)

    sizes = [float_of(row["n"]) for row in points]
    sides = "; the lower row after prior correction" if len(versions) > 1 else ""
    return Figure(
        "Reliability: the share of positive test images (up) among those of about the same predicted probability "
        f"(across), both axes stretched by their root{sides}. On the dashed line the probabilities are right, below it "
        f"they are too high. Each mark is a bin of {count(min(sizes))} to {count(max(sizes))} images, mean over seeds; "
        "it moves by chance, and rare classes have few positives per bin, so judge the trend and not single marks. "
        "The most frequent class of each group and the rarest class stand open.",
        paged(points, first_of_each_group(points), drawn),
    )


def _marks(rows: Rows) -> Rows:
    """The bins, and the two ends of the dashed line of every panel."""
    found = [
        {**_place(row), "kind": "bin", "arm": text_of(row["arm"]), "bin": float_of(row["bin"]),
         "predicted": float_of(row["predicted"]), "observed": float_of(row["observed"])}
        for row in rows
    ]  # fmt: skip
    places = [_place(mine[0]) for mine in grouped(rows, "class", "version").values()]
    ends = [{**place, "kind": "end", "predicted": end, "observed": end} for place in places for end in (0, 1)]
    return found + ends


def _place(row: dict[str, Any]) -> dict[str, Any]:
    return {"class": text_of(row["class"]), "version": _VERSIONS[row["version"]]}


def _layers(order: PageOrder) -> list[Any]:
    colour, dashes = line_looks(order)
    scale, axis = alt.Scale(type="sqrt", domain=[0, 1]), alt.Axis(values=list(_TICKS), format="~g", labelFontSize=10)
    x, y = (alt.X("predicted:Q", scale=scale, axis=axis), alt.Y("observed:Q", scale=scale, axis=axis))
    base = alt.Chart().encode(x=x, y=y)
    bins = base.transform_filter("datum.kind == 'bin'").encode(color=colour)
    right = base.transform_filter("datum.kind == 'end'")
    return [
        right.mark_line(color=_SOFT, strokeDash=[4, 3], strokeWidth=1),
        bins.mark_line(strokeWidth=1.2).encode(strokeDash=dashes, order="bin:Q"),
        bins.mark_point(filled=True, size=13, opacity=1),
    ]


def _values(cells: Cells, order: PageOrder) -> Table:
    known = has_intervals(list(cells.values()))
    brackets = " Brackets are 95 % intervals over patients and seeds; where there is none, nothing was resampled."
    caption = f"Calibration per class and arm, mean over seeds. {_READING}{brackets if known else ''}"
    return _table(cells, order.arms, _value, caption, TITLE)


def _changes(cells: Cells, order: PageOrder) -> Table:
    ends = ", with 95 % intervals" if has_intervals(list(cells.values())) else ""
    caption = f"Arm minus control on the same images and seeds{ends}; exploratory, so without verdicts. {_READING}"
    return _table(cells, order.arms[1:], _change, caption, f"{TITLE}: difference from control")


def _table(cells: Cells, arms: tuple[str, ...], show: _Show, caption: str, title: str) -> Table:
    """A line per class and arm that has a row, a column per metric that some of them has."""
    notes = Notes()
    known = {(name, arm): None for name, arm, _ in cells if arm in arms}
    metrics = [metric for metric in _METRICS if any(key[2] == metric for key in cells)]
    lines = tuple(
        (class_cell(name), word(arm), *(show(cells.get((name, arm, metric), {}), notes) for metric in metrics))
        for name, arm in known
    )
    columns = ("class", "arm", *(_METRICS[metric] for metric in metrics))
    return Table(caption, columns, lines, title=title, is_open=False, notes=notes.lines(), is_dense=True)


def _value(row: Mapping[str, Any], notes: Notes) -> Cell:
    value = row.get("value")
    return figure_cell(decimal(value), value, _reason(row), notes, detail=interval(row.get("lo"), row.get("hi")))


def _change(row: Mapping[str, Any], notes: Notes) -> Cell:
    value = row.get("difference")
    ends = interval(row.get("lo"), row.get("hi"), is_difference=True)
    return figure_cell(signed(value), value, _reason(row), notes, detail=ends)


def _reason(row: Mapping[str, Any]) -> str:
    return text_of(row.get("reason")) if row else "not measured"
