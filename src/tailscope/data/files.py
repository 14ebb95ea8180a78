"""Image files below one root: names that stay inside, an index by name, and content digests that are remembered."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import atomic_write, canonical_json, digest, read_json
from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.decoding import decode
from tailscope.data.dicom_mark import DICOM_SUFFIXES
from tailscope.data.validation import raise_problems

_PLAIN = re.compile(r"\w[\w-]*(?:\.\w+)?")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", *DICOM_SUFFIXES)


def require_root(root: Path | None, source: str) -> Path:
    """The folder of a source.

    Raises:
        InputError: No folder was given.
        DataError: It does not exist or is no folder.
    """
    if root is None:
        raise InputError(f"data source {source!r} needs `root`, the folder that holds its files; got none")
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"folder {root} does not exist; expected the files of {source!r} there: check `root`")
    return root


def inside(name: str) -> str:
    r"""A name from a file as a relative path with forward slashes.

    Raises:
        DataError: The name is empty, absolute or climbs out of its root.

    Example:
        >>> inside("images\\001.png")
        'images/001.png'
    """
    if _PLAIN.fullmatch(name):
        return name  # what nearly all are, many times faster
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or not path.parts:
        raise DataError(f"path {name!r} must be relative and stay below the root; got one that is empty or leaves it")
    return path.as_posix()


def holds_images(root: Path) -> bool:
    """Whether any image file lies below a folder."""
    return next(walk_images(root), None) is not None


def walk_images(folder: Path) -> Iterator[Path]:
    """Every image file below ``folder`` (links followed), sorted, hidden ones left out."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield Path(place) / name


def index_by_name(root: Path, folder: Path) -> dict[str, str]:
    """File name to path relative to ``root``, for every image below ``folder``.

    Raises:
        DataError: Two files bear one name.
    """
    index: dict[str, str] = {}
    problems = []
    for path in walk_images(folder):
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
        memo_path = folder / f"digests-{digest(str(self.files.root.resolve()))[:12]}.json" if folder else None
        memo: dict[str, str] = read_json(memo_path) if memo_path and memo_path.exists() else {}
        known, problems = dict(memo), []
        digests = []
        for path in self.files.paths:
            try:
                digests.append(self._one(path, known))
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror}); restore the file or leave its row out")
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
                known[address] = hashlib.file_digest(stream, "sha256").hexdigest()
        how = "grey" if self.files.grey else "stored"
        return digest(f"inverted {how}" if path in self.files.inverted else how, known[address])


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
