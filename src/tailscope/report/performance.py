"""The chapter on performance: how well the arms rank and decide, alone and as ensembles."""

from __future__ import annotations

from typing import Any

from tailscope.report import ensembles, figures, tables
from tailscope.report.arms import arm_audits
from tailscope.report.averages import averages
from tailscope.report.blocks import Block, Figure, Section, not_shown
from tailscope.report.calibration import CALIBRATED_METRICS
from tailscope.report.content import ReportContent
from tailscope.report.differences import difference_tables
from tailscope.report.frames import AGGREGATES, ENSEMBLE_COLUMNS, ESTIMATE_COLUMNS, has_intervals, text_of
from tailscope.report.numbers import listed
from tailscope.report.selection import by_class, class_names, metrics_of, present
from tailscope.report.words import (
    AT_HALF_METRICS,
    CORRECTED_METRICS,
    DECISION_METRICS,
    PERFORMANCE_METRICS,
    RANKING_METRICS,
    metric_name,
)

Rows = list[dict[str, Any]]

_APART = (*CALIBRATED_METRICS, *CORRECTED_METRICS, *DECISION_METRICS)  # in the chapter on calibration and decisions
_MANY = 6  # arms; beyond them the table of averages leads, and those by class start folded


def performance(content: ReportContent) -> Section:
    """How well the arms rank and decide, and how they differ from control."""
    title = "Performance"
    rows = [
        row
        for row in by_class(content, content.estimates, ESTIMATE_COLUMNS)
        if row["lens"] == "performance" and row["metric"] not in _APART
    ]
    if not rows:
        return Section(
            "performance", title, (not_shown("no performance estimate was handed over"), *_ensembles(content))
        )
    main = present(rows, PERFORMANCE_METRICS)
    blocks: list[Block] = [*_figure(content, rows, main), *_averages(content, rows, main)]
    blocks += [
        _estimates(content, metric, [row for row in rows if row["metric"] == metric])
        for metric in metrics_of(rows, first=PERFORMANCE_METRICS)
    ]
    differences = difference_tables(content, {"performance"}, main, without=_APART)
    return Section("performance", title, (*blocks, *differences, *_ensembles(content)))


def _figure(content: ReportContent, rows: Rows, main: tuple[str, ...]) -> tuple[Block, ...]:
    panels = [(metric_name(metric), [row for row in rows if row["metric"] == metric]) for metric in main]
    if not panels:
        return ()
    marks = "means over seeds" if len(content.seeds) > 1 else "the values of the one seed"
    reading = (
        f"marks are {marks}, lines 95 % intervals. Read each class across: arms whose marks lie closer together than "
        "the lines are long cannot be told apart by eye; the table of differences compares them image by image."
        if has_intervals([row for _, panel in panels for row in panel])
        else f"marks are {marks}, without intervals. How far a mark may move by chance is not known, so the distance "
        "between two marks shows no difference between arms."
    )
    caption = f"Performance per class and arm: {reading}"
    return (Figure(caption, figures.interval_chart(panels, class_names(content), content.arms)),)


def _averages(content: ReportContent, rows: Rows, main: tuple[str, ...]) -> tuple[Block, ...]:
    table = averages(main, rows, content.arms, {one.arm: one.verdict for one in arm_audits(content.audit, ())})
    has_averages = any(row["class"] in AGGREGATES for row in rows if row["metric"] in main)
    return (table,) if len(content.arms) > 1 and has_averages else ()


def _estimates(content: ReportContent, metric: str, rows: Rows) -> Block:
    """One metric; where it is no ranking, with the arms that only adjust logits."""
    extra = () if metric in RANKING_METRICS else _adjusted(content, rows)
    is_main = metric in PERFORMANCE_METRICS and len(content.arms) <= _MANY
    is_open = is_main or (bool(extra) and metric in AT_HALF_METRICS)
    remark = f" {listed(list(extra), limit=len(extra))}: judged by such tables only, as identical by construction."
    return tables.estimates(
        metric, rows, class_names(content), (*content.arms, *extra), is_open=is_open, remark=remark if extra else ""
    )


def _adjusted(content: ReportContent, rows: Rows) -> tuple[str, ...]:
    known = {text_of(row["arm"]) for row in rows}
    return tuple(arm for arm in content.calibrated_only if arm in known and arm not in content.arms)


def _ensembles(content: ReportContent) -> tuple[Block, ...]:
    rows = by_class(content, content.ensembles, ENSEMBLE_COLUMNS)
    return ensembles.ensemble_blocks(rows)
