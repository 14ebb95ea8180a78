"""Is it worth acting on an arm's probabilities? Net benefit against the threshold."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from tailscope.report.blocks import Block, Cell, Figure, Listing, Table, figure_cell, not_shown, word
from tailscope.report.class_panels import ACROSS, line_looks, paged, panels
from tailscope.report.drawing import svg
from tailscope.report.frames import AGGREGATES, float_of, has_intervals, text_of
from tailscope.report.numbers import decimal, interval, listed, setting, share, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, grouped, names_in

DECISION_COLUMNS = (
    "class", "group", "arm", "threshold", "net_benefit", "lo", "hi", "treat_all", "difference", "difference_lo",
    "difference_hi",
)  # fmt: skip
TITLE = "Net benefit in numbers"

_TABLED = (0.05, 0.1, 0.2)
_TOLD = 0.1
_LEAST = 1e-4  # a panel is at least that high
_BELOW = 0.35  # share of the panel below zero, where treating all falls away
_SOFT = "#777"
_LABEL = "Net benefit against the threshold probability, per class and arm"
_WHAT = (
    "Net benefit is the number of true positives per 100 images, less the false positives at the rate of exchange that "
    "the threshold states: who acts above 10 % takes 9 false alarms for one finding. Treating none is worth 0. "
)
_PER = 100  # images
_CAUTION = (
    "Probabilities are taken as predicted, so an arm whose loss or sampling moves them loses here by its calibration "
    "alone; and the number of positives is that of the test set."
)

Point = tuple[float, float]


def decision_blocks(decision: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """Sentences per arm, decision curves per class, and their numbers.

    Args:
        decision: class, group, arm, threshold in (0, 1), net_benefit, lo, hi, treat_all, difference (from control),
            difference_lo, difference_hi; averages over classes stand in the table only.
        order: Of classes and arms.
    """
    rows = [row for row in order.rows(decision, DECISION_COLUMNS) if text_of(row["arm"]) in order.arms]
    points = [row for row in rows if _has_point(row)]
    if not points:
        return (not_shown("no decision curve was handed over"),)
    return (*_told(points, order), _curves(points, order), _table(rows))


def _has_point(row: dict[str, Any]) -> bool:
    return math.isfinite(float_of(row["threshold"])) and math.isfinite(float_of(row["net_benefit"]))


def _told(rows: Rows, order: PageOrder) -> tuple[Listing, ...]:
    """Per arm, the classes in which acting on it beats both strategies without a model."""
    at = [row for row in rows if _is_at(row, _TOLD) and row["class"] not in AGGREGATES and has_intervals([row])]
    lines = []
    for arm in order.arms:
        mine = [row for row in at if row["arm"] == arm]
        better = [text_of(row["class"]) for row in mine if float_of(row["lo"]) > max(float_of(row["treat_all"]), 0)]
        names = f" ({listed(better, limit=6)})" if better else ""
        lines += [f"{arm}: in {len(better)} of {len(mine)} classes{names}."] if mine else []
    item = (
        f"At a threshold of {share(_TOLD)}, acting on the probabilities is worth more than treating all and treating "
        "none (95 % interval above both, each class by itself):"
    )
    return (Listing((item,), below=(tuple(lines),)),) if lines else ()


def _is_at(row: dict[str, Any], threshold: float) -> bool:
    return math.isclose(float_of(row["threshold"]), threshold)


def _curves(rows: Rows, order: PageOrder) -> Figure:
    def drawn(names: tuple[str, ...]) -> Markup:
        found = [mark for name in names for mark in _marks([row for row in rows if row["class"] == name])]
        return svg(panels(_layers(order), found, names).resolve_scale(y="independent"), _LABEL)

    ends = "; their intervals stand in the table" if has_intervals(rows) else ""
    return Figure(
        f"Decision curves: net benefit (up) against the probability above which one acts (across). {_WHAT}The thick "
        "grey line is treating all, the dashed line treating none: a model helps where its line lies above both. The "
        "top of a panel is the prevalence, which a perfect model would reach. Lines are means over seeds"
        f"{ends}. The rarest classes stand open. {_CAUTION}",
        paged(rows, names_in(rows, "class")[-ACROSS:], drawn),
    )


def _layers(order: PageOrder) -> list[Any]:
    colour, dashes = line_looks(order)
    style: dict[str, Any] = {"format": "~r", "labelFontSize": 10}
    x = alt.X("threshold:Q", title="threshold", axis=alt.Axis(tickCount=3, **style))
    scale, axis = alt.Scale(nice=False, zero=False), alt.Axis(tickCount=5, **style)
    base = alt.Chart().encode(x=x, y=alt.Y("y:Q", title="net benefit per 100", scale=scale, axis=axis))
    whole: dict[str, Any] = {"detail": "part:N", "color": colour, "strokeDash": dashes}
    return [
        base.transform_filter("datum.kind == 'edge'").mark_point(opacity=0),
        base.transform_filter("datum.kind == 'none'").mark_line(color=_SOFT, strokeDash=[4, 3], strokeWidth=1),
        base.transform_filter("datum.kind == 'all'")
        .mark_line(color="#b0b0b0", strokeWidth=3.5)
        .encode(detail="part:N"),
        base.transform_filter("datum.kind == 'arm'").mark_line(strokeWidth=1.4).encode(**whole),
    ]


def _marks(rows: Rows) -> Rows:
    """What stands in the panel of one class: its edges, both strategies without a model, and the arms."""
    top = _top(rows)
    floor = -_BELOW * top
    first, last = (end(float_of(row["threshold"]) for row in rows) for end in (min, max))
    found: Rows = [{"kind": "edge", "threshold": first, "y": y} for y in (floor, top)]
    found += [{"kind": "none", "threshold": at, "y": 0.0} for at in (first, last)]
    known = [row for row in rows if _is_finite(row["treat_all"])]
    all_treated = [_point(mine[0], "treat_all") for mine in grouped(known, "threshold").values()]
    found += [{**point, "kind": "all"} for point in above(all_treated, floor)]
    for (arm,), mine in grouped(rows, "arm").items():
        points = above([_point(row, "net_benefit") for row in mine], floor)
        found += [{**point, "kind": "arm", "arm": arm} for point in points]
    return [{"class": text_of(rows[0]["class"]), **mark} for mark in found]


def above(points: list[Point], floor: float) -> Rows:
    """The parts of a line that lie above a floor, cut where it crosses; a clipped picture would need names of its own.

    Args:
        points: (across, up).
        floor: The least height.

    Returns:
        threshold, y, and the number of the part.

    Example:
        >>> [(row["threshold"], row["y"], row["part"]) for row in above([(0, 2), (1, -2), (2, -2), (3, 0)], -1)]
        [(0, 2, 0), (0.75, -1, 0), (2.5, -1, 1), (3, 0, 1)]
    """
    line = sorted(points)
    found: Rows = []
    part = 0
    for place, (x, y) in enumerate(line):
        before = line[place - 1] if place else (x, y)
        if (y < floor) != (before[1] < floor):
            crossing = before[0] + (x - before[0]) * (floor - before[1]) / (y - before[1])
            found.append({"threshold": crossing, "y": floor, "part": part})
        if y >= floor:
            found.append({"threshold": x, "y": y, "part": part})
        elif before[1] >= floor and place:
            part += 1
    return found


def _top(rows: Rows) -> float:
    """The prevalence per 100 images, from what treating all is worth: π − (1−π)·t/(1−t)."""
    known = [row for row in rows if _is_finite(row["treat_all"])]
    shares = [float_of(row["treat_all"]) * (1 - t) + t for row in known for t in [float_of(row["threshold"])]]
    return _PER * max([*shares, *(float_of(row["net_benefit"]) for row in rows), _LEAST])


def _is_finite(value: Any) -> bool:
    return math.isfinite(float_of(value))


def _point(row: dict[str, Any], column: str) -> Point:
    return float_of(row["threshold"]), _per_100(row[column])


def _table(rows: Rows) -> Table:
    """A line per class and arm: value and difference from control at some thresholds."""
    found = sorted({float_of(row["threshold"]) for row in rows if _is_finite(row["threshold"])})
    thresholds = [mark for mark in found if any(math.isclose(mark, wanted) for wanted in _TABLED)] or found
    lines = tuple(
        (
            class_cell(key[0]),
            word(key[1]),
            *(cell for mark in thresholds for cell in _cells(next((row for row in mine if _is_at(row, mark)), {}))),
        )
        for key, mine in grouped(rows, "class", "arm").items()
    )
    heads = [f"{name} at {setting(mark)}" for mark in thresholds for name in ("treat all", "net benefit", "Δ control")]
    brackets = "Brackets are 95 % intervals over patients and seeds; the" if has_intervals(rows) else "The"
    return Table(
        f"Net benefit per class and arm at some thresholds, mean over seeds, and the arm minus control. {_WHAT}"
        f"{brackets} differences are exploratory, without verdicts.",
        ("class", "arm", *heads),
        lines,
        title=TITLE,
        is_open=False,
        is_dense=True,
    )


def _cells(row: dict[str, Any]) -> tuple[Cell, Cell, Cell]:
    names = ("treat_all", "net_benefit", "lo", "hi", "difference", "difference_lo", "difference_hi")
    all_treated, value, lo, hi, change, change_lo, change_hi = (_per_100(row.get(name)) for name in names)
    return (
        figure_cell(decimal(all_treated), all_treated),
        figure_cell(decimal(value), value, detail=interval(lo, hi)),
        figure_cell(signed(change), change, detail=interval(change_lo, change_hi, is_difference=True)),
    )


def _per_100(value: Any) -> float:
    return _PER * float_of(value)
