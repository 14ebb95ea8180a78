"""Age, sex and view of a DICOM image, for sets that publish them nowhere else; read only where a user asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tailscope.core.errors import DataError
from tailscope.data.ages import parse_age
from tailscope.data.dicom_mark import DICOM_SUFFIXES
from tailscope.data.validation import raise_problems, some

_ELEMENTS = ("PatientAge", "PatientSex", "ViewPosition")


class Facts(NamedTuple):
    """What the header says.

    Args:
        age_years: NaN where it is blank, unreadable or above 120.
        sex: M or F, else None.
        view: As written, such as AP or PA; None where blank.
    """

    age_years: float
    sex: str | None
    view: str | None


def read_facts(path: Path) -> Facts:
    """Read these three elements, and no other.

    Raises:
        DataError: The file is missing or no DICOM.
    """
    from tailscope.data.dicom import header_texts  # pydicom takes half a second to load, so where it is needed

    age, sex, view = header_texts(path, _ELEMENTS)
    return Facts(_years(age), sex if sex in ("M", "F") else None, view or None)


def fact_columns(root: Path, paths: Sequence[str]) -> dict[str, list[object]]:
    """The columns ``age``, ``sex`` and ``view`` of a table of images, one value per path below ``root``.

    Raises:
        DataError: Files are no DICOM or cannot be read; all at once.
    """
    if other := [path for path in paths if not path.lower().endswith(DICOM_SUFFIXES)]:
        raise DataError(f"`headers` needs DICOM files; got {some(other)}: leave `headers` out for converted images")
    facts, problems = [], []
    for path in paths:
        try:
            facts.append(read_facts(root / path))
        except DataError as error:
            problems.append(str(error))
    raise_problems(problems)
    return {
        "age": [fact.age_years for fact in facts],
        "sex": [fact.sex for fact in facts],
        "view": [fact.view for fact in facts],
    }


def _years(text: str) -> float:
    try:
        return parse_age(text)
    except DataError:
        return math.nan
