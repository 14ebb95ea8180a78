"""Read a published JSON file, or say in one sentence why it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from tailscope.core.errors import DataError

Kind = TypeVar("Kind")


def load_json(path: Path, *, remedy: str = "restore the published file", name: str | None = None) -> Any:
    """What a JSON file holds; UTF-8 with or without byte-order mark.

    Args:
        path: The file.
        remedy: How the error ends.
        name: What it calls the file; None: by its name.

    Raises:
        DataError: The file cannot be opened, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: of decoding as well as of JSON
        raise DataError(f"{name or path.name} is not JSON ({error}); {remedy}") from None


def load_json_of(kind: type[Kind], path: Path, expected: str, *, remedy: str = "restore the published file") -> Kind:
    """As :func:`load_json`, where the file must hold a list or an object.

    Args:
        kind: ``list`` or ``dict``.
        path: The file.
        expected: What the file should hold, in words.
        remedy: How the error of a file that is no JSON ends.

    Raises:
        DataError: Also where it holds something else.
    """
    value = load_json(path, remedy=remedy)
    if not isinstance(value, kind):
        raise DataError(f"{path.name} holds a {type(value).__name__}; expected {expected}")
    return value
