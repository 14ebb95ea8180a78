"""What the page shows of features: similarity of layers, probes with their verdicts, swapped heads, geometry."""

from __future__ import annotations

import pandas as pd

from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.geometry import geometry_table
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.probe_table import probe_table
from tailscope.experiment.representation_samples import SWAP_COLUMNS, swap_table
from tailscope.experiment.similarity import SIMILARITY_COLUMNS, similarity_tables
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.report import RepresentationTables
from tailscope.representation import RELATIVE_CKA_COLUMNS

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def feature_tables(folder: ExperimentFolder, prepared: Prepared, test: TestSet, grid: RunGrid) -> Tables:
    """Similarity of all pairs of runs, of each arm with control, and the swapped heads; empty without the lens."""
    if prepared.config.lenses.representation is None:
        names = (SIMILARITY_COLUMNS, RELATIVE_CKA_COLUMNS, SWAP_COLUMNS)
        return tuple(pd.DataFrame(columns=list(columns)) for columns in names)  # type: ignore[return-value]
    return *similarity_tables(folder, grid), swap_table(folder, prepared.data, test, grid)


def representation_tables(
    folder: ExperimentFolder,
    runs: tuple[Run, ...],
    compared: tuple[pd.DataFrame, pd.DataFrame],
    features: Tables,
) -> RepresentationTables:
    """The tables as the page takes them.

    Args:
        folder: With the evidence of all runs.
        runs: The runs that are compared.
        compared: Findings and estimates.
        features: From :func:`feature_tables`.
    """
    similarity, relative, swaps = features
    names = {"treated": "cka_to_control", "reference": "control_to_control"}
    return RepresentationTables(
        cka=similarity,
        relative=relative.rename(columns=names),
        probes=probe_table(*compared),
        swap=swaps,
        geometry=geometry_table(folder, runs),
    )
