"""SQL over an experiment's tables: DuckDB views named as the files."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from tailscope.core import InputError
from tailscope.experiment.reading import require_folder

VIEWS = {
    "images": "data/images.parquet",
    "labels": "data/labels.parquet",
    "annotations": "data/annotations.parquet",
    "split": "data/split.parquet",
    "class_counts": "data/class_counts.parquet",
    "history": "runs/*/history.parquet",
    "predictions": "runs/*/predictions.parquet",
    "alignment": "evidence/alignment/*.parquet",
    "localization": "evidence/localization/*.parquet",
    "reference_maps": "evidence/reference_maps/*.parquet",
    "shortcut_rows": "evidence/shortcuts/*.parquet",
    "soundness_rows": "evidence/soundness/*.parquet",
    "dissection": "evidence/dissection/*.parquet",
    "fraction_curves": "evidence/fraction_curves/*.parquet",
    "published_concepts": "evidence/published_concepts/*.parquet",
    "causes": "evidence/causes/*.parquet",
    "concept_changes": "evidence/concept_changes/*.parquet",
    "unit_cards": "evidence/unit_cards/*.parquet",
    "trajectory": "evidence/trajectory/*.parquet",
    "representation": "evidence/representation/*.parquet",
    "geometry": "evidence/geometry/*.parquet",
    "similarity": "similarity.parquet",
    "relative_similarity": "relative_similarity.parquet",
    "head_swaps": "head_swaps.parquet",
    "estimates": "estimates.parquet",
    "findings": "findings.parquet",
    "hidden_differences": "hidden_differences.parquet",
    "false_alarms": "false_alarms.parquet",
    "label_views": "label_views.parquet",
    "cross_checks": "cross_checks.parquet",
    "ranks": "ranks.parquet",
    "trends": "trends.parquet",
    "precision": "precision.parquet",
    "calibration_curves": "calibration_curves.parquet",
    "decision_curves": "decision_curves.parquet",
    "subgroups": "subgroups.parquet",
    "subgroup_gaps": "subgroup_gaps.parquet",
    "shortcuts": "shortcuts.parquet",
    "soundness": "soundness.parquet",
    "ensembles": "ensembles.parquet",
    "tuning": "tuning.parquet",
}


def query(folder: Path, text: str) -> pd.DataFrame:
    """The result of an SQL query; the files are read, never written.

    Args:
        folder: An experiment folder, or one of a further test in it (``test_on/<name>``).
        text: SQL in DuckDB's dialect, over the views of this module.

    Raises:
        InputError: The folder is no experiment, or the query is wrong; the known views are listed.
    """
    if not (folder / "provenance.json").is_file():  # a further test has one, and no configuration of its own
        require_folder(folder)
    with duckdb.connect(":memory:") as connection:
        known = _open_views(connection, folder)
        try:
            result = connection.execute(text)
        except duckdb.Error as error:
            raise InputError(f"the query failed: {error}\nTables: {', '.join(known)}") from None
        if result is None:  # DuckDB's answer to blanks and comments
            raise InputError(f'the query is empty; e.g. "select * from findings"\nTables: {", ".join(known)}')
        return result.df()


def _open_views(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    known = []
    for name, pattern in VIEWS.items():
        if next(folder.glob(pattern), None) is None:
            continue
        # A view takes no parameters, so the path is written into it, quotes doubled and wildcards of the folder's own
        # name bracketed.
        place = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in folder.resolve().as_posix())
        literal = f"{place}/{pattern}".replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{literal}', union_by_name = true)")
        known.append(name)
    return known
