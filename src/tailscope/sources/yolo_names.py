"""What stands around YOLO's label files: the names of the classes, and which images belong to which split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tailscope.core.errors import DataError

_NAME_FILES = ("classes.txt", "labels/classes.txt", "obj.names", "*.names", "data/*.names")
_SPLITS = ("train", "val", "test")
_LARGEST = 1 << 20  # bytes; a list of names is far smaller


@dataclass(frozen=True)
class YoloNames:
    """The file of names.

    Args:
        file: Its name, relative to the root.
        names: Class number to name.
        content: The whole of a ``data.yaml``; empty for a plain list.
    """

    file: str
    names: Mapping[int, str]
    content: Mapping[str, Any] = field(default_factory=dict)


def find_names(root: Path) -> YoloNames | None:
    """The first YAML file with ``names``, else a plain list of names; None if there is neither.

    Raises:
        DataError: The names are no names, or not as many as ``nc`` says.
    """
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda path: (path.stem != "data", path.name)):
        content = _mapping(path)
        if "names" in content:
            return YoloNames(path.name, _names(path.name, content), content)
    for pattern in _NAME_FILES:
        for path in sorted(root.glob(pattern)):
            lines = path.read_text(encoding="utf-8-sig").split("\n")
            names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
            return YoloNames(path.relative_to(root).as_posix(), _checked(path.name, names))
    return None


def stated_splits(root: Path, content: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str] | None]]:
    """What ``train``, ``val`` and ``test`` of a ``data.yaml`` name below the root.

    Yields:
        Split; path relative to the root; the image names of a list file, or None for a folder of images. Paths that
        do not exist below the root, as those on the machine of whoever trained, are passed over.
    """
    base = str(content.get("path") or "")
    for split in _SPLITS:
        values = content.get(split)
        for value in values if isinstance(values, list) else [values]:
            for place in (_below(value), _below(f"{base}/{value}")) if isinstance(value, str) else ():
                path = root / place
                if place and path.is_dir():
                    yield split, place, None
                    break
                if place.endswith(".txt") and path.is_file():
                    yield split, place, list(filter(None, map(str.strip, path.read_text("utf-8-sig").splitlines())))
                    break


def _below(value: str) -> str:
    """A path without what leads out of the root, as in ``../train/images``."""
    parts = PurePosixPath(value.replace("\\", "/")).parts
    return "/".join(part for part in parts if part not in ("..", ".", "/"))


def _mapping(path: Path) -> dict[str, Any]:
    """The content of a YAML file, empty if it is none or no mapping."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _names(file: str, content: Mapping[str, Any]) -> dict[int, str]:
    listed = content["names"]
    if content.get("kpt_shape"):
        raise DataError(f"{file} has `kpt_shape`: its labels are key points; expected boxes or polygons")
    named = dict(enumerate(listed)) if isinstance(listed, list) else listed
    if not isinstance(named, dict) or not all(isinstance(number, int) for number in named):
        raise DataError(f"{file}: `names` must be a list, or a mapping of numbers to names; got {listed!r:.60}")
    names = _checked(file, {number: str(name).strip() for number, name in named.items()})
    if content.get("nc") not in (None, len(names)):
        raise DataError(f"{file}: `nc` is {content['nc']!r}, and `names` has {len(names)}; expected the same number")
    return names


def _checked(file: str, names: dict[int, str]) -> dict[int, str]:
    if not names or len(set(names.values())) < len(names) or not all(names.values()):
        raise DataError(f"{file} must name every class once; got {', '.join(map(repr, names.values())) or 'none'}")
    return dict(sorted(names.items()))
