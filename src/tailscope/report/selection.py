"""Rows of the content in the order of the page: classes from head to tail, arms with control first."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tailscope.report.content import ReportContent
from tailscope.report.frames import (
    AGGREGATES,
    CLASS_COLUMNS,
    ENSEMBLE_COLUMNS,
    GROUPS,
    class_order,
    filled,
    ranked,
    rows_of,
    text_of,
)
from tailscope.report.page_order import PageOrder

Rows = list[dict[str, Any]]


def by_class(content: ReportContent, frame: pd.DataFrame | None, columns: tuple[str, ...]) -> Rows:
    """The rows of a table: averages first, then classes from head to tail, within a class by arm.

    The average of a group that has no class is left out: there is nothing to average.
    """
    table = filled(frame, columns)
    if "arm" in columns:
        table = ranked(table, "arm", content.arms)
    rows = rows_of(ranked(table, "class", (*AGGREGATES, *class_names(content))))
    empty = set(AGGREGATES) - set(_averages(content))
    return [row for row in rows if text_of(row["class"]) not in empty]


def page_order(content: ReportContent, arms: tuple[str, ...] | None = None) -> PageOrder:
    """The order of classes, averages and arms on the page; of ``arms`` instead of the content's, where given."""
    return PageOrder(class_names(content), content.arms if arms is None else arms, _averages(content))


def _averages(content: ReportContent) -> tuple[str, ...]:
    """The averages of all classes and of every group that has one; all where the classes are not known."""
    known = set(map(text_of, filled(content.class_table, CLASS_COLUMNS)["group"])) & set(GROUPS)
    return tuple(name for name in AGGREGATES if not known or name not in GROUPS or name in known)


def class_names(content: ReportContent) -> tuple[str, ...]:
    """All classes that any table names, head first."""
    return class_order(content.class_table, content.estimates, content.alignment, content.units, content.findings)


def ensemble_names(content: ReportContent) -> tuple[str, ...]:
    """Every ensemble, that of control first."""
    return tuple(map(text_of, filled(content.ensembles, ENSEMBLE_COLUMNS)["arm"].unique()))


def metrics_of(rows: Rows, first: tuple[str, ...]) -> list[str]:
    """Metrics of some rows: those of ``first`` in its order, then the others as they came."""
    names = dict.fromkeys(text_of(row["metric"]) for row in rows)
    return sorted(names, key=lambda name: first.index(name) if name in first else len(first))


def present(rows: Rows, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics that some row has."""
    return tuple(metric for metric in metrics if any(row["metric"] == metric for row in rows))
