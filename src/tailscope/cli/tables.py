"""pandas tables on the terminal."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 160  # a file has no width of its own, and 80 columns would fold every table


def wide_console() -> Console:
    """The terminal, or a wide page where the output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def frame_table(frame: pd.DataFrame, title: str | None = None, most: int = 200) -> Table:
    """A rich table of a frame; more than ``most`` rows are cut, and the cut is said."""
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, box=None, padding=(0, 1))
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(str(name), justify="right" if numeric else "left", overflow="fold")
    for row in frame.head(most).itertuples(index=False):
        table.add_row(*map(_text, row))
    if len(frame) > most:
        table.caption = f"{len(frame) - most:,} further rows are not shown"
    return table


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
