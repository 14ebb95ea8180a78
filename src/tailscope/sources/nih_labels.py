"""Which labels NIH's images carry: those of ``Data_Entry``, or those of the long-tailed lists made from them.

Long-tailed lists are wide tables, one column per class with 0 or 1, below ``id``; NIH-CXR-LT adds ``subject_id`` with
zeros in front (``00003109``, where ``Data_Entry`` has 3109), PruneCXR ``subj_id``. The published images are named in
one list each, except that NIH-CXR-LT's balanced test list repeats images of the full one: it is a choice of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.files import inside
from tailscope.data.tables import STATE_OF
from tailscope.data.text_tables import TextTable, read_text_table
from tailscope.data.validation import raise_problems
from tailscope.sources.nih_tables import FINDINGS, NO_FINDING, Entry, read_lists

_LT = "nih-cxr-lt_single-label"
_PRUNE = "miccai2023_nih-cxr-lt_labels"
LISTS: Mapping[str, Mapping[str, str]] = {
    "nih_cxr_lt": {"train": f"{_LT}_train.csv", "val": f"{_LT}_balanced-val.csv", "test": f"{_LT}_test.csv"},
    "nih_cxr_lt_balanced": {
        "train": f"{_LT}_train.csv",
        "val": f"{_LT}_balanced-val.csv",
        "test": f"{_LT}_balanced-test.csv",
    },
    "prune_cxr": {split: f"{_PRUNE}_{split}.csv" for split in ("train", "val", "test")},
}
LABEL_CHOICES = ("data_entry", *LISTS)
_PATIENT_COLUMNS = ("subject_id", "subj_id")


@dataclass(frozen=True)
class LabelSet:
    """Labels and splits of images.

    Args:
        classes: K names.
        states: Image name to K label states.
        split_of: Image name to its published split.
        reader: Who labelled.
        notes: What was recognised.
        problems: What is wrong.
    """

    classes: tuple[str, ...]
    states: Mapping[str, tuple[str, ...]]
    split_of: Mapping[str, str]
    reader: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def entry_labels(root: Path, entries: Sequence[Entry], *, no_finding: bool) -> LabelSet:
    """The labels of ``Data_Entry`` and the official lists: a finding that is not named is negative."""
    classes = (*FINDINGS, NO_FINDING) if no_finding else FINDINGS
    states_of: dict[frozenset[str], tuple[str, ...]] = {}  # few combinations, many images
    for found in {entry.findings for entry in entries}:
        named = found or {NO_FINDING}
        states_of[found] = tuple("positive" if name in named else "negative" for name in classes)
    states = {entry.image: states_of[entry.findings] for entry in entries}
    split_of, both = read_lists(root)
    listed = sum(entry.image in split_of for entry in entries)
    note = f"{listed} images stand in the official lists" if listed else "no official list beside the label file"
    return LabelSet(classes, states, split_of, "report", (note,), tuple(both))


def long_tailed_labels(root: Path, choice: str, entries: Sequence[Entry]) -> LabelSet:
    """The labels of a long-tailed release.

    Args:
        root: The lists lie in it or in ``LongTailCXR`` or ``PruneCXR`` below it.
        choice: Of :data:`LISTS`.
        entries: Those of ``Data_Entry``, for the patients.

    Raises:
        DataError: No list is there, two lists have other classes, or a column is missing.
    """
    tables = _tables(root, choice)
    classes = _classes(tables)
    patient_of = {entry.image: entry.patient for entry in entries}
    states: dict[str, tuple[str, ...]] = {}
    split_of: dict[str, str] = {}
    problems: list[str] = []
    for split, table in tables.items():
        cells = list(zip(*(table.column(name) for name in classes), strict=True))
        for row, (image, patient) in enumerate(zip(table.column("id"), _patients(table), strict=True)):
            wrong = _row_problem(image, cells[row], patient, patient_of)
            if wrong is None and image in split_of:
                wrong = f"image {image!r} stands in the list of {split_of[image]} already; expected one list"
            if wrong is not None:
                problems.append(f"{table.where(row)}: {wrong}")
                continue
            split_of[image] = split
            states[image] = tuple(STATE_OF[cell] for cell in cells[row])
    notes = [f"labels and splits from {', '.join(table.name for table in tables.values())}, {len(classes)} classes"]
    absent = [name for split, name in LISTS[choice].items() if split not in tables]
    notes += [f"lists that are not there: {', '.join(absent)}"] if absent else []
    return LabelSet(classes, states, split_of, choice, tuple(notes), tuple(problems))


def _tables(root: Path, choice: str) -> dict[str, TextTable]:
    tables = {}
    for split, name in LISTS[choice].items():
        places = (root / name, root / "LongTailCXR" / name, root / "PruneCXR" / name)
        path = next((place for place in places if place.is_file()), None)
        if path is not None:
            tables[split] = read_text_table(path)
    if not tables:
        raise DataError(f"{root} holds none of {', '.join(LISTS[choice].values())}; expected the lists of {choice!r}")
    return tables


def _classes(tables: Mapping[str, TextTable]) -> tuple[str, ...]:
    """The label columns in the order of the first table; the others may order them otherwise."""
    columns = {
        table.name: tuple(name for name in table.columns if name and name != "id" and name not in _PATIENT_COLUMNS)
        for table in tables.values()
    }
    first = next(iter(columns.values()))
    raise_problems(
        [
            f"{name} has the classes {', '.join(sorted(set(others) ^ set(first)))} more or less than the list before "
            "it; expected lists of one release"
            for name, others in columns.items()
            if set(others) != set(first)
        ]
    )
    return first


def _patients(table: TextTable) -> list[str]:
    column = next((name for name in _PATIENT_COLUMNS if name in table.columns), None)
    return [""] * len(table) if column is None else [cell.lstrip("0") for cell in table.column(column)]


def _row_problem(image: str, cells: Sequence[str], patient: str, patient_of: Mapping[str, str]) -> str | None:
    try:
        name = inside(image)
    except DataError as error:
        return str(error)
    if name not in patient_of:
        return f"image {image!r} does not stand in the label file; expected one of its images"
    if patient and patient != patient_of[name].lstrip("0"):
        return f"image {image!r} belongs to patient {patient}; the label file says {patient_of[name]}: restore the list"
    if bad := [cell for cell in cells if STATE_OF.get(cell) not in ("positive", "negative")]:
        return f"label {bad[0]!r} is unknown; expected 0 or 1"
    return None
