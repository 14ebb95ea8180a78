"""pandas tables on the terminal."""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 160  # a file has no width of its own, and 80 columns would fold every table
_PADDING = 2  # columns between two cells


def wide_console() -> Console:
    """The terminal, or a wide page where the output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def print_frame(console: Console, frame: pd.DataFrame, title: str = "", most: int = 200) -> None:
    """Print a frame; more than ``most`` rows are cut, and the cut is said.

    Numbers and headers are never folded; where they do not fit beside each other, each row becomes a block of lines.
    """
    if title:
        console.print(f"\n{title}", style="bold", markup=False, highlight=False)
    shown = frame.head(most)
    cells = [[_text(value) for value in row] for row in shown.itertuples(index=False, name=None)]
    least = [_least_width(shown, cells, number) for number in range(frame.shape[1])]
    if sum(least) + _PADDING * len(least) <= console.width:
        console.print(_table(shown, cells, least))
    else:
        _print_blocks(console, [str(name) for name in frame.columns], cells)
    if len(frame) > most:
        console.print(f"{len(frame) - most:,} further rows are not shown", style="italic", highlight=False)


def _least_width(frame: pd.DataFrame, cells: list[list[str]], number: int) -> int:
    header = len(str(frame.columns[number]))
    return max([header, *(len(row[number]) for row in cells)]) if _is_numeric(frame, number) else header


def _is_numeric(frame: pd.DataFrame, number: int) -> bool:
    return pd.api.types.is_numeric_dtype(frame.dtypes.iloc[number])


def _table(frame: pd.DataFrame, cells: list[list[str]], least: list[int]) -> Table:
    table = Table(header_style="bold", show_edge=False, box=None, padding=(0, _PADDING // 2))
    for number, name in enumerate(frame.columns):
        side: Literal["left", "right"] = "right" if _is_numeric(frame, number) else "left"
        table.add_column(Text(str(name), justify=side), justify=side, min_width=least[number], overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # a bare string would lose what stands in brackets
    return table


def _print_blocks(console: Console, names: list[str], cells: list[list[str]]) -> None:
    wide = max(map(len, names))
    for number, row in enumerate(cells):
        if number:
            console.print()
        for name, cell in zip(names, row, strict=True):
            console.print(f"{name:<{wide}}  {cell}", markup=False, highlight=False)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, float):
        return _number(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    """Three decimals; powers of ten where three decimals would show nothing.

    >>> _number(0.25), _number(0.00004), _number(0.0), _number(12345.6)
    ('0.250', '4.0e-05', '0.000', '12,346')
    """
    if 0 < abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
