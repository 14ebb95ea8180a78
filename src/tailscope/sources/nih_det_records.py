"""The records of ChestX-Det and ChestX-Det10: boxes, polygons and findings of radiologists on NIH images.

A record is ``{"file_name", "syms": [finding, …], "boxes": [[x0, y0, x1, y1], …], "polygons": [[[x, y], …], …]}``: three
parallel lists with one entry per instance, in the 1024 × 1024 frame. ChestX-Det10 has no polygons. The published names
are anonymous (``36199.png``); the first version of ChestX-Det10's lists, in the history of its repository, has NIH's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.json_files import load_json_of
from tailscope.data.tables import Shape
from tailscope.data.text_tables import read_text_table
from tailscope.data.validation import raise_problems, some
from tailscope.sources.nih_tables import FRAME

Drawn = Literal["polygons", "boxes"]
FINDINGS = (
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "Diffuse Nodule",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pleural Thickening",
    "Pneumothorax",
)
FINDINGS_10 = tuple(name for name in FINDINGS if name not in ("Cardiomegaly", "Diffuse Nodule", "Pleural Thickening"))
FILES = {
    "chestx_det": {"train": "ChestX_Det_train.json", "test": "ChestX_Det_test.json"},
    "chestx_det10": {"train": "train.json", "test": "test.json"},
}
_NIH_NAME = re.compile(r"(?P<patient>\d{8})_\d{3}\.png")
_FAR_PX = 3.0  # between a box and the bounds of its polygon; 52 of 9,639 published instances lie further apart


@dataclass(frozen=True)
class Instance:
    """One thing that was drawn.

    Args:
        finding: What it is.
        box: Edges x0, y0, x1, y1.
        ring: Points of its outline; None in ChestX-Det10.
    """

    finding: str
    box: tuple[float, ...]
    ring: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True)
class Record:
    """One image.

    Args:
        image: Its published name.
        split: ``train`` or ``test``.
        instances: What was drawn on it; none does not mean that it is normal.
        where: File and place of the record.
    """

    image: str
    split: str
    instances: tuple[Instance, ...]
    where: str


def is_record_file(path: Path) -> bool:
    """Whether a file begins like such a list; reads its first characters only."""
    try:
        with path.open(encoding="utf-8") as stream:
            head = stream.read(4096)
    except (OSError, UnicodeDecodeError):
        return False
    return head.lstrip().startswith("[") and '"file_name"' in head and '"syms"' in head


def read_records(folder: Path, version: str) -> tuple[list[Record], list[str]]:
    """The records of both lists in a folder, and what is wrong with them.

    Args:
        folder: Holds the two files.
        version: ``chestx_det`` or ``chestx_det10``.

    Raises:
        DataError: No list is there, or one is not a list of records.
    """
    records: list[Record] = []
    problems: list[str] = []
    paths = {split: folder / name for split, name in FILES[version].items() if (folder / name).is_file()}
    if not paths:
        raise DataError(f"{folder} holds neither {' nor '.join(FILES[version].values())}; expected the lists there")
    for split, path in paths.items():
        for number, value in enumerate(load_list(path), 1):
            try:
                records.append(_record(value, split, f"{path.name}, record {number}"))
            except DataError as error:
                problems += [f"{path.name}, record {number}: {problem}" for problem in error.problems]
    first: dict[str, str] = {}
    problems += [
        f"{record.where}: image {record.image!r} stands in {first[record.image]} already; keep one record"
        for record in records
        if first.setdefault(record.image, record.where) != record.where
    ]
    return records, problems


def load_list(path: Path) -> list[Any]:
    """The JSON list of a file.

    Raises:
        DataError: It is no JSON, or no list.
    """
    return load_json_of(list, path, "a list of records")


def _record(value: Any, split: str, where: str) -> Record:
    if not isinstance(value, dict) or not {"file_name", "syms", "boxes"} <= set(value):
        raise DataError("expected an object with `file_name`, `syms` and `boxes`; restore the published file")
    names, boxes = value["syms"], value["boxes"]
    rings = value.get("polygons", [None] * len(names))
    if not len(names) == len(boxes) == len(rings):
        raise DataError(
            f"{len(names)} findings, {len(boxes)} boxes and {len(rings)} polygons; expected one of each per instance"
        )
    problems = [f"finding {name!r} is unknown{nearest(str(name), FINDINGS)}" for name in names if name not in FINDINGS]
    raise_problems(problems)
    try:
        instances = tuple(_instance(*parts) for parts in zip(names, boxes, rings, strict=True))
    except (TypeError, ValueError):
        raise DataError("a box is not four numbers, or a polygon no list of points; restore the file") from None
    return Record(str(value["file_name"]), split, instances, where)


def _instance(name: str, box: Sequence[float], ring: Sequence[Sequence[float]] | None) -> Instance:
    x0, y0, x1, y1 = (float(number) for number in box)
    points = None if ring is None else tuple((float(x), float(y)) for x, y in ring)
    return Instance(name, (x0, y0, x1, y1), points)


def shape_of(image_id: str, name: str, instance: Instance, drawn: Drawn) -> Shape:
    """An instance as one shape: its polygon where asked for and published, else its box; never both.

    >>> instance = Instance("Mass", (1, 2, 5, 6), ((1, 2), (5, 2), (5, 6)))
    >>> shape_of("a.png", "Mass", instance, "boxes")
    ('a.png', 'Mass', 'box', [1, 2, 5, 6], (1024, 1024))
    """
    if drawn == "polygons" and instance.ring is not None and len(instance.ring) >= 3:
        return image_id, name, "polygon", [[list(point) for point in instance.ring]], FRAME
    return image_id, name, "box", list(instance.box), FRAME


def far_apart(records: Sequence[Record]) -> int:
    """How many instances have a box and a polygon whose bounds differ by more than 3 pixels."""
    count = 0
    for instance in (instance for record in records for instance in record.instances):
        if instance.ring:
            xs, ys = zip(*instance.ring, strict=True)
            bounds = (min(xs), min(ys), max(xs), max(ys))
            count += max(abs(one - other) for one, other in zip(instance.box, bounds, strict=True)) > _FAR_PX
    return count


def read_names(path: Path) -> dict[str, str]:
    """Published name to NIH's name, from a JSON object or from a table with these two columns.

    Raises:
        DataError: The file is neither, or a name is not NIH's.
    """
    if path.suffix.lower() == ".json":
        names = load_json_of(dict, path, "an object of names", remedy="expected an object of names")
    else:
        table = read_text_table(path)
        if len(table.columns) < 2:
            raise DataError(f"{path.name} has one column; expected the published name and NIH's name")
        names = {row[0].strip(): row[1].strip() for row in table.rows}
    wrong = [str(name) for name in names.values() if not _NIH_NAME.fullmatch(str(name))]
    if wrong:
        raise DataError(
            f"{path.name}: {len(wrong)} names are not NIH's: {some(wrong)}; expected the published name "
            "first and a name like 00000003_003.png second"
        )
    return names


def recovered_names(first: Sequence[Any], renamed: Sequence[Any]) -> dict[str, str]:
    """Published name to NIH's name, from the first version of a ChestX-Det10 list and the published one.

    Both stand in the history of the published repository; the renaming kept order and content.

    Args:
        first: The records of the first version.
        renamed: Those of the published version.

    Raises:
        DataError: The two do not hold the same findings and boxes in the same order.

    Example:
        >>> first = [{"file_name": "00000003_003.png", "syms": [], "boxes": []}]
        >>> recovered_names(first, [{"file_name": "36199.png", "syms": [], "boxes": []}])
        {'36199.png': '00000003_003.png'}
    """
    if len(first) != len(renamed):
        raise DataError(
            f"the first version has {len(first)} records, the published one {len(renamed)}; expected as many"
        )
    differing = [
        str(place)
        for place, (old, new) in enumerate(zip(first, renamed, strict=True), 1)
        if (old["syms"], old["boxes"]) != (new["syms"], new["boxes"])
    ]
    if differing:
        raise DataError(f"records {some(differing)} differ in findings or boxes; expected two versions of one list")
    return {new["file_name"]: old["file_name"] for old, new in zip(first, renamed, strict=True)}


def patient_of(nih_name: str | None) -> str | None:
    """The patient that an NIH name holds, as the label file writes it, without zeros in front.

    >>> patient_of("00000003_003.png"), patient_of("36199.png"), patient_of(None)
    ('3', None, None)
    """
    match = _NIH_NAME.fullmatch(nih_name or "")
    return str(int(match["patient"])) if match else None
