"""Is a file DICOM? Told without the library that reads its pixels, which takes a while to load."""

from __future__ import annotations

from pathlib import Path

DICOM_SUFFIXES = (".dcm", ".dicom")
_MARK, _MARK_AT = b"DICM", 128


def is_dicom(path: Path) -> bool:
    """Whether a file is named as DICOM (.dcm, .dicom) or bears its mark; False where it cannot be opened."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(_MARK_AT + len(_MARK))[_MARK_AT:] == _MARK
    except OSError:
        return False
