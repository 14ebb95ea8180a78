"""The table of covid-chestxray-dataset, under its early and its late header, and findings that are paths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.ages import parse_age
from tailscope.data.files import inside
from tailscope.data.text_tables import TextTable

NO_FINDING = "No Finding"
UNLABELLED = ("", "todo", "unknown")
_SLICES = ("axial", "coronal")
_VIEW_OF = {"ap supine": "AP supine", "aps": "AP supine", "l": "lateral"}
_SEX = {"m": "M", "f": "F"}


@dataclass(frozen=True)
class Row:
    """One image.

    Args:
        image: File name.
        patient: As published; blank where not told.
        finding: The names on the path, general first, such as Pneumonia, Viral, COVID-19; empty where not labelled.
        age_years: NaN where missing.
        sex: M, F or blank.
        view: PA, AP, "AP supine", "lateral" or as published.
        licence: Of this image, as published; blank where not told.
        is_radiograph: Not a slice or a volume of computed tomography.
        where: File and line.
    """

    image: str
    patient: str
    finding: tuple[str, ...]
    age_years: float
    sex: str
    view: str
    licence: str
    is_radiograph: bool
    where: str


def has_header(columns: tuple[str, ...]) -> bool:
    """Whether a header is one of this table's."""
    return {"patientid", "offset", "finding", "view", "filename"} <= {name.lower() for name in columns}


def variant(columns: tuple[str, ...]) -> str:
    """``early`` (until March 2020) or ``late``, by the column ``modality``."""
    return "late header" if "modality" in {name.lower() for name in columns} else "early header"


def read_rows(table: TextTable) -> tuple[list[Row], list[str]]:
    """The rows, and what is wrong with them.

    Raises:
        DataError: A column that both headers have is missing.
    """
    names = [name.lower() for name in table.columns]  # "Patientid" early, "patientid" late
    for needed in ("patientid", "finding", "view", "filename"):
        if needed not in names:
            raise DataError(f"{table.name} has no column {needed!r}{nearest(needed, tuple(filter(None, names)))}")
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for place, cells in enumerate(table.rows):
        values = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        try:
            row = _row(values, table.where(place))
        except DataError as error:
            problems.append(f"{table.where(place)}: {error}")
            continue
        if seen.setdefault(row.image, row.where) != row.where:
            problems.append(f"{row.where}: image {row.image!r} stands in {seen[row.image]} already; keep one row")
            continue
        rows.append(row)
    return rows, problems


def _row(values: Mapping[str, str], where: str) -> Row:
    view, age = values["view"], values.get("age", "")
    tomography = values.get("modality", "X-ray").lower() not in ("x-ray", "")
    return Row(
        image=inside(values["filename"]),
        patient=values["patientid"],
        finding=parse_finding(values["finding"]),
        age_years=math.nan if age.lower() == "nan" else parse_age(age),
        sex=_SEX.get(values.get("sex", "").lower(), ""),
        view=_VIEW_OF.get(view.lower(), view),
        licence=values.get("license", ""),
        is_radiograph=not tomography and view.lower() not in _SLICES and values.get("folder", "images") != "volumes",
        where=where,
    )


def parse_finding(text: str) -> tuple[str, ...]:
    """The names of a finding, general first; empty for a blank, "todo" and "Unknown".

    Early files list names with commas in place of a path.

    Example:
        >>> parse_finding("Pneumonia/Viral/COVID-19"), parse_finding("COVID-19, ARDS"), parse_finding("todo")
        (('Pneumonia', 'Viral', 'COVID-19'), ('COVID-19', 'ARDS'), ())
    """
    names = [name.strip() for part in text.split("/") for name in part.split(",")]
    return tuple(name for name in names if name.lower() not in UNLABELLED)
