"""MIMIC-CXR-JPG's own tables: one row per image, splits, and labels per study in any order of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.tables import STATE_OF
from tailscope.data.text_tables import TextTable
from tailscope.sources.chexpert_tables import CLASSES

FRONTAL = ("AP", "PA")
SPLIT_OF = {"train": "train", "validate": "val", "test": "test"}
UNMENTIONED = ("unmentioned",) * len(CLASSES)
_WRITTEN_AS = {"Lung Opacity": "Airspace Opacity"}  # in the radiologists' table of the test set
_TABLE_FOLDER = re.compile("cxr|label|annotation")
Studies = dict[str, tuple[str, ...]]  # study to one state per class of CheXpert


@dataclass(frozen=True)
class Radiograph:
    """One image.

    Args:
        image: ``dicom_id``, the name of its file.
        patient: ``subject_id``.
        study: ``study_id``.
        view: As published, AP, PA, LATERAL, LL …; None where blank.
        split: The published split, or None.
        states: One label state per class, where the table holds labels itself.
    """

    image: str
    patient: str
    study: str
    view: str | None
    split: str | None
    states: tuple[str, ...] = ()

    @property
    def is_frontal(self) -> bool:
        """Whether the view is AP or PA."""
        return self.view in FRONTAL


def find_tables(root: Path, pattern: str) -> list[Path]:
    """The plain and gzipped CSV files of a pattern in a folder and in the folders below it, sorted.

    Of a file that is there packed and unpacked, the unpacked one is taken.
    """
    found = {path.as_posix(): path for place in (root, *_folders(root)) for path in place.glob(f"{pattern}.csv*")}
    kept = [path for name, path in sorted(found.items()) if name.endswith((".csv", ".csv.gz")) and path.is_file()]
    return [path for path in kept if path.as_posix().removesuffix(".gz") not in found or path.suffix != ".gz"]


def read_metadata(table: TextTable, split_of: Mapping[str, str]) -> tuple[list[Radiograph], list[str]]:
    """Every image, and what is wrong with rows.

    Raises:
        DataError: A column is missing.
    """
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    images: dict[str, Radiograph] = {}
    problems = []
    for row, (image, patient, study, view) in enumerate(zip(*map(table.column, columns), strict=True)):
        if not (image and patient and study):
            problems.append(f"{table.where(row)}: dicom_id, subject_id or study_id is blank; restore it")
        elif image in images:
            problems.append(f"{table.where(row)}: image {image!r} is listed already; keep one row")
        images.setdefault(image, Radiograph(image, patient, study, view or None, split_of.get(image)))
    return list(images.values()), problems


def read_splits(table: TextTable) -> tuple[dict[str, str], list[str]]:
    """Image to published split (``validate`` is val), and what is wrong with rows.

    Raises:
        DataError: A column is missing.
    """
    split_of: dict[str, str] = {}
    problems = []
    for row, (image, word) in enumerate(zip(table.column("dicom_id"), table.column("split"), strict=True)):
        if word not in SPLIT_OF:
            problems.append(f"{table.where(row)}: split {word!r} is unknown; expected {', '.join(SPLIT_OF)}")
        elif split_of.setdefault(image, SPLIT_OF[word]) != SPLIT_OF[word]:
            problems.append(f"{table.where(row)}: image {image!r} stands in two splits; keep one row")
    return split_of, problems


def read_studies(table: TextTable, *, complete: bool = True) -> tuple[Studies, list[str]]:
    """States of every study, 1, 0, -1 and blank kept apart, and what is wrong with rows.

    Args:
        table: With ``study_id`` and the classes in any order; ``Airspace Opacity`` stands for ``Lung Opacity``.
        complete: Refuse a table that lacks a class; else the class is unmentioned there.

    Raises:
        DataError: A column is missing.
    """
    cells = list(zip(*(_column(table, name, complete=complete) for name in CLASSES), strict=True))
    studies: Studies = {}
    problems = []
    for row, (study, values) in enumerate(zip(table.column("study_id"), cells, strict=True)):
        states = states_of(values)
        if isinstance(states, str):
            problems.append(f"{table.where(row)}: {states}")
        elif studies.setdefault(study, states) != states:
            problems.append(f"{table.where(row)}: study {study!r} has other labels in an earlier row; keep one row")
    return studies, problems


def states_of(values: Sequence[str]) -> tuple[str, ...] | str:
    """The states of cells, or what is wrong with one."""
    if bad := [value for value in values if value not in STATE_OF]:
        return f"label {bad[0]!r} is unknown; expected 1, 0, -1 or blank"
    return tuple(STATE_OF[value] for value in values)


def _folders(root: Path) -> list[Path]:
    """The folders in which tables may lie, such as cxr-lt-2024 or labels; those of images are not searched."""
    return sorted(path for path in root.iterdir() if _TABLE_FOLDER.search(path.name.lower()) and path.is_dir())


def _column(table: TextTable, name: str, *, complete: bool) -> list[str]:
    written = name if name in table.columns else _WRITTEN_AS.get(name, name)
    if written in table.columns:
        return table.column(written)
    if complete:
        raise DataError(f"{table.name} has no column {name!r}; expected the 14 observations of CheXpert: restore it")
    return [""] * len(table)
