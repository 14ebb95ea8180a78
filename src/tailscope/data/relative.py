"""Names from files as paths that stay below their root."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tailscope.core.errors import DataError

_PLAIN = re.compile(r"\w[\w-]*(?:\.\w+)?")


def inside(name: str) -> str:
    r"""A name from a file as a relative path with forward slashes.

    Raises:
        DataError: The name is empty, absolute or climbs out of its root.

    Example:
        >>> inside("images\\001.png")
        'images/001.png'
    """
    if _PLAIN.fullmatch(name):
        return name  # what nearly all are, many times faster
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or not path.parts:
        raise DataError(f"path {name!r} must be relative and stay below the root; got one that is empty or leaves it")
    return path.as_posix()
