"""Decode images into one file, on all cores; killed at any moment, the next attempt goes on where this one was.

The rows that are done are listed beside the file that is being written, each with the checksum of its pixels; what was
listed and does not fit its checksum is decoded again.
"""

from __future__ import annotations

import fcntl
import io
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailscope.core.artifacts import write_array
from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.cache_files import CacheFiles, Checksums, checksum
from tailscope.data.frames import fit
from tailscope.data.settings import DataSettings
from tailscope.data.validation import raise_problems

_CHUNK = 64  # rows that are listed at once: no more are lost by a kill
_IN_FLIGHT = 4  # images per thread: bounds the memory
_RECORD = np.dtype([("row", "<u4"), ("height", "<i4"), ("width", "<i4"), ("sum", "<u4")])

Decoded = tuple[int, Size, NDArray[np.uint8]]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ColourFoundError(Exception):
    """A colour image among images taken for grey."""


@dataclass(frozen=True)
class Work:
    """What is to be decoded.

    Args:
        read: Row number to pixels; called from several threads.
        order: Every row once, in the order in which they are read.
        settings: Image size, resizing and channels.
        threads: How many decode at once; None: one per core. Pillow and the DICOM decoders let the others run
            meanwhile.
    """

    read: Callable[[int], NDArray[np.uint8]]
    order: Sequence[int]
    settings: DataSettings
    threads: int | None = None

    def images(self, rows: Sequence[int], channels: int) -> Iterator[Decoded | str]:
        """Row, stored size and (H, W, C) pixels, in the order of ``rows``; or the problem of a row."""
        threads = self.threads or cores()
        waiting: deque[Future[Decoded | str]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for row in rows:
                    if len(waiting) >= _IN_FLIGHT * threads:
                        yield waiting.popleft().result()
                    waiting.append(pool.submit(self._one, row, channels))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _one(self, row: int, channels: int) -> Decoded | str:
        try:
            pixels = self.read(row)
        except DataError as error:
            return str(error)
        size = (pixels.shape[0], pixels.shape[1])
        if channels == 1 and pixels.ndim == 3:
            if self.settings.channels is None:
                raise ColourFoundError
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))
        fitted = fit(pixels, self.settings.image_size, self.settings.resize)
        if fitted.ndim == 2:
            fitted = np.repeat(fitted[..., None], channels, axis=2)
        return row, size, fitted


def build_cache(work: Work, files: CacheFiles, progress: Callable[[int, int], None] | None = None) -> None:
    """Decode all images into the files of a cache.

    Memory for a few images per thread, and 12 bytes a row.

    Args:
        work: What is to be decoded.
        files: Where it goes.
        progress: Called with (images done, images in all).

    Raises:
        DataError: Lists every image that cannot be read; nothing is left of the attempt.
    """
    furthest = 0

    def forward(done: int) -> None:
        nonlocal furthest  # the second attempt reports nothing until it has caught up
        if progress and done > furthest:
            furthest = done
            progress(done, len(work.order))

    files.folder.mkdir(parents=True, exist_ok=True)
    with _alone(files):
        if files.exist():
            return  # another process did it meanwhile
        guessed = 3 if files.done(3).exists() else 1
        try:
            _fill(work, work.settings.channels or guessed, files, forward)
        except ColourFoundError:
            _discard(files, 1)
            _fill(work, 3, files, forward)


def _fill(work: Work, channels: int, files: CacheFiles, progress: Callable[[int], None]) -> None:
    shape = (len(work.order), *work.settings.image_size, channels)
    problems = []
    with _opened(files, shape) as partial:
        rows = [row for row in work.order if not partial.is_done[row]]
        already = len(work.order) - len(rows)
        if already:
            progress(already)
        for number, result in enumerate(work.images(rows, channels), already + 1):
            if isinstance(result, str):
                problems.append((rows[number - already - 1], result))
            else:
                partial.put(*result)
            progress(number)
        partial.list_rows()
        if not problems:
            partial.finish(files, channels)
    if problems:
        _discard(files, channels)
        raise_problems([problem for _, problem in sorted(problems)])


class _Partial:
    """Pixels that are being written.

    Args:
        pixels: The file, open for reading and writing.
        done: The list of its rows that are done.
        shape: (N, H, W, C).
    """

    def __init__(self, pixels: IO[bytes], done: IO[bytes], shape: tuple[int, ...]) -> None:
        self._pixels = pixels
        self._done = done
        self._row_bytes = math.prod(shape[1:])
        self._begin = os.fstat(pixels.fileno()).st_size - shape[0] * self._row_bytes
        self._new: list[tuple[int, int, int, int]] = []
        self._sums = np.zeros(shape[0], dtype=np.uint32)
        self._sizes = np.zeros((shape[0], 2), dtype=np.int32)
        self.is_done = np.zeros(shape[0], dtype=bool)
        self._take_up()

    def _take_up(self) -> None:
        """Believe the list as far as the pixels fit it; its last entry may be cut off."""
        data = self._done.read()
        kept = len(data) // _RECORD.itemsize * _RECORD.itemsize
        for row, height, width, total in np.frombuffer(data[:kept], dtype=_RECORD).tolist():
            if row >= len(self.is_done):
                continue
            self._pixels.seek(self._begin + row * self._row_bytes)
            if checksum(np.frombuffer(self._pixels.read(self._row_bytes), dtype=np.uint8)) == total:
                self._sizes[row], self._sums[row], self.is_done[row] = (height, width), total, True
        self._done.seek(kept)
        self._done.truncate()

    def put(self, row: int, size: Size, pixels: NDArray[np.uint8]) -> None:
        """Write one row; it is listed with the next ones."""
        total = checksum(pixels)
        self._pixels.seek(self._begin + row * self._row_bytes)
        self._pixels.write(np.ascontiguousarray(pixels).tobytes())
        self._sizes[row], self._sums[row], self.is_done[row] = size, total, True
        self._new.append((row, *size, total))
        if len(self._new) >= _CHUNK:
            self.list_rows()

    def list_rows(self) -> None:
        """List the rows that were written."""
        self._pixels.flush()
        self._done.write(np.array(self._new, dtype=_RECORD).tobytes())
        self._done.flush()
        self._new.clear()

    def finish(self, files: CacheFiles, channels: int) -> None:
        """Give the file its name, its sizes and checksums first."""
        os.fsync(self._pixels.fileno())
        state = os.fstat(self._pixels.fileno())
        write_array(files.sizes, self._sizes)
        rows = tuple(self._sums.tolist())
        Checksums(rows, checksum(self._sizes), state.st_size, state.st_mtime_ns).write(files)
        files.partial(channels).replace(files.pixels)
        files.done(channels).unlink()


@contextmanager
def _opened(files: CacheFiles, shape: tuple[int, ...]) -> Iterator[_Partial]:
    path, done = files.partial(shape[3]), files.done(shape[3])
    header = _header(shape)
    length = len(header) + math.prod(shape)
    if not (path.exists() and done.exists() and path.stat().st_size == length):
        done.unlink(missing_ok=True)
        with path.open("wb") as begun:
            begun.write(header)
            begun.truncate(length)
        done.touch()
    with path.open("r+b") as pixels, done.open("r+b") as listed:
        yield _Partial(pixels, listed, shape)


def _header(shape: tuple[int, ...]) -> bytes:
    """How a ``.npy`` file of 8-bit numbers begins."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _discard(files: CacheFiles, channels: int) -> None:
    files.done(channels).unlink(missing_ok=True)
    files.partial(channels).unlink(missing_ok=True)


@contextmanager
def _alone(files: CacheFiles) -> Iterator[None]:
    """Wait until no other process builds this cache."""
    while True:
        with files.lock.open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not files.lock.exists() or files.lock.stat().st_ino != os.fstat(stream.fileno()).st_ino:
                continue  # whoever held it has removed it
            try:
                yield
            finally:
                files.lock.unlink(missing_ok=True)
            return
