"""pandas tables on the terminal."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 160  # a file has no width of its own, and 80 columns would fold every table


def wide_console() -> Console:
    """The terminal, or a wide page where the output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def print_frame(console: Console, frame: pd.DataFrame, title: str = "", most: int = 200) -> None:
    """Print a frame; more than ``most`` rows are cut, and the cut is said."""
    if title:
        console.print(f"\n{title}", style="bold", markup=False, highlight=False)
    console.print(_table(frame.head(most)))
    if len(frame) > most:
        console.print(f"{len(frame) - most:,} further rows are not shown", style="italic", highlight=False)


def _table(frame: pd.DataFrame) -> Table:
    table = Table(header_style="bold", show_edge=False, box=None, padding=(0, 1))
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(Text(str(name)), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(Text(_text(value)) for value in row))  # a bare string would lose what stands in brackets
    return table


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
