"""The files of a cache of pixels, and whether they still hold what was written."""

from __future__ import annotations

import tokenize
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import read_json, write_json

_SAMPLED = 64  # rows that are compared at each opening: a few milliseconds


# what NumPy and JSON raise for files that were cut off or changed
_BROKEN = (OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, SyntaxError, tokenize.TokenError)


@dataclass(frozen=True)
class CacheFiles:
    """Where a cache lies.

    Args:
        folder: Of all caches.
        name: Of this one.
    """

    folder: Path
    name: str

    @property
    def pixels(self) -> Path:
        """(N, H, W, C) uint8."""
        return self.folder / f"pixels-{self.name}.npy"

    @property
    def sizes(self) -> Path:
        """(N, 2) int32."""
        return self.folder / f"sizes-{self.name}.npy"

    @property
    def checksums(self) -> Path:
        """See :class:`Checksums`."""
        return self.folder / f"checksums-{self.name}.json"

    @property
    def lock(self) -> Path:
        """Held by whoever builds it."""
        return self.folder / f".pixels-{self.name}.lock"

    def partial(self, channels: int) -> Path:
        """The pixels while they are decoded."""
        return self.folder / f".pixels-{self.name}-{channels}.partial"

    def done(self, channels: int) -> Path:
        """Which of their rows are."""
        return self.folder / f".pixels-{self.name}-{channels}.rows"

    def exist(self) -> bool:
        """Whether the cache is there."""
        return self.pixels.exists() and self.sizes.exists()

    def remove(self) -> None:
        """Delete the cache."""
        for path in (self.pixels, self.sizes, self.checksums):
            path.unlink(missing_ok=True)


def checksum(values: NDArray[np.generic]) -> int:
    """CRC-32 of the bytes of an array."""
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


@dataclass(frozen=True)
class Checksums:
    """What the files of a cache should hold.

    Args:
        rows: CRC-32 of each row of the pixels.
        sizes: CRC-32 of the sizes.
        length: Bytes of the file of pixels.
        modified: Its time of change, in nanoseconds, when it was last compared as a whole.
    """

    rows: tuple[int, ...]
    sizes: int
    length: int
    modified: int

    @classmethod
    def of(cls, files: CacheFiles) -> Checksums:
        """Of files that are taken for whole."""
        pixels, sizes = np.load(files.pixels, mmap_mode="r"), np.load(files.sizes)
        state = files.pixels.stat()
        return cls(tuple(map(checksum, pixels)), checksum(sizes), state.st_size, state.st_mtime_ns)

    @classmethod
    def read(cls, files: CacheFiles) -> Checksums:
        """As they were written."""
        values = read_json(files.checksums)
        rows = np.frombuffer(bytes.fromhex(values.pop("rows")), dtype="<u4")
        return cls(tuple(rows.tolist()), **values)

    def write(self, files: CacheFiles) -> None:
        """Keep them beside the cache."""
        rows = np.array(self.rows, dtype="<u4").tobytes().hex()
        values = {"rows": rows, "sizes": self.sizes, "length": self.length, "modified": self.modified}
        write_json(files.checksums, values)


def damage(files: CacheFiles, shape: tuple[int, int, int], *, whole: bool = False) -> str | None:
    """What is wrong with a cache, in words that go on from "the cache"; None if nothing is.

    Without checksums, as older versions left it, only its shape is looked at.

    Args:
        files: The cache.
        shape: (N, H, W) that it should have.
        whole: Compare every row, also where the file was not changed since it was compared.
    """
    try:
        pixels, sizes = np.load(files.pixels, mmap_mode="r"), np.load(files.sizes)
        kept = Checksums.read(files) if files.checksums.exists() else None
    except _BROKEN:
        return "could not be read"
    if pixels.shape[:3] != shape or pixels.ndim != 4 or pixels.dtype != np.uint8 or sizes.shape != (shape[0], 2):
        return "had another shape than its images"
    if kept is None:
        return None
    return _difference(files, pixels, sizes, kept, whole=whole)


def _difference(
    files: CacheFiles, pixels: NDArray[np.uint8], sizes: NDArray[np.int32], kept: Checksums, *, whole: bool
) -> str | None:
    state = files.pixels.stat()
    if state.st_size != kept.length or len(kept.rows) != len(pixels):
        return "had another length than when it was written"
    if checksum(sizes) != kept.sizes:
        return "had damaged sizes of images"
    every = whole or state.st_mtime_ns != kept.modified
    count = len(pixels) if every else min(len(pixels), _SAMPLED)
    compared = np.unique(np.linspace(0, len(pixels) - 1, count).round().astype(np.int64)) if count else ()
    broken = sum(checksum(pixels[row]) != kept.rows[row] for row in compared)
    if broken:
        return f"had {broken} damaged rows of {len(compared)} compared"
    if every and state.st_mtime_ns != kept.modified:
        Checksums(kept.rows, kept.sizes, kept.length, state.st_mtime_ns).write(files)
    return None
