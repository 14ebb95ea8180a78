"""Pascal VOC's own files: one XML file per image, and lists of image names per split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LISTS = {"train": "train", "val": "val", "test": "test", "trainval": "train"}  # the last yields to the others


@dataclass(frozen=True)
class VocObject:
    """One object.

    Args:
        name: Its class.
        corners: xmin, ymin, xmax, ymax as written.
        difficult: Marked as hard to recognise.
        truncated: Marked as reaching beyond the image or behind another object.
    """

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool
    truncated: bool


@dataclass(frozen=True)
class VocImage:
    """One XML file.

    Args:
        file_name: The image's name as written, often that on another machine; empty where it is missing.
        size: Stated (height, width), or None.
        objects: With their place for messages.
        problems: What is wrong with other objects.
    """

    file_name: str
    size: Size | None
    objects: tuple[tuple[str, VocObject], ...]
    problems: tuple[str, ...]


def read_voc(path: Path, place: str) -> VocImage:
    """Read one XML file.

    Args:
        path: The file.
        place: Its name for messages.

    Raises:
        DataError: It is not XML with the root ``annotation``, or declares entities.
    """
    root = _parse(path, place)
    if root.tag != "annotation":
        raise DataError(f"{place} has the root <{root.tag}>; expected <annotation>, as in Pascal VOC")
    objects, problems = [], []
    for number, element in enumerate(root.findall("object"), 1):
        where = f"{place}, object {number}"
        try:
            objects.append((where, _object(element)))
        except DataError as error:
            problems.append(f"{where}: {error}")
    sides = [_side(root.findtext(f"size/{name}")) for name in ("height", "width")]
    size = (sides[0], sides[1]) if min(sides) > 0 else None
    return VocImage((root.findtext("filename") or "").strip(), size, tuple(objects), tuple(problems))


def read_image_sets(folder: Path, known: frozenset[str]) -> tuple[Mapping[str, str], int, list[str]]:
    """Image name to split, how many listed names have no annotations, and names that stand in two splits.

    Reads ``train.txt``, ``val.txt``, ``test.txt`` and, for names in none of these, ``trainval.txt``, which is "train".
    The lists per class, such as ``cat_train.txt``, say nothing that the objects do not say.

    Args:
        folder: ``ImageSets/Main``; it may be missing.
        known: Names of the annotated images.
    """
    split_of: dict[str, str] = {}
    strangers: set[str] = set()
    problems = []
    for stem, split in _LISTS.items():
        path = folder / f"{stem}.txt"
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []
        for line in filter(None, map(str.strip, lines)):
            name = line if line in known else line.split()[0]
            if name not in known:
                strangers.add(name)
            elif stem == "trainval":
                split_of.setdefault(name, split)
            elif split_of.setdefault(name, split) != split:
                problems.append(f"{path.name}: {name!r} stands in {split_of[name]}.txt as well; expected one list")
    return split_of, len(strangers), problems


def _parse(path: Path, place: str) -> Element:
    """The tree of an XML file that declares no document type, so that no entity is ever expanded or fetched."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> NoReturn:
        raise DataError(f"{place} declares a document type; expected plain XML: remove <!DOCTYPE …>")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise DataError(f"{place} is not XML ({error}); export it again") from None
    return builder.close()


def _object(element: Element) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError("has no <name>; expected its class")
    texts = [(element.findtext(f"bndbox/{corner}") or "").strip() for corner in _CORNERS]
    try:
        xmin, ymin, xmax, ymax = (float(text) for text in texts)
    except ValueError:
        shown = ", ".join(f"{corner} {text!r}" for corner, text in zip(_CORNERS, texts, strict=True))
        raise DataError(f"<bndbox> needs the numbers {', '.join(_CORNERS)}; got {shown}") from None
    return VocObject(name, (xmin, ymin, xmax, ymax), _is_set(element, "difficult"), _is_set(element, "truncated"))


def _is_set(element: Element, name: str) -> bool:
    return (element.findtext(name) or "").strip().lower() in ("1", "true")


def _side(text: str | None) -> int:
    """A side in pixels; 0 where none is stated, as some tools write it."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
