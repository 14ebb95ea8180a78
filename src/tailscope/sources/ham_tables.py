"""The tables of HAM10000 and of ISIC 2018 task 3: one diagnosis per image, lesions, and who belongs to which part.

=====================================================  =========================================================
file                                                   columns
=====================================================  =========================================================
``HAM10000_metadata`` (also ``.csv``, ``.tab``)        lesion_id, image_id, dx, dx_type, age, sex, localization
``ISIC2018_Task3_{Training,Validation,Test}_…Truth``   image, MEL, NV, BCC, AKIEC, BKL, DF, VASC: one 1 per row; or
                                                       as above
``ISIC2018_Task3_Training_LesionGroupings.csv``        image, lesion_id
=====================================================  =========================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.ages import parse_age
from tailscope.data.files import inside
from tailscope.data.tables import STATE_OF
from tailscope.data.text_tables import TextTable, read_text_table

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
_METADATA = ("HAM10000_metadata", "HAM10000_metadata.csv", "HAM10000_metadata.tab")
_PARTS = {"Training": "train", "Validation": "val", "Test": "test"}
_SEX = {"male": "M", "female": "F"}


@dataclass(frozen=True)
class Image:
    """One image.

    Args:
        name: Its name without suffix, such as ``ISIC_0027419``.
        diagnosis: One of :data:`CLASSES`.
        lesion: Which lesion it shows; blank where that is not told.
        split: The part of ISIC 2018; None in HAM10000 alone, which has no split.
        age_years: NaN where missing; 0 is an age.
        sex: M, F or blank.
        site: Where on the body; blank where not told.
        where: File and line.
    """

    name: str
    diagnosis: str
    lesion: str
    split: str | None
    age_years: float
    sex: str
    site: str
    where: str


def find_tables(root: Path) -> dict[str, Path]:
    """The tables below a folder: ``metadata``, ``train``, ``val``, ``test``, ``lesions``, as far as they are there."""
    found = {"metadata": next((root / name for name in _METADATA if (root / name).is_file()), None)}
    for part, split in _PARTS.items():
        found[split] = _in_folder(root, f"ISIC2018_Task3_{part}_GroundTruth.csv")
    found["lesions"] = _in_folder(root, "ISIC2018_Task3_Training_LesionGroupings.csv")
    return {kind: path for kind, path in found.items() if path is not None}


def _in_folder(root: Path, name: str) -> Path | None:
    places = [root / name, *sorted(root.glob(f"*/{name}"))]
    return next((path for path in places if path.is_file()), None)


def read_images(tables: Mapping[str, Path]) -> tuple[list[Image], list[str]]:
    """The images of all tables, each once, and what is wrong.

    The training part of ISIC 2018 is HAM10000: an image of both is the same image, with the lesion from either.

    Raises:
        DataError: A table lacks a column.
    """
    lesion_of = _lesions(tables.get("lesions"))
    images: dict[str, Image] = {}
    problems: list[str] = []
    has_parts = bool(set(tables) & {"train", "val", "test"})
    for kind in ("metadata", "train", "val", "test"):
        if kind not in tables:
            continue
        table = read_text_table(tables[kind])
        split = ("train" if has_parts else None) if kind == "metadata" else kind
        for row in range(len(table)):
            try:
                image = _image(table, row, split)
            except DataError as error:
                problems.append(f"{table.where(row)}: {error}")
                continue
            image = replace(image, lesion=image.lesion or lesion_of.get(image.name, ""))
            wrong = _clash(images.get(image.name), image)
            problems += [wrong] if wrong else []
            images.setdefault(image.name, image)
    return list(images.values()), problems


def _clash(first: Image | None, second: Image) -> str | None:
    if first is None:
        return None
    if first.where.partition(",")[0] == second.where.partition(",")[0]:
        return f"{second.where}: image {second.name!r} stands in {first.where} already; keep one row"
    if (first.diagnosis, first.split) != (second.diagnosis, second.split):
        return (
            f"{second.where}: image {second.name!r} is {second.diagnosis} in {second.split}; {first.where} says "
            f"{first.diagnosis} in {first.split}: use the tables of one release"
        )
    return None


def _lesions(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    table = read_text_table(path)
    return dict(zip(table.column("image"), table.column("lesion_id"), strict=True))


def _image(table: TextTable, row: int, split: str | None) -> Image:
    cells = dict(zip(table.columns, (cell.strip() for cell in table.rows[row]), strict=True))
    if "dx" in cells:
        name, diagnosis = _cell(cells, "image_id", table), cells["dx"].lower()
    else:
        name, diagnosis = _cell(cells, "image", table), _one_hot(cells, table)
    if diagnosis not in CLASSES:
        raise DataError(f"diagnosis {diagnosis!r} is unknown{nearest(diagnosis, CLASSES)}")
    site = cells.get("localization", "")
    return Image(
        name=Path(inside(name)).name.removesuffix(".jpg"),
        diagnosis=diagnosis,
        lesion=cells.get("lesion_id", ""),
        split=split,
        age_years=parse_age(cells.get("age", "")) if cells.get("age", "").lower() != "nan" else math.nan,
        sex=_SEX.get(cells.get("sex", "").lower(), ""),
        site="" if site == "unknown" else site,
        where=table.where(row),
    )


def _cell(cells: Mapping[str, str], name: str, table: TextTable) -> str:
    if name not in cells:
        raise DataError(f"{table.name} has no column {name!r}{nearest(name, tuple(cells))}")
    return cells[name]


def _one_hot(cells: Mapping[str, str], table: TextTable) -> str:
    states = [STATE_OF.get(_cell(cells, name.upper(), table)) for name in CLASSES]
    if sorted(map(str, states)) != ["negative"] * (len(CLASSES) - 1) + ["positive"]:
        raise DataError("expected 1 under one diagnosis and 0 under the others; correct the row")
    return CLASSES[states.index("positive")]


def patient_note(images: Sequence[Image]) -> str:
    """What stands for the patient."""
    lesions = {image.lesion for image in images if image.lesion}
    alone = sum(not image.lesion for image in images)
    note = (
        f"no patient is published: the lesion stands in its place ({len(lesions)} lesions), so that no lesion is in "
        "two splits; one patient may have several"
    )
    return note + (f"; {alone} images have no lesion either and are their own clusters" if alone else "")
