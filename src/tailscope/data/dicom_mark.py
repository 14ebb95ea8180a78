"""Is a file DICOM? Told without the library that reads its pixels, which takes a while to load."""

from __future__ import annotations

from pathlib import PurePath
from typing import IO

DICOM_SUFFIXES = (".dcm", ".dicom")
_MARK, _MARK_AT = b"DICM", 128


def is_named_dicom(path: PurePath) -> bool:
    """Whether a file is named as DICOM: .dcm or .dicom."""
    return path.suffix.lower() in DICOM_SUFFIXES


def bears_mark(stream: IO[bytes]) -> bool:
    """Whether a file bears DICOM's mark; it is read from its beginning, and stands there afterwards."""
    head = stream.read(_MARK_AT + len(_MARK))
    stream.seek(0)
    return head[_MARK_AT:] == _MARK
