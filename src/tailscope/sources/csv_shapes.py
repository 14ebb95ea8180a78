"""The optional annotation table of the ``csv`` source: boxes, points or mask files, one row per shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.files import inside
from tailscope.data.readers import MAJORITY, UNION
from tailscope.data.tables import ANY_SIZE, Shape
from tailscope.data.text_tables import TextTable
from tailscope.sources.binary_masks import read_binary_mask

BoxFormat = Literal["xyxy", "xywh"]
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "mask": ("mask_file",),
    "xyxy": ("x0", "y0", "x1", "y1"),
    "xywh": ("x", "y", "width", "height"),
    "point": ("x", "y"),
}


@dataclass(frozen=True)
class ShapeReader:
    """Reads shapes from a table with the columns ``image``, ``class``, those of one kind of shape, perhaps ``reader``.

    Args:
        root: Mask files are named relative to it.
        size_of: Image id to the (height, width) that the numbers refer to; None where the image is unknown.
        box_format: As declared, or None to tell it from the columns.
        point_radius_px: Radius of the disc that stands for a point.
    """

    root: Path
    size_of: Callable[[str], Size | None]
    box_format: BoxFormat | None
    point_radius_px: float | None

    def read(self, table: TextTable, resolve: Callable[[str], str]) -> tuple[list[Shape], list[int], list[str]]:
        """Shapes, the row of each, and the problems of the rows that are none.

        Args:
            table: The annotation table.
            resolve: The table's image name to the image id.
        """
        kind = self._kind(table)
        images, classes = table.column("image"), table.column("class")
        fields = list(zip(*(table.column(name) for name in COLUMNS[kind]), strict=True))
        shapes: list[Shape] = []
        rows, problems = [], []
        for row, values in enumerate(fields):
            if not any(values):
                continue  # an image without a shape, as some tables list them
            image_id = resolve(images[row])
            try:
                shape, size = self._shape(kind, values, image_id)
            except DataError as error:
                problems.append(f"{table.where(row)}: {error}")
                continue
            shapes.append((image_id, classes[row], *shape, size))
            rows.append(row)
        return shapes, rows, problems

    def _kind(self, table: TextTable) -> str:
        present = [kind for kind, names in COLUMNS.items() if set(names) <= set(table.columns)]
        kind = self.box_format or (present[0] if present else None)
        if kind is None or kind not in present:
            wanted = " or ".join(f"`{', '.join(names)}`" for names in ([COLUMNS[kind]] if kind else COLUMNS.values()))
            raise DataError(f"{table.name} needs the columns {wanted}; it has {', '.join(table.columns)}")
        if kind == "point" and self.point_radius_px is None:
            raise DataError(
                f"{table.name} holds points; set `point_radius_px` to the radius of the disc they stand for"
            )
        return kind

    def _shape(self, kind: str, values: tuple[str, ...], image_id: str) -> tuple[tuple[str, Any], Size]:
        size = self.size_of(image_id)
        if kind == "mask":
            return self._mask(values[0], size)
        numbers = [_number(value) for value in values]
        if kind == "point":
            return ("disc", [*numbers, self.point_radius_px]), size or ANY_SIZE
        if kind == "xywh":
            x, y, width, height = numbers
            numbers = [x, y, x + width, y + height]
        return ("box", numbers), size or ANY_SIZE

    def _mask(self, name: str, size: Size | None) -> tuple[tuple[str, Any], Size]:
        rle, found = read_binary_mask(self.root, inside(name), size)
        return ("rle", rle), found


def shape_readers(table: TextTable, rows: Sequence[int]) -> tuple[list[str], list[str]]:
    """Who drew each of the rows, and the problems; ``table`` throughout where the table has no column ``reader``."""
    if "reader" not in table.columns:
        return ["table"] * len(rows), []
    cells = table.column("reader")
    readers = [cells[row] for row in rows]
    problems = [
        f"{table.where(row)}: reader must be a name other than union and majority; got {cells[row]!r}; say who drew it"
        for row in rows
        if cells[row] in ("", UNION, MAJORITY)
    ]
    return readers, problems


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"coordinate {text!r} is not a number; expected pixels")
    return number
