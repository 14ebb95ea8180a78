"""PadChest's own table: one row per image, findings as the text of a Python list."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tailscope.core.errors import DataError
from tailscope.data.files import inside
from tailscope.data.text_tables import TextTable

EXCLUDED = "exclude"
NOT_FINDINGS = ("normal", EXCLUDED, "suboptimal study", "unchanged")  # what the lists say beside findings
VIEW_OF = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP supine", "L": "lateral", "COSTAL": "costal"}
FRONTAL = ("PA", "AP", "AP_horizontal")
_OLDEST_YEARS = 120
BROKEN = frozenset(
    f"{stem}.png"  # 11 absent from the archives, 10 truncated; source: torchxrayvision, datasets.py, class PC_Dataset
    for stem in (
        "216840111366964012283393834152009033102258826_00-059-087",
        "216840111366964012339356563862009072111404053_00-043-192",
        "216840111366964012373310883942009117084022290_00-064-025",
        "216840111366964012373310883942009152114636712_00-102-045",
        "216840111366964012373310883942009170084120009_00-097-074",
        "216840111366964012487858717522009280135853083_00-075-001",
        "216840111366964012558082906712009327122220177_00-102-064",
        "216840111366964012819207061112010281134410801_00-129-131",
        "216840111366964012819207061112010306085429121_04-020-102",
        "216840111366964012819207061112010307142602253_04-014-084",
        "216840111366964012819207061112010315104455352_04-024-184",
        "216840111366964012959786098432011033083840143_00-176-115",
        "216840111366964012989926673512011074122523403_00-163-058",
        "216840111366964012989926673512011083134050913_00-168-009",
        "216840111366964012989926673512011151082430686_00-157-045",
        "216840111366964013076187734852011291090445391_00-196-188",
        "216840111366964013590140476722013043111952381_02-065-198",
        "216840111366964013590140476722013058110301622_02-056-111",
        "216840111366964013686042548532013208193054515_02-026-007",
        "216840111366964013829543166512013353113303615_02-092-190",
        "216840111366964013962490064942014134093945580_01-178-104",
    )
)


@dataclass(frozen=True)
class Row:
    """One image.

    Args:
        image: File name.
        patient: As published.
        terms: What its report names, findings and others; None where the cell is blank.
        projection: PA, AP, AP_horizontal, L, COSTAL, EXCLUDE or blank.
        age_years: Year of the study minus year of birth; NaN where one is missing or they make no age.
        sex: M, F or blank.
        is_inverted: The file stores black as the highest value.
        reader: Who labelled: ``Physician``, or ``RNN_model``, which was trained on the physicians' labels.
        where: File and line.
    """

    image: str
    patient: str
    terms: frozenset[str] | None
    projection: str
    age_years: float
    sex: str
    is_inverted: bool
    reader: str
    where: str

    @property
    def findings(self) -> frozenset[str]:
        """The terms that are findings."""
        return (self.terms or frozenset()).difference(NOT_FINDINGS)

    @property
    def is_excluded(self) -> bool:
        """Whether the publishers call the image unusable."""
        return self.projection == "EXCLUDE" or EXCLUDED in (self.terms or ())


def read_rows(table: TextTable) -> tuple[list[Row], list[str]]:
    """The rows of the table, and what is wrong with them.

    Raises:
        DataError: A column is missing.
    """
    names = ("ImageID", "PatientID", "Labels", "Projection", "StudyDate_DICOM", "PatientBirth", "PatientSex_DICOM")
    more = ("PhotometricInterpretation_DICOM", "MethodLabel")
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for place, cells in enumerate(zip(*(table.column(name) for name in (*names, *more)), strict=True)):
        try:
            row = _row(cells, table.where(place))
        except DataError as error:
            problems.append(f"{table.where(place)}: {error}")
            continue
        if seen.setdefault(row.image, table.lines[place]) != table.lines[place]:
            problems.append(f"{row.where}: image {row.image!r} stands in line {seen[row.image]} already; keep one row")
            continue
        rows.append(row)
    return rows, problems


def _row(cells: Sequence[str], where: str) -> Row:
    image, patient, labels, projection, date, birth, sex, photometric, method = cells
    return Row(
        image=inside(image),
        patient=patient,
        terms=parse_terms(labels),
        projection=projection,
        age_years=_age(date, birth),
        sex=sex if sex in ("M", "F") else "",
        is_inverted=photometric.upper() == "MONOCHROME1",
        reader=method or "report",
        where=where,
    )


def parse_terms(text: str) -> frozenset[str] | None:
    """The terms of a list literal, outer blanks and empty ones removed; None for a blank cell.

    Raises:
        DataError: The text is no list of texts.

    Example:
        >>> sorted(parse_terms("['cardiomegaly', ' pleural effusion', '']"))
        ['cardiomegaly', 'pleural effusion']
        >>> parse_terms("") is None, parse_terms("nan") is None
        (True, True)
    """
    if text.strip().lower() in ("", "nan"):
        return None
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        raise DataError(f"labels {text[:60]!r} are no list such as ['cardiomegaly', 'pleural effusion']; correct them")
    return frozenset(term.strip() for term in value) - {""}


def _age(date: str, birth: str) -> float:
    try:
        years = int(float(date[:4])) - int(float(birth))
    except (ValueError, OverflowError):
        return math.nan
    return float(years) if 0 <= years <= _OLDEST_YEARS else math.nan
