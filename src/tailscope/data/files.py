"""Image files below one root, in archives too: an index by name, and content digests that are remembered."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import atomic_write, canonical_json, digest, read_json
from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.archives import first_file, is_archive
from tailscope.data.decoding import decode, manner
from tailscope.data.dicom_mark import DICOM_SUFFIXES
from tailscope.data.places import DataPath, data_folder
from tailscope.data.relative import inside as inside
from tailscope.data.validation import raise_problems

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", *DICOM_SUFFIXES)


def require_root(root: Path | None, source: str) -> Path:
    """The folder of a source; its file where that is an archive.

    Raises:
        InputError: No folder was given.
        DataError: It does not exist, or is neither a folder nor an archive that can be read.
    """
    if root is None:
        raise InputError(f"data source {source!r} needs `root`, the folder that holds its files; got none")
    place = data_folder(root)
    if place is None:
        raise DataError(f"folder {root} does not exist; expected the files of {source!r} there: check `root`")
    return place


def holds_images(root: Path) -> bool:
    """Whether any image file lies below a folder."""
    return next(walk_images(root), None) is not None


def walk_images(*folders: Path) -> Iterator[Path]:
    """Every image file below ``folders`` (links followed), sorted, hidden ones left out; then those in archives there.

    An archive whose first image lies below them as well, by name and size, is taken for unpacked and not read.

    Raises:
        DataError: An archive cannot be read.
    """
    found: dict[str, list[Path]] = {}
    archives = []
    for path in (path for folder in folders for path in _walk(DataPath(folder))):
        if _is_image(path.name):
            found.setdefault(path.name, []).append(path)
            yield path
        else:
            archives.append(path)
    for archive in archives:
        if not _is_unpacked(archive, found):
            yield from (path for path in archive.members() if _is_image(path.name) and not _is_hidden(path, archive))


def _walk(folder: DataPath) -> Iterator[DataPath]:
    """The images and archives on disk; ``folder`` itself where it is an archive or lies in one."""
    if folder.is_inside():
        yield folder
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if _is_image(name) or (is_archive(name) and not name.startswith(".")):
                yield DataPath(place) / name


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _is_hidden(path: Path, archive: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[len(archive.parts) :])


def _is_unpacked(archive: Path, found: Mapping[str, Sequence[Path]]) -> bool:
    first = first_file(archive, IMAGE_SUFFIXES) if found and archive.is_file() else None
    if first is None:
        return False
    name, size = first
    return any(path.stat().st_size == size for path in found.get(PurePosixPath(name).name, ()))


def index_by_name(root: Path, *folders: Path) -> dict[str, str]:
    """File name to path relative to ``root``, for every image below ``folders``.

    Raises:
        DataError: Two files bear one name.
    """
    index: dict[str, str] = {}
    problems = []
    for path in walk_images(*folders):
        relative = path.relative_to(root).as_posix()
        if path.name in index:
            problems.append(f"{path.name} exists twice, as {index[path.name]} and as {relative}; remove one")
        index.setdefault(path.name, relative)
    raise_problems(problems)
    return index


@dataclass(frozen=True)
class ImageFiles:
    """The pixels of files: row number to uint8 pixels.

    Args:
        root: Folder of the data set.
        paths: Relative path per row.
        grey: Read luminance, whatever a file holds.
        inverted: Paths of files that store black as the highest value and do not say so (MONOCHROME1 saved as PNG).
        absent: The tables were read alone: no file was looked for, and paths are what the tables call the images.
    """

    root: Path
    paths: tuple[str, ...]
    grey: bool = False
    inverted: frozenset[str] = frozenset()
    absent: bool = False

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Decode the file of one row.

        Raises:
            DataError: It is absent or cannot be read.
        """
        path = self.paths[row]
        pixels = decode(self.root / path, grey=self.grey)
        return 255 - pixels if path in self.inverted else pixels


def reading_order(read: object, count: int) -> list[int]:
    """Rows in the order in which they are read fastest: of archives, as they lie there; all others as they stand.

    Args:
        read: Row number to pixels.
        count: How many rows.
    """
    if not isinstance(read, ImageFiles):
        return list(range(count))
    root = DataPath(read.root)
    return sorted(range(count), key=lambda row: (root / read.paths[row]).place())


@dataclass(frozen=True)
class FileContent:
    """One digest per image of what its file holds and how it is read."""

    files: ImageFiles

    def __call__(self) -> list[str]:
        """Read and hash every file."""
        return self.remembered(None)

    def remembered(self, folder: Path | None) -> list[str]:
        """As the call, but a file whose path, size and time of change are known from ``folder`` is not read again.

        Raises:
            DataError: A file is missing or unreadable.
        """
        memo_path = folder / f"contents-{digest(str(self.files.root.resolve()))[:12]}.json" if folder else None
        memo: dict[str, str] = read_json(memo_path) if memo_path and memo_path.exists() else {}
        known, problems = dict(memo), []
        digests = [""] * len(self.files.paths)
        for row in reading_order(self.files, len(digests)):
            path = self.files.paths[row]
            try:
                digests[row] = self._one(path, known)
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror}); restore the file or leave its row out")
            except DataError as error:
                problems.append(str(error))
        raise_problems(problems)
        if memo_path and known != memo:
            with atomic_write(memo_path) as temporary:
                temporary.write_text(canonical_json(known), encoding="utf-8")
        return digests

    def _one(self, path: str, known: dict[str, str]) -> str:
        file = self.files.root / path
        state = file.stat()
        address = f"{path}|{state.st_size}|{state.st_mtime_ns}"
        if address not in known:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
                stream.seek(0)
                known[address] = f"{content} {manner(stream)}".rstrip()
        content, _, own_manner = known[address].partition(" ")
        how = "grey" if self.files.grey else "stored"
        how = f"inverted {how}" if path in self.files.inverted else how
        return digest(f"{how} {own_manner}".rstrip(), content)


def tables_alone(dataset: Dataset) -> bool:
    """Whether only the tables of a data set were read, so that there are no pixels."""
    return isinstance(dataset.read_pixels, ImageFiles) and dataset.read_pixels.absent


def require_images(dataset: Dataset) -> None:
    """Pass if there are pixels.

    Raises:
        DataError: Only the tables were read.
    """
    if tables_alone(dataset):
        raise DataError(
            f"only the tables of {dataset.name} were read (`missing: tables`), {len(dataset.images):,} images; "
            "expected the images as well: unpack them and leave `missing` out; `tailscope data inspect` counts without"
        )
