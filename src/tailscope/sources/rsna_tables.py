"""RSNA's own tables: rows are boxes or images without any, ``patientId`` names an image, one class row per box."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.json_files import load_json
from tailscope.data.tables import Shape
from tailscope.data.text_tables import TextTable, read_text_table

OPACITY, NOT_NORMAL, NORMAL = "Lung Opacity", "No Lung Opacity / Not Normal", "Normal"
CLASSES = (OPACITY, NOT_NORMAL, NORMAL)
FRAME = (1024, 1024)  # height, width of every published image, which all boxes refer to
LABEL_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
_NIH_NAME = re.compile(r"(\d{8})_\d{3}(\.png)?")
_IMAGE_KEYS = ("subset_img_id", "patientId")
_DOUBTFUL_MSE = 10.0  # the cut-off of those who matched the pixels: 98 of 26,684 matches lie above


def read_targets(table: TextTable) -> tuple[dict[str, bool], list[Shape], list[str], list[str]]:
    """Image to whether it shows an opacity, the boxes, the place of each, and what is wrong with rows.

    x, y is the top left corner, in pixels; x, y, width, height become edges. A row with blanks and Target 0 is an image
    without a box.

    Raises:
        DataError: A column is missing.
    """
    cells = zip(*(table.column(name) for name in LABEL_COLUMNS), strict=True)
    targets: dict[str, bool] = {}
    shapes: list[Shape] = []
    where, problems = [], []
    for row, (image, *fields, target) in enumerate(cells):
        try:
            box = _box(fields, target)
        except DataError as error:
            problems.append(f"{table.where(row)}: {error}")
            continue
        if targets.setdefault(image, box is not None) != (box is not None):
            problems.append(f"{table.where(row)}: image {image!r} has Target 0 and 1; expected one of them: correct it")
        if box is not None:
            shapes.append((image, OPACITY, "box", box, FRAME))
            where.append(table.where(row))
    return targets, shapes, where, problems


def read_detailed(table: TextTable, targets: Mapping[str, bool]) -> tuple[dict[str, str], list[str]]:
    """Image to its detailed class, one row per box collapsed, and where rows contradict each other or the targets.

    Raises:
        DataError: A column is missing.
    """
    detailed: dict[str, str] = {}
    problems = []
    for row, (image, name) in enumerate(zip(table.column("patientId"), table.column("class"), strict=True)):
        if name not in CLASSES:
            problems.append(f"{table.where(row)}: class {name!r} is unknown{nearest(name, CLASSES)}")
        elif detailed.setdefault(image, name) != name:
            problems.append(f"{table.where(row)}: image {image!r} is {detailed[image]!r} as well; expected one class")
    for image, target in targets.items():
        name = detailed.get(image, "without a class")
        if target != (name == OPACITY) or image not in detailed:
            problems.append(f"image {image!r} has Target {int(target)} and is {name!r} in {table.name}; correct one")
    return detailed, problems


def read_nih_patients(path: Path) -> tuple[dict[str, str], int]:
    """Image to the patient of the NIH ChestX-ray14 image that it copies, and how many doubtful matches were left out.

    Args:
        path: RSNA's ``pneumonia-challenge-dataset-mappings_2018.json``, or a table; records with ``subset_img_id`` or
            ``patientId``, and, under any name, NIH's file name. A match of pixels with an ``mse`` above 10 is doubtful.

    Returns:
        Patients as NIH's label file writes them, without zero padding.

    Raises:
        DataError: The file holds no such record.
    """
    patients: dict[str, str] = {}
    doubtful = 0
    for record in _records(path):
        image = next((record[key] for key in _IMAGE_KEYS if record.get(key)), "")
        found = next(filter(None, map(_NIH_NAME.fullmatch, record.values())), None)
        if _mse(record) > _DOUBTFUL_MSE:
            doubtful += 1
        elif image and found:
            patients[image] = str(int(found[1]))
    if not patients:
        raise DataError(
            f"{path.name} maps no image; expected records with {' or '.join(_IMAGE_KEYS)} and NIH's file name, "
            "such as 00000003_000.png"
        )
    return patients, doubtful


def _box(fields: list[str], target: str) -> list[float] | None:
    if target not in ("0", "1", "0.0", "1.0"):
        raise DataError(f"Target {target!r} is unknown; expected 0 or 1")
    is_opacity = target.startswith("1")
    if not any(fields) or fields == ["nan"] * 4:
        if is_opacity:
            raise DataError("Target is 1 and the box is blank; expected x, y, width, height: restore them")
        return None
    if not is_opacity:
        raise DataError(f"Target is 0 beside the box {', '.join(fields)}; expected blanks: correct one of them")
    try:
        x, y, width, height = (float(field) for field in fields)
    except ValueError:
        raise DataError(f"box {', '.join(fields)} is not four numbers; expected x, y, width, height") from None
    return [x, y, x + width, y + height]


def _records(path: Path) -> Iterable[dict[str, str]]:
    if path.suffix.lower() != ".json":
        table = read_text_table(path)
        return (dict(zip(table.columns, map(str.strip, row), strict=True)) for row in table.rows)
    return _texts(load_json(path, remedy="expected RSNA's mapping: download it again"))


def _texts(document: object) -> Iterator[dict[str, str]]:
    for record in document if isinstance(document, list) else ():
        if isinstance(record, dict):
            yield {str(key): str(value) for key, value in record.items()}


def _mse(record: Mapping[str, str]) -> float:
    try:
        return float(record.get("mse") or 0)
    except ValueError:
        return math.inf
