"""Images in the arrays of an ``.npz`` file, read one after the other, never a whole array at once."""

from __future__ import annotations

import hashlib
import math
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import digest
from tailscope.core.errors import DataError

_KEPT = 256  # images behind the furthest one that was read: several threads ask for neighbours in any order
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Member:
    """An array of images in a file.

    Args:
        name: Its name.
        shape: (N, H, W) or (N, H, W, 3).
    """

    name: str
    shape: tuple[int, ...]


def read_labels(path: Path, name: str) -> NDArray[np.int64]:
    """An array of labels, (N, L).

    Raises:
        DataError: It is missing, broken, or has another number of axes.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            labels = np.asarray(file[name])
    except _BROKEN as error:
        raise DataError(f"{path.name} has no readable array {name!r} ({error}); download the file again") from None
    if labels.ndim != 2 or labels.dtype.kind not in "iub":
        raise DataError(
            f"{path.name}: {name} is {labels.dtype} of shape {labels.shape}; expected whole numbers, (N, L)"
        )
    return labels.astype(np.int64)


def member_of(path: Path, name: str) -> Member:
    """The shape of an array of images, from its header.

    Raises:
        DataError: It is missing or broken, or holds no 8-bit images of two dimensions.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            shape, fortran, dtype = _header(stream)
    except _BROKEN as error:
        raise DataError(f"{path.name} has no readable array {name!r} ({error}); download the file again") from None
    is_image = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != np.uint8 or fortran or not is_image:
        raise DataError(
            f"{path.name}: {name} is {dtype} of shape {shape}; expected uint8, (N, H, W) or (N, H, W, 3): "
            "volumes are not read"
        )
    return Member(name, shape)


class NpzPixels:
    """Row number to the pixels of one image.

    Rows run through the members in their order. Asked in ascending order, each member is decompressed once; going back
    further than a few hundred images starts it anew.

    Args:
        root: Folder of the file.
        file: Its name.
        members: The arrays.
    """

    def __init__(self, root: Path, file: str, members: tuple[Member, ...]) -> None:
        self.root = root
        self.file = file
        self.members = members
        self._ends = np.cumsum([member.shape[0] for member in members])
        self._reader: _Reader | None = None
        self._lock = threading.Lock()

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """Read one image.

        Raises:
            DataError: The file is broken or gone.
        """
        number = int(np.searchsorted(self._ends, row, side="right"))
        member = self.members[number]
        with self._lock:
            if self._reader is None or self._reader.member != member:
                self._reader = _Reader(self.root / self.file, member)
            return self._reader.image(row - int(self._ends[number]) + member.shape[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file anew."""
        return NpzPixels, (self.root, self.file, self.members)


@dataclass(frozen=True)
class NpzContent:
    """One digest per image of an :class:`NpzPixels`."""

    pixels: NpzPixels

    def __call__(self) -> list[str]:
        """Read and hash every image."""
        path = self.pixels.root / self.pixels.file
        return [
            digest(list(member.shape[1:]), hashlib.sha256(image).hexdigest())
            for member in self.pixels.members
            for image in _Reader(path, member).all()
        ]


class _Reader:
    """One array that is being read forward."""

    def __init__(self, path: Path, member: Member) -> None:
        self.member = member
        self._path = path
        self._bytes = math.prod(member.shape[1:])
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._files = ExitStack()
        self._open()

    def __del__(self) -> None:
        self._files.close()

    def _open(self) -> None:
        self._files.close()
        try:
            file = self._files.enter_context(self._path.open("rb"))
            archive = self._files.enter_context(zipfile.ZipFile(file))
            self._stream = self._files.enter_context(archive.open(f"{self.member.name}.npy"))
            _header(self._stream)
        except _BROKEN as error:
            raise DataError(f"{self._path} cannot be read ({error}); restore the file") from None
        self._next = 0

    def image(self, number: int) -> NDArray[np.uint8]:
        if number in self._kept:
            return self._kept[number]
        if number < self._next:
            self._open()
        while self._next <= number:
            self._kept[self._next] = np.frombuffer(self._read(), dtype=np.uint8).reshape(self.member.shape[1:])
            self._next += 1
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[number]

    def all(self) -> Iterator[bytes]:
        for _ in range(self.member.shape[0]):
            yield self._read()

    def _read(self) -> bytes:
        try:
            read = self._stream.read(self._bytes)
        except _BROKEN as error:
            raise DataError(f"{self._path}: {self.member.name} is broken ({error}); download the file again") from None
        if len(read) < self._bytes:
            raise DataError(f"{self._path}: {self.member.name} ends early; download the file again")
        return read


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)
