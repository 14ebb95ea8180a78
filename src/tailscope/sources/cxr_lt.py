"""Long-tailed labels of MIMIC-CXR-JPG's images: CXR-LT 2023 and 2024, and MIMIC-CXR-LT of 2022.

All of them list images with their ids, their path and one column per finding. Which columns are findings is told from
their cells, never from their place: the files of the tasks order them differently, 2023 says "No Finding" and 2024
"Normal", and the columns before them differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.tables import STATE_OF
from tailscope.data.text_tables import TextTable, columns_of, read_text_table
from tailscope.sources.mimic_tables import Radiograph, find_tables, states_of

_PATHS = ("fpath", "path")
_IDS = ("dicom_id", "subject_id", "study_id")
_FACTS = (*_IDS, *_PATHS, "ViewPosition", "ViewCodeSequence_CodeMeaning", "")
NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # labels to split to names of its table, the usual one first
    "cxr_lt": {
        "train": ("train_labeled", "train"),
        "val": ("development_labeled_task1", "development"),
        "test": ("test_labeled_task1", "test"),
    },
    "mimic_cxr_lt": {
        "train": ("mimic-cxr-lt_single-label_train",),
        "val": ("mimic-cxr-lt_single-label_balanced-val",),
        "test": ("mimic-cxr-lt_single-label_test", "mimic-cxr-lt_single-label_balanced-test"),
    },
}


def find_long_tailed(root: Path, labels: str) -> dict[str, Path]:
    """Split to the table of these labels, in the folder or in one below it; only tables with the expected header."""
    found: dict[str, Path] = {}
    for split, names in NAMES[labels].items():
        tables = (path for name in names for path in find_tables(root, name) if _is_long_tailed(columns_of(path)))
        if path := next(tables, None):
            found[split] = path
    return found


def read_long_tailed(tables: Mapping[str, Path]) -> tuple[list[Radiograph], tuple[str, ...], list[str], list[str]]:
    """The images with their states, the classes, notes, and what is wrong with rows.

    A class that only some of the tables have is unmentioned in the others.

    Raises:
        DataError: A table holds no finding.
    """
    read = {split: read_text_table(path) for split, path in tables.items()}
    findings = {split: _findings(table) for split, table in read.items()}
    classes = tuple(dict.fromkeys(name for names in findings.values() for name in names))
    images: dict[str, Radiograph] = {}
    notes: list[str] = []
    problems: list[str] = []
    for split, table in read.items():
        if lacking := [name for name in classes if name not in findings[split]]:
            notes.append(f"{table.name} lacks {', '.join(lacking)}: unmentioned there")
        for row, image in enumerate(_images(table, split, classes, problems)):
            if image.image in images:
                problems.append(f"{table.where(row)}: image {image.image!r} is listed already; keep one row")
            images.setdefault(image.image, image)
    return list(images.values()), classes, notes, problems


def _is_long_tailed(columns: tuple[str, ...]) -> bool:
    return set(_IDS) <= set(columns) and not set(_PATHS).isdisjoint(columns)


def _findings(table: TextTable) -> list[str]:
    findings = [name for name in table.columns if name not in _FACTS and _is_mostly_labels(table.column(name))]
    if not findings:
        raise DataError(f"{table.name} has no column of 0, 1, -1 or blank; expected one per finding: restore the file")
    return findings


def _is_mostly_labels(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return sum(cell in STATE_OF for cell in filled) > len(filled) / 2


def _images(table: TextTable, split: str, classes: tuple[str, ...], problems: list[str]) -> Iterator[Radiograph]:
    blank = [""] * len(table)
    views = table.column("ViewPosition") if "ViewPosition" in table.columns else blank
    cells = list(zip(*(table.column(name) if name in table.columns else blank for name in classes), strict=True))
    for row, (image, patient, study, view) in enumerate(zip(*map(table.column, _IDS), views, strict=True)):
        states = states_of(cells[row])
        if isinstance(states, str):
            problems.append(f"{table.where(row)}: {states}")
            states = ()
        yield Radiograph(image, patient, study, view or None, split, states)
