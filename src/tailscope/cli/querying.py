"""SQL over the tables of an experiment, with DuckDB."""

from __future__ import annotations

import sys
from pathlib import Path

from tailscope.cli.tables import print_frame, wide_console
from tailscope.experiment import query


def print_query(folder: Path, text: str, *, as_csv: bool) -> None:
    """Run a query and print its result as a table, or as CSV."""
    frame = query(folder, text)
    if as_csv:
        frame.to_csv(sys.stdout, index=False)
    else:
        print_frame(wide_console(), frame)
