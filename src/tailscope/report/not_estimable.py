"""What was not estimable, and why: every lens, metric and class without a value or a difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tailscope.report.blocks import Block, Cell, Paragraph, Table, not_shown, word
from tailscope.report.content import ReportContent
from tailscope.report.differences import MOST_OPEN
from tailscope.report.frames import ESTIMATE_COLUMNS, FINDING_COLUMNS, text_of
from tailscope.report.numbers import count, plural
from tailscope.report.selection import by_class
from tailscope.report.words import metric_name

_UNSTATED = "no reason is on record"


@dataclass(frozen=True)
class Missing:
    """One metric of one class that could not be estimated for one reason.

    Args:
        lens: Name of the lens.
        metric: Name of the metric, as in the tables.
        class_name: Class, or one of the averages.
        reason: Why.
        values: Arms without a value.
        differences: Treatments without a difference from control.
    """

    lens: str
    metric: str
    class_name: str
    reason: str
    values: int
    differences: int


def not_estimable(content: ReportContent) -> tuple[Missing, ...]:
    """Cells without a number, merged over arms where the reason is the same; classes from head to tail.

    Example:
        >>> import pandas as pd
        >>> rows = [["performance", "auroc", "hernia", arm, None, None, None, 9, "no positive"] for arm in ("a", "b")]
        >>> table = pd.DataFrame(rows, columns=["lens", "metric", "class", "arm", "value", "lo", "hi", "n", "reason"])
        >>> not_estimable(ReportContent("demo", "", "", ("a", "b"), (0,), estimates=table))[0].values
        2
    """
    values = _counted(content, _without(content.estimates, "value"), ESTIMATE_COLUMNS)
    differences = _counted(content, _without(content.findings, "difference"), FINDING_COLUMNS)
    return tuple(Missing(*key, values.get(key, 0), differences.get(key, 0)) for key in values | differences)


def not_estimable_block(content: ReportContent) -> Block:
    """The table of what is missing, or the sentence that nothing is."""
    cells = by_class(content, content.estimates, ESTIMATE_COLUMNS)
    if not cells:
        return not_shown("no estimates were handed over, so nothing is known of what was estimable")
    missing = not_estimable(content)
    if not missing:
        return Paragraph(f"Every one of {plural(len(cells), 'value')} was estimable.")
    rows = tuple(
        (
            word(cell.class_name),
            word(cell.lens),
            Cell(metric_name(cell.metric)),
            Cell(cell.reason),
            Cell(count(cell.values), key=str(cell.values), style="number"),
            Cell(count(cell.differences), key=str(cell.differences), style="number"),
        )
        for cell in missing
    )
    total = sum(cell.values for cell in missing)
    return Table(
        f"What could not be estimated, and why: {count(total)} of {plural(len(cells), 'value')}. A missing number "
        "is never a zero, and it is missing for the same reason in all arms unless rows differ.",
        ("class", "lens", "metric", "reason", "arms without value", "treatments without difference"),
        rows,
        title="What was not estimable",
        is_open=len(rows) <= MOST_OPEN,
    )


def _without(frame: pd.DataFrame | None, column: str) -> pd.DataFrame | None:
    """The rows whose number is missing; they are few, so that only they are put in order."""
    if frame is None or column not in frame:
        return None
    numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    missing: pd.DataFrame = frame[~np.isfinite(numbers)]
    return missing


def _counted(
    content: ReportContent, missing: pd.DataFrame | None, columns: tuple[str, ...]
) -> dict[tuple[str, str, str, str], int]:
    found: dict[tuple[str, str, str, str], int] = {}
    for row in by_class(content, missing, columns):
        reason = text_of(row["reason"]) or _UNSTATED
        key = (text_of(row["lens"]), text_of(row["metric"]), text_of(row["class"]), reason)
        found[key] = found.get(key, 0) + 1
    return found
