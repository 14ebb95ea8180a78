"""What an experiment hands back to Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tailscope.core import UnknownNameError, nearest
from tailscope.experiment.querying import VIEWS, query


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """An experiment that has been conducted.

    Args:
        path: Its folder.
        findings: Every finding with its statistics, one row per lens metric, class and arm.
        hidden_differences: Cells where AUROC and AP are equivalent and a lens differs, candidates, and the rest.
        sentences: What was found, as the page says it.
        other_reports: Name of each further data set of ``test_on`` to its page.
    """

    path: Path
    findings: pd.DataFrame
    hidden_differences: pd.DataFrame
    sentences: tuple[str, ...]
    other_reports: dict[str, Path] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def table(self, name: str) -> pd.DataFrame:
        """One table of the experiment, e.g. predictions, history, alignment, dissection or estimates.

        Raises:
            UnknownNameError: There is no such table.
        """
        if name not in VIEWS:
            raise UnknownNameError(f"no table is named {name!r}{nearest(name, tuple(VIEWS))}")
        return query(self.path, f'SELECT * FROM "{name}"')
