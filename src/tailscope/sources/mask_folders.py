"""Folders of mask files, one per class, whose files bear the names of the images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size
from tailscope.data.files import IMAGE_SUFFIXES, walk_images
from tailscope.data.tables import Shape
from tailscope.data.validation import some
from tailscope.sources.binary_masks import read_binary_mask

_CLASS, _IMAGE = "{class}", "{image}"


@dataclass(frozen=True)
class MaskPattern:
    """How mask files are named, relative to the root: text with ``{class}`` and ``{image}``.

    Args:
        text: ``{image}`` is the name of the image without suffix; it is added as the file name where it is missing.
            Without ``{class}`` the masks are of the only class. The suffix may be left out.

    Raises:
        InputError: A part in braces is neither, or stands twice.

    Example:
        >>> pattern = MaskPattern("masks/{class}")
        >>> pattern.match("masks/mass/a.png", ("mass",)), pattern.match("masks/Mass/a.png", ("mass",))
        (('mass', 'a'), ('Mass', 'a'))
    """

    text: str

    def __post_init__(self) -> None:
        parts = re.findall(r"\{[^}]*\}?", self.text)
        if set(parts) - {_CLASS, _IMAGE} or len(set(parts)) < len(parts):
            raise InputError(f"`masks` may hold {_CLASS} and {_IMAGE}, each once; got {self.text!r}")

    @property
    def full(self) -> str:
        """The text with ``{image}``."""
        return self.text if _IMAGE in self.text else f"{self.text.rstrip('/')}/{_IMAGE}"

    @property
    def folder(self) -> str:
        """The folder that holds all mask files, relative to the root; empty for the root itself."""
        fixed = self.full.split("{", 1)[0]
        return fixed.rpartition("/")[0]

    def match(self, path: str, classes: Sequence[str]) -> tuple[str, str] | None:
        """Class and image that a path names, the class empty where the pattern has none; None if it is no mask.

        Args:
            path: Relative to the root.
            classes: Known names; they go before others, since a name may hold what stands between it and the image.
        """
        suffix = PurePosixPath(self.full).suffix.lower()
        stem = path if suffix in IMAGE_SUFFIXES else PurePosixPath(path).with_suffix("").as_posix()
        for names in ("|".join(map(re.escape, sorted(classes, key=len, reverse=True))), "[^/]+"):
            text = re.escape(self.full).replace(re.escape(_CLASS), f"(?P<name>{names})")
            found = re.fullmatch(text.replace(re.escape(_IMAGE), "(?P<image>.+?)"), stem)
            if found:
                return found.groupdict().get("name") or "", found["image"]
        return None


@dataclass
class MaskFolders:
    """Reads the masks of a pattern.

    Args:
        root: Folder of the data set.
        pattern: How the files are named.
        path_of: Image id to path, relative to the root.
        size_of: Image id to the (height, width) of its file; None where that is unknown.
    """

    root: Path
    pattern: MaskPattern
    path_of: Mapping[str, str]
    size_of: Callable[[str], Size | None]
    shapes: list[Shape] = field(default_factory=list, init=False)
    where: list[str] = field(default_factory=list, init=False)
    problems: list[str] = field(default_factory=list, init=False)
    empty: list[str] = field(default_factory=list, init=False)
    unused: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._by_stem: dict[str, list[str]] = {}
        for image_id in self.path_of:
            suffix = PurePosixPath(image_id).suffix.lower()
            stem = image_id[: -len(suffix)] if suffix in IMAGE_SUFFIXES else image_id
            self._by_stem.setdefault(stem, []).append(image_id)

    def read(self, classes: Sequence[str], ignored: Sequence[str]) -> None:
        """Read every mask of the classes.

        Args:
            classes: Those of the data set.
            ignored: Further columns of its table, whose masks are passed over.

        Raises:
            DataError: There is no such folder, or the pattern names no class where there are several.
        """
        folder = self.root / self.pattern.folder
        if not folder.is_dir():
            raise DataError(f"folder {folder} does not exist; expected the masks there: set `masks`")
        if _CLASS not in self.pattern.text and len(classes) != 1:
            raise DataError(
                f"`masks` must hold {_CLASS}, since there are {len(classes)} classes; got {self.pattern.text!r}"
            )
        strangers: dict[str, list[str]] = {}
        taken: dict[tuple[str, str], str] = {}
        for path, name, image in self._files(folder, classes, ignored):
            if not self._is_class(name, classes, ignored):
                continue
            ids = self._by_stem.get(image, [])
            if len(ids) != 1:
                strangers.setdefault(name, []).append(path)
            elif taken.setdefault((name, ids[0]), path) != path:
                self.problems.append(f"masks {taken[name, ids[0]]} and {path} are of one image; expected one of them")
            else:
                self._add(path, name, ids[0])
        self.problems += [
            f"{len(paths)} masks of class {name!r} belong to no image, or to several: {some(paths)}; correct the names"
            for name, paths in strangers.items()
        ]
        if not taken and not self.problems:
            self.problems.append(f"no file below {folder} is named {self.pattern.full}; expected masks: set `masks`")

    def notes(self) -> Iterator[str]:
        """What was read, one sentence each."""
        yield f"{len(self.shapes)} masks of {self.pattern.full}"
        if self.empty:
            yield f"{len(self.empty)} mask files are empty and draw nothing: {some(sorted(self.empty))}"
        if self.unused:
            yield f"{self.unused} image files below {self.pattern.folder or 'the root'} are masks of no class: not used"

    def _files(self, folder: Path, classes: Sequence[str], ignored: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Path, class and image of every file that may be a mask."""
        images = set(self.path_of.values())
        only = classes[0] if len(classes) == 1 else ""
        for file in walk_images(folder):
            path = file.relative_to(self.root).as_posix()
            if path in images:
                continue
            named = self.pattern.match(path, (*classes, *ignored))
            if named is None:
                self.unused += 1
            else:
                yield path, named[0] or only, named[1]

    def _is_class(self, name: str, classes: Sequence[str], ignored: Sequence[str]) -> bool:
        if name in classes:
            return True
        near = [] if name in ignored else get_close_matches(name.lower(), [one.lower() for one in classes], n=1)
        message = f"masks are named for {name!r}, which is no class; expected one of {', '.join(classes)}: rename them"
        if near and message not in self.problems:
            self.problems.append(message)
        self.unused += 1
        return False

    def _add(self, path: str, name: str, image_id: str) -> None:
        try:
            rle, size = read_binary_mask(self.root, path, self.size_of(image_id))
        except DataError as error:
            self.problems.append(str(error))
            return
        if len(rle["counts"]) == 1:
            self.empty.append(path)
            return
        self.shapes.append((image_id, name, "rle", rle, size))
        self.where.append(path)
