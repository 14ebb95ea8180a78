"""NIH's own files: entries under all their headers, boxes with a header longer than their rows, ages as DICOM text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.ages import parse_age
from tailscope.data.files import inside
from tailscope.data.tables import Shape
from tailscope.data.text_tables import read_text_table

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
NO_FINDING = "No Finding"
FRAME = (1024, 1024)  # height, width of the published PNGs, which all boxes refer to, also beside reduced images
_RENAMED = {"Infiltrate": "Infiltration"}


class Entry(NamedTuple):
    """One row of ``Data_Entry``.

    Args:
        image: File name.
        findings: Its findings; empty for "No Finding".
        patient: As published, without zero padding.
        age_years: NaN where it is not given or impossible.
        sex: M or F.
        view: PA or AP.
    """

    image: str
    findings: frozenset[str]
    patient: str
    age_years: float
    sex: str
    view: str


def read_entries(path: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a ``Data_Entry`` file, and what is wrong with rows.

    Known headers: "Patient Gender" or "Patient Sex", with or without a trailing comma, plain or gzipped.

    Raises:
        DataError: The file or a column is missing.
    """
    table = read_text_table(path)
    sex = "Patient Sex" if "Patient Sex" in table.columns else "Patient Gender"
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", sex, "View Position")
    entries: list[Entry] = []
    problems = []
    seen: dict[str, int] = {}
    for row, (image, labels, patient, age, gender, view) in enumerate(
        zip(*(table.column(name) for name in columns), strict=True)
    ):
        if (first := seen.setdefault(image, row)) != row:
            problems.append(f"{table.where(row)}: image {image!r} stands in {table.where(first)} already; keep one row")
        findings, unknown = _findings(labels)
        problems += [
            f"{table.where(row)}: finding {name!r} is unknown{nearest(name, (*FINDINGS, NO_FINDING))}"
            for name in unknown
        ]
        try:
            entries.append(Entry(inside(image), findings, patient, parse_age(age), gender, view))
        except DataError as error:
            problems.append(f"{table.where(row)}: {error}")
    return entries, problems


@cache  # 112,120 rows hold 836 texts
def _findings(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The findings of a row, and those of them that are unknown."""
    findings = frozenset(text.split("|")) - {NO_FINDING}
    return findings, tuple(sorted(findings.difference(FINDINGS)))


def read_boxes(path: Path) -> tuple[list[Shape], list[str], list[str]]:
    """Shapes, their places and the problems of a ``BBox_List`` file: 9 fields in the header, 6 in each row.

    "Infiltrate" is renamed to the label file's "Infiltration"; x, y, width, height become edges.
    """
    table = read_text_table(path)
    shapes: list[Shape] = []
    where, problems = [], []
    for row, (image, finding, *fields) in enumerate(table.rows):
        try:
            x, y, width, height = (float(field) for field in fields[:4])
        except ValueError:
            problems.append(f"{table.where(row)}: {fields[:4]} are not four numbers; expected x, y, width, height")
            continue
        name = _RENAMED.get(finding.strip(), finding.strip())
        shapes.append((image.strip(), name, "box", [x, y, x + width, y + height], FRAME))
        where.append(table.where(row))
    return shapes, where, problems


def read_lists(root: Path) -> tuple[Mapping[str, str], list[str]]:
    """Image name to published split, from the official lists below ``root``, and names that stand in both.

    ``train_val_list.txt`` is "train": NIH publishes no cut between training and validation.
    """
    split_of: dict[str, str] = {}
    problems = []
    for name, split in (("train_val_list.txt", "train"), ("test_list.txt", "test")):
        path = root / name
        for image in path.read_text(encoding="utf-8-sig").split() if path.is_file() else ():
            if split_of.setdefault(image, split) != split:
                problems.append(f"{name}: image {image!r} stands in train_val_list.txt as well; expected one list")
    return split_of, problems
