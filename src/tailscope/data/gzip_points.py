"""Any stretch of a gzipped file, without unpacking it from its beginning each time.

A gzipped stream can only be read forward. While it is read through once, the state of the decompressor is kept at a few
hundred points; a stretch is then read from the nearest point before it. Whoever reads in the order of the file goes on
where he stopped.

Source: the idea of ``zran.c`` of zlib (Adler, 2005).
"""

from __future__ import annotations

import threading
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

_POINTS = 400  # of 40 KB each: 16 MB an archive
_SPAN = 2**20  # bytes between points at first; doubled when there are too many
_PACKED, _UNPACKED = 2**16, 2**18  # bytes that are read and unpacked at once
_WARM = 8  # where readers stopped: one per thread, for most machines
_GZIP = 16 + zlib.MAX_WBITS


class Point(NamedTuple):
    """Where unpacking can go on.

    Args:
        packed: Bytes of the file that were taken.
        unpacked: Bytes that they gave and that were asked for.
        state: The decompressor.
        left: Bytes that they gave and nobody asked for yet.
    """

    packed: int
    unpacked: int
    state: Any
    left: bytes = b""


class Forward:
    """Unpacked bytes from a point on; what ``tarfile`` needs of a stream.

    Args:
        stream: The gzipped file, open.
        start: Where to go on; the state belongs to this reader from now on.
        points: Gets a copy of the state every now and then; None keeps none.
    """

    def __init__(self, stream: IO[bytes], start: Point, points: _Points | None = None) -> None:
        stream.seek(start.packed)
        self._stream = stream
        self._state = start.state
        self._left = start.left
        self._unpacked = start.unpacked + len(start.left)
        self._pending = b""  # taken from the file, not by the decompressor
        self._points = points

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end.

        Raises:
            EOFError: The file ends in the middle.
            zlib.error: It is broken.
        """
        parts, wanted = [], size
        while wanted and (data := self._left or self._unpack()):
            self._left = data[wanted:]
            parts.append(data[:wanted])
            wanted -= len(parts[-1])
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        while size and (passed := self.read(min(size, _UNPACKED))):
            size -= len(passed)

    def point(self) -> Point:
        """Where this reader stands; it is not to be used any more."""
        packed = self._stream.tell() - len(self._pending)
        return Point(packed, self._unpacked - len(self._left), self._state, self._left)

    def _unpack(self) -> bytes:
        while True:
            if self._state.eof and not self._begin_next():
                return b""
            self._pending = self._pending or self._stream.read(_PACKED)
            at_end = not self._pending
            data: bytes = self._state.decompress(self._pending, _UNPACKED)
            self._pending = self._state.unused_data if self._state.eof else self._state.unconsumed_tail
            if data:
                break
            if at_end and not self._state.eof:
                raise EOFError("the file ends early")
        self._unpacked += len(data)
        if self._points is not None:
            self._points.offer(self._stream.tell() - len(self._pending), self._unpacked, self._state)
        return data

    def _begin_next(self) -> bool:
        """Go on with a further gzipped stream behind the one that ended, if there is one; zeros are padding."""
        while not (rest := self._pending.lstrip(b"\0")):
            self._pending = self._stream.read(_PACKED)
            if not self._pending:
                return False
        self._pending, self._state = rest, zlib.decompressobj(_GZIP)
        return True


class _Points:
    """Points at even distances, a bounded number of them."""

    def __init__(self) -> None:
        self.kept = [Point(0, 0, zlib.decompressobj(_GZIP))]
        self._span = _SPAN

    def offer(self, packed: int, unpacked: int, state: Any) -> None:
        if unpacked - self.kept[-1].unpacked < self._span or state.eof:
            return
        self.kept.append(Point(packed, unpacked, state.copy()))
        if len(self.kept) > _POINTS:
            del self.kept[1::2]
            self._span *= 2


class GzipPoints:
    """A gzipped file that can be read anywhere, from several threads.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._points = _Points()
        self._warm: list[Point] = []
        self._lock = threading.Lock()

    def through(self, stream: IO[bytes]) -> Forward:
        """Read it once from the beginning, keeping points."""
        return Forward(stream, Point(0, 0, zlib.decompressobj(_GZIP)), self._points)

    def read(self, start: int, size: int) -> bytes:
        """Unpacked bytes from ``start`` on; fewer at the end.

        Raises:
            EOFError: The file ends in the middle.
            zlib.error: It is broken.
        """
        point = self._nearest(start)
        with self._path.open("rb") as stream:
            reader = Forward(stream, point)
            reader.skip(start - point.unpacked)
            data = reader.read(size)
            point = reader.point()
        with self._lock:
            self._warm = [*self._warm, point][-_WARM:]
        return data

    def _nearest(self, start: int) -> Point:
        with self._lock:
            fixed = max((point for point in self._points.kept if point.unpacked <= start), key=lambda one: one.unpacked)
            near = [point for point in self._warm if fixed.unpacked < point.unpacked <= start]
            if near:
                best = max(near, key=lambda one: one.unpacked)
                self._warm.remove(best)
                return best
            return Point(fixed.packed, fixed.unpacked, fixed.state.copy())
