"""The order of a page: classes from head to tail, arms with control first, and what comes beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tailscope.report.blocks import Cell
from tailscope.report.frames import AGGREGATES, filled, ranked, rows_of, text_of

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class PageOrder:
    """Which class and which arm comes first.

    Args:
        classes: From head to tail.
        arms: Control first.
        averages: Those that are shown; a group that has no class has none.
    """

    classes: tuple[str, ...]
    arms: tuple[str, ...]
    averages: tuple[str, ...] = AGGREGATES

    def rows(self, frame: pd.DataFrame | None, columns: tuple[str, ...]) -> Rows:
        """The rows of a table: averages, then classes, then other concepts; within each by arm.

        Example:
            >>> frame = pd.DataFrame({"class": ["tube", "hernia", "mass", "macro"]})
            >>> [row["class"] for row in PageOrder(("mass", "hernia"), ("control",)).rows(frame, ("class",))]
            ['macro', 'mass', 'hernia', 'tube']
            >>> frame = pd.DataFrame({"class": ["tube", "lead"] * 2, "arm": ["control"] * 2 + ["focal"] * 2})
            >>> [row["class"] for row in PageOrder((), ("control", "focal")).rows(frame, ("class", "arm"))]
            ['tube', 'tube', 'lead', 'lead']
            >>> frame = pd.DataFrame({"class": ["mass", "tail", "macro"]})
            >>> [row["class"] for row in PageOrder(("mass",), (), averages=("macro",)).rows(frame, ("class",))]
            ['macro', 'mass']
        """
        table = filled(frame, columns)
        if "arm" in columns:
            table = ranked(table, "arm", self.arms)
        if "class" in columns:
            table = table[~table["class"].isin(set(AGGREGATES) - set(self.averages))]
            others = tuple(text_of(name) for name in table["class"].unique())
            table = ranked(table, "class", tuple(dict.fromkeys((*AGGREGATES, *self.classes, *others))))
        return rows_of(table)


def names_in(rows: Rows, column: str) -> tuple[str, ...]:
    """The texts of a column, each once, as they come; averages and missing ones left out.

    Example:
        >>> names_in([{"class": "macro"}, {"class": "mass"}, {"class": "mass"}], "class")
        ('mass',)
    """
    names = dict.fromkeys(text_of(row[column]) for row in rows)
    return tuple(name for name in names if name and name not in AGGREGATES)


def grouped(rows: Rows, *columns: str) -> dict[tuple[str, ...], Rows]:
    """The rows by the texts of some columns, in the order of their first row.

    Example:
        >>> grouped([{"arm": "a", "n": 1}, {"arm": "b", "n": 2}, {"arm": "a", "n": 3}], "arm")[("a",)]
        [{'arm': 'a', 'n': 1}, {'arm': 'a', 'n': 3}]
    """
    groups: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        groups.setdefault(tuple(text_of(row[column]) for column in columns), []).append(row)
    return groups


def by_layer(rows: Rows) -> Rows:
    """The rows, layer after layer as the layers first appear, otherwise as they came.

    Example:
        >>> [row["n"] for row in by_layer([{"layer": "a", "n": 1}, {"layer": "b", "n": 2}, {"layer": "a", "n": 3}])]
        [1, 3, 2]
    """
    return [row for mine in grouped(rows, "layer").values() for row in mine]


def first_reason(rows: Iterable[dict[str, Any]]) -> str:
    """The first reason that some row gives, or nothing."""
    return next((text_of(row["reason"]) for row in rows if text_of(row.get("reason"))), "")


def class_cell(name: str) -> Cell:
    """The cell that names a class, or an average of classes."""
    return Cell(f"{name} (average)", style="strong") if name in AGGREGATES else Cell(name)
