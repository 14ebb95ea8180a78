"""The chapter on further test sets: what the same networks do on other images, and which findings hold there."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from tailscope.report import figures
from tailscope.report.blocks import Block, Figure, Listing, Notes, Paragraph, Section, Table, figure_cell, word
from tailscope.report.compared import cell_of, compared
from tailscope.report.content import ReportContent
from tailscope.report.findings import headline
from tailscope.report.frames import AGGREGATES, ESTIMATE_COLUMNS, float_of, text_of
from tailscope.report.numbers import count, interval, listed, plural, signed
from tailscope.report.selection import by_class, class_names, present
from tailscope.report.summary import verdict_kind
from tailscope.report.words import PERFORMANCE_METRICS, capital, metric_name

Row = dict[str, Any]

_ESTABLISHED = {"different", "within"}
READINGS = (
    "holds there", "reversed there", "gone there", "undecided there", "not estimable there", "only there",
    "equivalent in both", "undecided",
)  # fmt: skip
_OPEN = 40  # rows; a longer table starts folded


def elsewhere(content: ReportContent) -> tuple[Section, ...]:
    """The chapter, where the networks were tested on further data sets."""
    if not content.elsewhere:
        return ()
    blocks: list[Block] = [
        Paragraph(
            "The same networks, looked at through the same lenses on the images of other data sets. Nothing was "
            "trained or selected there; operating points and calibration come from validation, class groups from "
            "training. What differs between the sets is everything at once: patients, equipment, and who labelled."
        )
    ]
    for other in content.elsewhere:
        blocks += _one(content, other)
    return (Section("elsewhere", "On other data", tuple(blocks)),)


def told_elsewhere(content: ReportContent) -> tuple[Paragraph, ...]:
    """For the first chapter: one sentence per further test set."""
    return tuple(
        Paragraph(f"On {other.tested_on}, {plural(other.test_images, 'image')} (see On other data): {_counted(rows)}.")
        for other in content.elsewhere
        for rows in (transfer(content, other),)
    )


def transfer(here: ReportContent, there: ReportContent) -> list[Row]:
    """Every finding on AUROC, AP and the primary metrics of the lenses, beside what it is on another test set.

    Args:
        here: The page of the experiment.
        there: That of the other test set; same arms and classes.

    Returns:
        Rows of the findings here, with ``reading``, one of :data:`READINGS`, and ``there``, the finding there, or None.
    """
    found = {cell_of(row): row for row in compared(there).rows}
    rows = []
    for row in compared(here).rows:
        other = found.get(cell_of(row))
        rows.append({**row, "there": other, "reading": reading(row, other)})
    return rows


def reading(here: Row, there: Row | None) -> str:
    """What a finding here becomes there.

    >>> one, worse = {"verdict": "better", "difference": 0.1}, {"verdict": "worse", "difference": -0.1}
    >>> [reading(one, other) for other in (one, worse, {"verdict": "undecided"}, None)]
    ['holds there', 'reversed there', 'undecided there', 'not estimable there']
    """
    kind = verdict_kind(here["verdict"])
    other = "none" if there is None else verdict_kind(there["verdict"])
    if kind in _ESTABLISHED:
        if there is not None and other in _ESTABLISHED:
            same = float_of(here["difference"]) * float_of(there["difference"]) > 0
            return "holds there" if same else "reversed there"
        return {"equivalent": "gone there", "none": "not estimable there"}.get(other, "undecided there")
    if other in _ESTABLISHED:
        return "only there"
    return "equivalent in both" if kind == other == "equivalent" else "undecided"


def _one(content: ReportContent, other: ReportContent) -> list[Block]:
    rows = transfer(content, other)
    labelled = [text_of(row["class"]) for row in _labelled(other)]
    known = f"{count(other.test_images)} images; {len(labelled)} of {len(class_names(content))} classes are labelled"
    place = f"test_on/{other.tested_on}/report.html"
    sentences = tuple(claim.text for claim in headline(other, other.statistics.false_alarms))
    return [
        Paragraph(f"{other.tested_on}: {known} there. Its own page is {place}, in the folder of the experiment."),
        Paragraph(f"Of what was found here, on {other.tested_on}: {_counted(rows)}."),
        *_figures(content, other),
        *_table(rows, other.tested_on),
        Listing(sentences, "bullets", f"What was found on {other.tested_on}"),
    ]


def _labelled(other: ReportContent) -> list[Row]:
    rows = by_class(other, other.class_table, ("class", "group", "test_positives", "test_negatives"))
    return [row for row in rows if float_of(row["test_positives"]) + float_of(row["test_negatives"]) > 0]


def _counted(rows: list[Row]) -> str:
    """How many of the differences that are established here hold there, and how many are established only there."""
    numbers = Counter(row["reading"] for row in rows)
    established = sum(verdict_kind(row["verdict"]) in _ESTABLISHED for row in rows)
    parts = [f"{numbers[name]} {name}" for name in READINGS[:5] if numbers[name]]
    start = f"of {plural(established, 'difference')} from control established here, {listed(parts, limit=5)}"
    if not established:
        start = "no difference from control is established here"
    only = numbers["only there"]
    return start + (f"; {plural(only, 'difference is', 'differences are')} established only there" if only else "")


def _figures(content: ReportContent, other: ReportContent) -> list[Block]:
    """AUROC and AP, and the primary metric of each lens, here and there."""
    here, there = (_estimates(one, content) for one in (content, other))
    primary = [text_of(row["metric"]) for row in compared(content).lenses]
    blocks: list[Block] = []
    for metric in (*present(here, PERFORMANCE_METRICS), *dict.fromkeys(primary)):
        panels = [
            (f"{metric_name(metric)}, {where}", [row for row in rows if row["metric"] == metric])
            for where, rows in (("here", here), (f"on {other.tested_on}", there))
        ]
        if not all(any(math.isfinite(float_of(row["value"])) for row in rows) for _, rows in panels):
            continue
        caption = (
            f"{capital(metric_name(metric))} per class and arm, on the experiment's own test split and on "
            f"{other.tested_on}. Marks are means over seeds, lines 95 % intervals. A mark that is missing on the right "
            "is not estimable there. Levels of two data sets cannot be compared image by image; the order of the arms "
            "can."
        )
        zero = metric not in (*PERFORMANCE_METRICS, "probe_auroc")
        blocks.append(
            Figure(caption, figures.interval_chart(panels, class_names(content), content.arms, has_zero=zero))
        )
    return blocks


def _estimates(one: ReportContent, content: ReportContent) -> list[Row]:
    rows = by_class(one, one.estimates, ESTIMATE_COLUMNS)
    return [row for row in rows if row["class"] not in AGGREGATES and row["arm"] in content.arms]


def _table(rows: list[Row], title: str) -> list[Block]:
    if not rows:
        return []
    notes = Notes()
    ordered = sorted(rows, key=lambda row: READINGS.index(row["reading"]))
    lines = tuple(
        (
            word(metric_name(text_of(row["metric"]))),
            word(row["class"]),
            word(row["arm"]),
            *_side(row, notes),
            *_side(row["there"] or {"reason": f"not compared on {title}"}, notes),
            word(row["reading"], "strong" if row["reading"] in READINGS[:3] else "text"),
        )
        for row in ordered
    )
    caption = (
        f"Treatment minus control on the experiment's test split and on {title}, with 95 % intervals and the verdict "
        "of each. A difference holds there if it is established in both with the same sign; each verdict is adjusted "
        "over its own family, and the comparison of two verdicts is no test of its own."
    )
    columns = ("metric", "class", "arm", "here", "verdict", f"on {title}", "verdict there", "reading")
    is_open = len(lines) <= _OPEN
    return [
        Table(
            caption,
            columns,
            lines,
            title=f"Findings here and on {title}",
            is_open=is_open,
            notes=notes.lines(),
            is_dense=True,
        )
    ]


def _side(row: Row, notes: Notes) -> tuple[Any, ...]:
    spread = interval(row.get("lo"), row.get("hi"), is_difference=True)
    difference = row.get("difference")
    return (
        figure_cell(signed(difference), difference, row.get("reason"), notes, detail=spread),
        word(row.get("verdict")),
    )
