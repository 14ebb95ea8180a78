"""YOLO's label files: where that of an image lies, and what its lines draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size

NOT_LABELS = ("classes.txt", "notes.txt", "readme.txt", "predefined_classes.txt", "requirements.txt")


@dataclass(frozen=True)
class YoloShape:
    """One line of a label file.

    Args:
        number: The class's number.
        kind: ``box`` or ``polygon``.
        geometry: Canonical, in pixels of the image.
        scored: Whether a confidence stands beside it.
    """

    number: int
    kind: str
    geometry: Any
    scored: bool


def label_file(image: str) -> str:
    """Where the labels of an image lie: in ``labels`` for the last ``images`` of its path, else beside it.

    >>> label_file("train/images/a.jpg"), label_file("images/val/a.jpg"), label_file("obj_train_data/a.jpg")
    ('train/labels/a.txt', 'labels/val/a.txt', 'obj_train_data/a.txt')
    """
    path = PurePosixPath(image)
    parts = list(path.parent.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return "/".join([*parts, f"{path.stem}.txt"])


def label_files(root: Path) -> Iterator[str]:
    """Every text file in or below a folder ``labels`` that may hold labels, relative to the root."""
    for path in root.rglob("*.txt"):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if "labels" in relative.parts[:-1] and path.name.lower() not in NOT_LABELS and not hidden:
            yield relative.as_posix()


def read_labels(path: Path, place: str, size: Size) -> tuple[list[tuple[str, YoloShape]], list[str]]:
    """The shapes of a label file with their place for messages, and the problems of the other lines.

    Args:
        path: The file.
        place: Its name for messages.
        size: (height, width) of the image.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{place} is not text ({error}); write it again"]
    shapes, problems = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                shapes.append((f"{place}, line {number}", parse_line(line, size)))
            except DataError as error:
                problems.append(f"{place}, line {number}: {error}")
    return shapes, problems


def parse_line(line: str, size: Size) -> YoloShape:
    """A box of 5 numbers, ``class x y width height`` about its centre, or a polygon of 7 or more, ``class x y x y …``.

    A sixth number is the confidence of whoever predicted the box.

    Args:
        line: Coordinates are shares of the image's sides.
        size: (height, width) of the image.

    Raises:
        DataError: It is neither.

    Example:
        >>> parse_line("3 0.5 0.5 0.5 1", (10, 20))
        YoloShape(number=3, kind='box', geometry=[5.0, 0.0, 15.0, 10.0], scored=False)
        >>> parse_line("0 0 0 1 0 1 1", (10, 20)).geometry
        [[[0.0, 0.0], [20.0, 0.0], [20.0, 10.0]]]
    """
    fields = line.split()
    try:
        first, *shares = (float(field) for field in fields)
        if not all(map(math.isfinite, shares)) or not first.is_integer():
            raise ValueError
    except ValueError:
        raise DataError(f"{line.strip()[:60]!r} must be a whole number and shares of the image's sides") from None
    height, width = size
    if len(fields) in (5, 6):
        x, y, across, down = shares[:4]
        edges = [
            (x - across / 2) * width,
            (y - down / 2) * height,
            (x + across / 2) * width,
            (y + down / 2) * height,
        ]
        return YoloShape(int(first), "box", edges, len(fields) == 6)
    if len(fields) >= 7 and len(fields) % 2:
        ring = [[x * width, y * height] for x, y in zip(shares[::2], shares[1::2], strict=True)]
        return YoloShape(int(first), "polygon", [ring], scored=False)
    raise DataError(f"{len(fields)} numbers; expected 5 for a box, 6 with its confidence, or 7, 9, 11 … for a polygon")
