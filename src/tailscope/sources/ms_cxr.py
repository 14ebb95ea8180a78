"""MS-CXR: boxes that radiologists drew around what a phrase of the report says, on images of MIMIC-CXR."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.tables import Shape
from tailscope.data.text_tables import TextTable
from tailscope.sources.mimic_tables import find_tables

_COLUMNS = ("dicom_id", "category_name", "x", "y", "w", "h", "image_width", "image_height")


@dataclass
class PhraseBoxes:
    """What the table says.

    Args:
        shapes: Boxes, each in the frame that its row declares: a JPEG of another size is scaled along.
        where: File and line per box.
        problems: What is wrong with rows.
    """

    shapes: list[Shape] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_phrase_boxes(root: Path) -> Path | None:
    """The latest ``MS_CXR_Local_Alignment_v*.csv`` in the folder or in one below it, or None."""
    return max(find_tables(root, "MS_CXR_Local_Alignment_v*"), default=None, key=lambda path: path.name)


def read_phrase_boxes(table: TextTable) -> PhraseBoxes:
    """One box per row; x, y is the top left corner, and x, y, w, h become edges.

    Raises:
        DataError: A column is missing.
    """
    boxes = PhraseBoxes()
    for row, (image, name, *numbers) in enumerate(zip(*map(table.column, _COLUMNS), strict=True)):
        try:
            edges, size = _box(numbers)
        except DataError as error:
            boxes.problems.append(f"{table.where(row)}: {error}")
            continue
        boxes.shapes.append((image, name, "box", edges, size))
        boxes.where.append(table.where(row))
    return boxes


def _box(numbers: list[str]) -> tuple[list[float], tuple[int, int]]:
    try:
        x, y, width, height, image_width, image_height = (float(number) for number in numbers)
    except ValueError:
        shown = ", ".join(numbers)
        raise DataError(f"{shown} are not six numbers; expected x, y, w, h, image_width, image_height") from None
    if not (image_width >= 1 and image_height >= 1):
        raise DataError(f"image size {numbers[4]} × {numbers[5]} is none; expected pixels, width × height")
    return [x, y, x + width, y + height], (int(image_height), int(image_width))
