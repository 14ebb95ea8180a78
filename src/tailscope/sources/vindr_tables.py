"""VinDr-CXR's own tables: labels per reader in columns, boxes per reader in rows; PhysioNet's headers and Kaggle's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.text_tables import TextTable
from tailscope.sources.reader_votes import Votes

NO_FINDING = "No finding"
KAGGLE_CLASSES = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    NO_FINDING,
)
_PHYSIONET_ONLY = (
    "Clavicle fracture",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Rib fracture",
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    "Other disease",
)
PHYSIONET_CLASSES = (*sorted((*KAGGLE_CLASSES[:-1], *_PHYSIONET_ONLY)), NO_FINDING)
BOX_COLUMNS = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
_IMAGE, _READER = "image_id", "rad_id"
_CONSENSUS = "consensus"  # the test set: its readers agreed on one reading, and no rad_id is published
_RENAMED = {"Other diseases": "Other disease"}  # train and test tables of PhysioNet differ
_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True}


@dataclass
class Boxes:
    """What a table of boxes says.

    Args:
        rows: (image, class, [x0, y0, x1, y1], reader) per box.
        where: File and line per box.
        votes: What each reader named on each image; rows without a box count.
        problems: What is wrong with rows.
    """

    rows: list[tuple[str, str, list[float], str]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    votes: Votes = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_image_labels(table: TextTable) -> tuple[Votes, tuple[str, ...], list[str]]:
    """Votes of PhysioNet's ``image_labels_*.csv``, the classes of its header, and what is wrong with rows.

    Raises:
        DataError: A column is unknown.
    """
    columns = {_class(name): name for name in table.columns if name not in (_IMAGE, _READER, "")}
    if unknown := [name for name in columns if name not in PHYSIONET_CLASSES]:
        raise DataError(f"{table.name}: column {unknown[0]!r} is no finding{nearest(unknown[0], PHYSIONET_CLASSES)}")
    classes = tuple(name for name in PHYSIONET_CLASSES if name in columns)
    cells = zip(*(table.column(columns[name]) for name in classes), strict=True)
    votes: Votes = {}
    problems = []
    for row, (image, reader, values) in enumerate(zip(table.column(_IMAGE), _readers(table), cells, strict=True)):
        if bad := [value for value in values if value not in _FLAGS]:
            problems.append(f"{table.where(row)}: label {bad[0]!r} is unknown; expected 0 or 1")
            continue
        if reader in votes.setdefault(image, {}):
            problems.append(f"{table.where(row)}: {reader} has read image {image!r} already; keep one row")
        votes[image][reader] = frozenset(name for name, value in zip(classes, values, strict=True) if _FLAGS[value])
    return votes, classes, problems


def read_boxes(table: TextTable) -> Boxes:
    """Boxes of PhysioNet's ``annotations_*.csv`` or of Kaggle's ``train.csv``.

    Numbers are edges in pixels of the stored raster. Whether they are meant to include the last pixel is not published:
    one pixel at most.

    Raises:
        DataError: A column is missing.
    """
    boxes = Boxes()
    cells = zip(*(table.column(name) for name in BOX_COLUMNS), strict=True)
    for row, ((image, written, *numbers), reader) in enumerate(zip(cells, _readers(table), strict=True)):
        name = _class(written)
        if name not in PHYSIONET_CLASSES:
            boxes.problems.append(f"{table.where(row)}: class {written!r} is unknown{nearest(name, PHYSIONET_CLASSES)}")
            continue
        by_reader = boxes.votes.setdefault(image, {})
        by_reader[reader] = by_reader.get(reader, frozenset()) | {name}
        if not any(numbers):
            continue
        try:
            boxes.rows.append((image, name, [float(number) for number in numbers], reader))
            boxes.where.append(table.where(row))
        except ValueError:
            shown = ", ".join(numbers)
            boxes.problems.append(f"{table.where(row)}: box {shown} is not four numbers; expected edges or blanks")
    return boxes


def read_sizes(table: TextTable) -> dict[str, tuple[int, int]]:
    """Image to (height, width) before it was reduced, from a table ``image_id, dim0, dim1`` beside a reduced copy.

    Raises:
        DataError: A column is missing, or a cell is no number.
    """
    try:
        return {
            image: (int(float(height)), int(float(width)))
            for image, height, width in zip(*map(table.column, (_IMAGE, "dim0", "dim1")), strict=True)
        }
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{table.name} holds a size that is no number ({error}); expected pixels") from None


def unlabelled_boxes(boxes: Boxes, votes: Mapping[str, Mapping[str, frozenset[str]]]) -> int:
    """How many boxes name a finding that their reader did not tick."""
    return sum(name not in votes.get(image, {}).get(reader, frozenset()) for image, name, _, reader in boxes.rows)


def _readers(table: TextTable) -> list[str]:
    return table.column(_READER) if _READER in table.columns else [_CONSENSUS] * len(table)


def _class(name: str) -> str:
    return _RENAMED.get(name, name)
