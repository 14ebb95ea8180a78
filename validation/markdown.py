"""Tables as the docs show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Cell = str | float


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 2) -> str:
    """A Markdown table; numbers with a fixed number of digits, the undefined as a dash.

    >>> print(table(["method", "power"], [["gradcam", 0.5], ["rise", float("nan")]]))
    | method | power |
    |---|---:|
    | gradcam | 0.50 |
    | rise | – |
    """
    numeric = [all(not isinstance(row[at], str) for row in rows) for at in range(len(columns))]
    lines = [_line(columns), "|" + "|".join("---:" if right else "---" for right in numeric) + "|"]
    lines += [_line([cell if isinstance(cell, str) else number(cell, digits) for cell in row]) for row in rows]
    return "\n".join(lines)


def number(value: float, digits: int = 2) -> str:
    """A number for people.

    >>> number(0.126), number(-0.001), number(float("nan"))
    ('0.13', '0.00', '–')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def pivot(values: Mapping[tuple[str, str], float], corner: str, digits: int = 2) -> str:
    """A table of values by (row, column), both in the order in which they come.

    >>> print(pivot({("gradcam", "iou"): 0.5, ("gradcam", "ior"): 1.0}, "method"))
    | method | iou | ior |
    |---|---:|---:|
    | gradcam | 0.50 | 1.00 |
    """
    rows, columns = (list(dict.fromkeys(address[at] for address in values)) for at in (0, 1))
    missing = float("nan")
    return table(
        [corner, *columns], [[row, *(values.get((row, one), missing) for one in columns)] for row in rows], digits
    )
