"""Which source's files lie in a folder?"""

from __future__ import annotations

from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data import chexpert, nih
from tailscope.data.files import IMAGE_SUFFIXES
from tailscope.data.text_tables import TextTable, read_text_table


def recognise(root: Path) -> str | None:
    """The name of the source that reads this folder, or None.

    ``csv`` is proposed where a table has a column of image names.
    """
    root = Path(root)
    if not root.is_dir():
        return None
    if (root / "Dataset").is_dir() and (root / "Label").is_dir():
        return "chula_rbc12"
    if nih.find_table(root, "Data_Entry*.csv*") is not None:
        return "nih_chestxray14"
    tables = (chexpert.find_table(root, name) for name in ("train.csv", "valid.csv", "test_labels.csv"))
    if any(path is not None and {"Path", "No Finding"} <= set(_columns(path)) for path in tables):
        return "chexpert"
    if any(image_column(path) is not None for path in label_tables(root)):
        return "csv"
    return None


def label_tables(root: Path) -> list[Path]:
    """The CSV and TSV files of a folder, sorted."""
    return sorted(path for path in root.iterdir() if path.suffix.lower() in (".csv", ".tsv") and path.is_file())


def image_column(path: Path) -> str | None:
    """The first column of a table whose first cell is the name of an image file, or None."""
    table = _read(path)
    if table is None or not len(table):
        return None
    cells = zip(table.columns, table.rows[0], strict=True)
    return next((name for name, cell in cells if cell.strip().lower().endswith(IMAGE_SUFFIXES)), None)


def _columns(path: Path) -> tuple[str, ...]:
    table = _read(path)
    return () if table is None else table.columns


def _read(path: Path) -> TextTable | None:
    try:
        return read_text_table(path)
    except DataError:
        return None
