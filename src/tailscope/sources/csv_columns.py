"""Tables of images in a folder, and their columns that hold no labels, but say something about the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tailscope.core.errors import DataError
from tailscope.data.attributes import STRUCTURE
from tailscope.data.files import IMAGE_SUFFIXES
from tailscope.data.text_tables import TextTable, read_text_table


def further_columns(table: TextTable, names: Sequence[str]) -> dict[str, list[Any]]:
    """The cells of further columns, as the table of images takes them.

    Args:
        table: The table of labels.
        names: Columns that are neither labels nor image, patient or split.

    Returns:
        Name to one value per row, None where blank; ``age`` as numbers. A column with a name of :data:`STRUCTURE`, and
        an ``age`` that is not a number everywhere, are left out.

    Example:
        >>> table = TextTable("labels.csv", ("image", "age", "view"), (("a", "61", "PA"), ("b", "", "")), (2, 3))
        >>> further_columns(table, ("age", "view"))
        {'age': [61.0, None], 'view': ['PA', None]}
    """
    columns: dict[str, list[Any]] = {}
    for name in names:
        cells = [cell or None for cell in table.column(name)]
        if name == "age":
            ages = [None if cell is None else _number(cell) for cell in cells]
            if not any(age is not None and math.isnan(age) for age in ages):
                columns[name] = ages
        elif name not in STRUCTURE:
            columns[name] = cells
    return columns


def label_tables(root: Path) -> list[Path]:
    """The CSV and TSV files of a folder, sorted."""
    return sorted(path for path in root.iterdir() if path.suffix.lower() in (".csv", ".tsv") and path.is_file())


def image_column(path: Path) -> str | None:
    """The first column of a table whose first cell is the name of an image file, or None."""
    try:
        table = read_text_table(path)
    except DataError:
        return None
    if not len(table):
        return None
    cells = zip(table.columns, table.rows[0], strict=True)
    return next((name for name, cell in cells if cell.strip().lower().endswith(IMAGE_SUFFIXES)), None)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
