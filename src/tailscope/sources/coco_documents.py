"""COCO instance files: found, recognised by their first and last letters, read, and checked entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.json_files import load_json
from tailscope.sources.split_words import split_of_path

# where COCO itself, Roboflow and others put them; the first place that holds any is taken
_USUAL = ("annotations/instances*.json", "*_annotations.coco.json", "*/_annotations.coco.json")
_OTHERS = ("annotations/*.json", "*.json")
_LISTS = ("images", "annotations", "categories")
_LOOKED_AT = 1 << 16  # bytes from either end: "images" stands first in COCO's own files, "categories" last


@dataclass(frozen=True)
class CocoImage:
    """One entry of ``images``.

    Args:
        name: ``file_name``.
        size: Stated (height, width), or None.
        values: The whole entry.
    """

    name: str
    size: Size | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class CocoDocument:
    """One instance file.

    Args:
        name: Path relative to the root, for messages.
        categories: Id to name, ascending by id.
        images: Id to entry.
        annotations: Entries whose image and category exist, with their place for messages.
        problems: What is wrong with the other entries.
    """

    name: str
    categories: Mapping[Any, str]
    images: Mapping[Any, CocoImage]
    annotations: tuple[tuple[str, Mapping[str, Any]], ...]
    problems: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The file's folder, relative to the root."""
        return Path(self.name).parent.as_posix()

    @property
    def split(self) -> str | None:
        """The split that the file's name or folder states."""
        return split_of_path(self.name)


def find_documents(root: Path, pattern: str | None = None) -> list[Path]:
    """The instance files of a folder, sorted; of a ``pattern`` relative to it, if one is given."""
    if pattern is not None:
        return sorted(path for path in root.glob(pattern) if path.is_file())
    for place in _USUAL:
        if found := sorted(path for path in root.glob(place) if path.is_file()):
            return found
    others = {path for place in _OTHERS for path in root.glob(place) if path.is_file()}
    return sorted(path for path in others if _looks_like_instances(path))


def read_document(root: Path, path: Path) -> CocoDocument:
    """Read one file.

    Raises:
        DataError: It is not JSON with the lists ``images``, ``annotations`` and ``categories``.
    """
    name = path.relative_to(root).as_posix()
    content = load_json(path, remedy="download or export it again", name=name)
    if not isinstance(content, dict) or not all(isinstance(content.get(one), list) for one in _LISTS):
        raise DataError(f"{name} needs the lists {', '.join(_LISTS)}, as COCO's instance files have")
    return _Reading(name, content).document()


@dataclass
class _Reading:
    name: str
    content: Mapping[str, list[Any]]
    problems: list[str] = field(default_factory=list)

    def document(self) -> CocoDocument:
        categories = self._categories()
        images = self._images()
        annotations = tuple(self._annotations(images, categories))
        return CocoDocument(self.name, categories, images, annotations, tuple(self.problems))

    def _categories(self) -> dict[Any, str]:
        categories: dict[Any, str] = {}
        for place, entry in self._entries("categories", ("id", "name")):
            key, name = entry["id"], str(entry["name"]).strip()
            if key in categories:
                self.problems.append(f"{place}: category id {key!r} stands twice; expected one name for each")
            elif name in categories.values():
                self.problems.append(f"{place}: category {name!r} has two ids; expected one: join them in the file")
            categories.setdefault(key, name)
        if not categories:
            self.problems.append(f"{self.name} has no category; expected at least one with `id` and `name`")
        return dict(sorted(categories.items(), key=lambda item: (str(type(item[0])), item[0])))

    def _images(self) -> dict[Any, CocoImage]:
        images: dict[Any, CocoImage] = {}
        for place, entry in self._entries("images", ("id", "file_name")):
            if entry["id"] in images:
                self.problems.append(f"{place}: image id {entry['id']!r} stands twice; expected one file for each")
            images.setdefault(entry["id"], CocoImage(str(entry["file_name"]), _stated_size(entry), entry))
        return images

    def _annotations(
        self, images: Mapping[Any, CocoImage], categories: Mapping[Any, str]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for place, entry in self._entries("annotations", ("image_id", "category_id")):
            strangers = [
                f"{key} {entry[key]!r} of no {word}"
                for key, word, known in (("image_id", "image", images), ("category_id", "category", categories))
                if entry[key] not in known
            ]
            if strangers:
                self.problems.append(f"{place} has the {' and the '.join(strangers)} here; correct or remove it")
            else:
                yield place, entry

    def _entries(self, list_name: str, needed: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The entries of a list that have what they need, with their place."""
        for number, entry in enumerate(self.content[list_name], 1):
            place = f"{self.name}, entry {number} of `{list_name}`"
            if not isinstance(entry, dict):
                self.problems.append(f"{place} must be an object with {', '.join(needed)}; got {entry!r:.60}")
            elif bad := [key for key in needed if not isinstance(entry.get(key), int | str)]:
                got = ", ".join(f"{key} {entry.get(key)!r:.60}" for key in bad)
                self.problems.append(f"{place} needs a number or text as {', '.join(bad)}; got {got}")
            else:
                yield (f"{place} (id {entry['id']!r:.60})" if "id" in entry else place), entry


def _stated_size(entry: Mapping[str, Any]) -> Size | None:
    height, width = (_whole(entry.get(side)) for side in ("height", "width"))
    return (height, width) if height > 0 and width > 0 else None


def _whole(side: object) -> int:
    """A side in pixels, also where it is written as 640.0; 0 for all else."""
    return int(side) if isinstance(side, int) or (isinstance(side, float) and side.is_integer()) else 0


def _looks_like_instances(path: Path) -> bool:
    """Whether either end of the file names two of the three lists; nothing is parsed."""
    try:
        with path.open("rb") as stream:
            ends = stream.read(_LOOKED_AT)
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _LOOKED_AT))
            ends += stream.read()
    except OSError:
        return False
    return sum(f'"{name}"'.encode() in ends for name in _LISTS) >= 2
