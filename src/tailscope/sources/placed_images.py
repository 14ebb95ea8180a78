"""Images that a file of annotations names somehow, found wherever they lie below a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.decoding import raster_size
from tailscope.data.files import inside, walk_images
from tailscope.data.places import image_folder
from tailscope.data.validation import some
from tailscope.sources.split_words import split_of_path


@dataclass(frozen=True)
class PlacedImages:
    """Every image below a folder, by its name without suffix.

    Args:
        root: Folder of the data set, which all paths are relative to.
        by_stem: Name without folder and suffix to the paths that bear it, sorted.
    """

    root: Path
    by_stem: Mapping[str, tuple[str, ...]]

    @classmethod
    def below(cls, root: Path, folder: str = "") -> PlacedImages:
        """Every image below ``root / folder``.

        Raises:
            DataError: There is no such folder.
        """
        place = image_folder(root, inside(folder)) if folder not in ("", ".") else root
        by_stem: dict[str, list[str]] = {}
        for path in walk_images(place):
            by_stem.setdefault(path.stem, []).append(path.relative_to(root).as_posix())
        return cls(root, {stem: tuple(sorted(paths)) for stem, paths in by_stem.items()})

    def __len__(self) -> int:
        return sum(map(len, self.by_stem.values()))

    def find(self, name: str, *, beside: str = "", split: str | None = None) -> str | None:
        """The path of an image, relative to the root; None if there is none.

        Annotation tools write the path on the machine of whoever drew, so that only its end counts. Where several
        files fit equally well, one beside the annotations is preferred, then one in a folder of their split.

        Args:
            name: As annotated: with or without folders and suffix, with either kind of slash.
            beside: Folder of the file of annotations, relative to the root.
            split: The split of that file.

        Raises:
            DataError: Several files fit.
        """
        wanted = PurePosixPath(name.strip().replace("\\", "/"))
        named = self.by_stem.get(wanted.stem, ())
        found = [path for path in named if PurePosixPath(path).name == wanted.name]
        if not found and wanted.suffix == "":
            found = list(named)
        if not found and wanted.suffix:  # a dot within a name that was written without suffix
            found = list(self.by_stem.get(wanted.name, ()))
        if len(found) > 1:
            found = _best(found, {path: _common_end(path, wanted.as_posix()) for path in found})
            found = _best(found, {path: _common_start(path, beside) for path in found})
        if len(found) > 1 and split is not None:
            found = [path for path in found if split_of_path(path) == split] or found
        if len(found) > 1:
            raise DataError(
                f"image {name!r} exists {len(found)} times, as {found[0]} and as {found[1]}; expected one: "
                "set `images` to the folder of the images, or remove the others"
            )
        return found[0] if found else None


class ReferenceSizes:
    """The raster that the annotations of an image refer to: the stated size, else the file's.

    Args:
        root: Folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._scaled: set[str] = set()  # images whose file has another size than is stated

    def __call__(self, path: str, stated: Size | None) -> tuple[Size, Size]:
        """(height, width) that annotations refer to, and of the file.

        Args:
            path: The image, relative to the root.
            stated: (height, width) beside the annotations, if any.

        Raises:
            DataError: The file is unreadable, or lies across the stated size.
        """
        found = raster_size(self._root / path)
        if stated is None or stated == found:
            return found, found
        if stated == found[::-1]:
            raise DataError(
                f"image {path} has {found[1]} × {found[0]} pixels (width × height); the annotations state "
                f"{stated[1]} × {stated[0]}: one of them was turned, turn it back"
            )
        self._scaled.add(path)
        return stated, found

    def notes(self) -> list[str]:
        """What to tell of images that were resized after they were annotated."""
        if not self._scaled:
            return []
        return [
            f"{len(self._scaled)} images have another size than their annotations state; shapes are scaled along: "
            f"{some(sorted(self._scaled))}"
        ]


def _best(paths: list[str], fits: Mapping[str, int]) -> list[str]:
    most = max(fits.values(), default=0)
    return [path for path in paths if fits[path] == most]


def _common_end(path: str, other: str) -> int:
    """How many parts two paths share from the end, suffix aside."""
    return _shared(reversed(_parts(path)), reversed(_parts(other)))


def _common_start(path: str, other: str) -> int:
    return _shared(_parts(path), PurePosixPath(other).parts)


def _shared(these: Iterable[str], those: Iterable[str]) -> int:
    count = 0
    for this, that in zip(these, those, strict=False):
        if this != that:
            break
        count += 1
    return count


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).with_suffix("").parts if path else ()
