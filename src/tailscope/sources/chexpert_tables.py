"""CheXpert's own tables: one row per view, labels of its study, ids in the path."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tailscope.core.errors import DataError
from tailscope.data.files import inside
from tailscope.data.tables import STATE_OF
from tailscope.data.text_tables import TextTable

CLASSES = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_PATH = re.compile(r"(?P<study>(?P<patient>patient[^/]+)/study[^/]+)/[^/]+$")
_SEX = {"Male": "M", "Female": "F"}


@dataclass(frozen=True)
class View:
    """One row.

    Args:
        path: As listed.
        image_id: The path's tail, ``patient…/study…/view….jpg``, the same under every prefix.
        patient: ``patient…``.
        study: ``patient…/study…``.
        split: The published split.
        states: One label state per class.
        is_frontal: From the column "Frontal/Lateral", or else from the file's name.
        projection: AP, PA, LL, RL, or "lateral"; None where nothing is said.
        age_years: NaN for 0, which stands for missing; 90 stands for 90 and more.
        sex: M, F or None.
    """

    path: str
    image_id: str
    patient: str
    study: str
    split: str
    states: tuple[str, ...]
    is_frontal: bool
    projection: str | None
    age_years: float
    sex: str | None


def read_views(table: TextTable, split: str) -> tuple[list[View], list[str]]:
    """The rows of a table, and what is wrong with them.

    Raises:
        DataError: A column is missing.
    """
    cells = list(zip(*(table.column(name) for name in CLASSES), strict=True))
    facts = list(zip(*(_optional(table, name) for name in ("Frontal/Lateral", "AP/PA", "Age", "Sex")), strict=True))
    views: list[View] = []
    problems = []
    for row, path in enumerate(table.column("Path")):
        try:
            views.append(_view(path, cells[row], facts[row], split))
        except DataError as error:
            problems.append(f"{table.where(row)}: {error}")
    return views, problems


def _view(path: str, cells: tuple[str, ...], facts: tuple[str, ...], split: str) -> View:
    side, projection, age, sex = facts
    match = _PATH.search(path)
    if match is None:
        raise DataError(f"path {path!r} is not patient…/study…/view….jpg; correct it")
    if bad := sorted(set(cells) - set(STATE_OF)):
        raise DataError(f"label {bad[0]!r} is unknown; expected 1, 0, -1 or blank")
    is_frontal = (side or path.rpartition("_")[2]).lower().startswith("frontal")
    return View(
        path=inside(path),
        image_id=match[0],
        patient=match["patient"],
        study=match["study"],
        split=split,
        states=tuple(STATE_OF[cell] for cell in cells),
        is_frontal=is_frontal,
        projection=projection or (None if is_frontal else "lateral"),
        age_years=_age(age),
        sex=_SEX.get(sex),
    )


def _optional(table: TextTable, name: str) -> list[str]:
    return table.column(name) if name in table.columns else [""] * len(table)


def _age(text: str) -> float:
    try:
        years = float(text or "nan")
    except ValueError:
        raise DataError(f"age {text!r} is not a number; expected years") from None
    return years if years > 0 else math.nan
