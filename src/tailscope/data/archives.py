"""Files inside zip and tar archives, read where they lie: listed once, opened one at a time, never unpacked to disk."""

from __future__ import annotations

import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol

from tailscope.core.errors import DataError
from tailscope.data.gzip_points import GzipPoints
from tailscope.data.relative import inside
from tailscope.data.validation import raise_problems, some

GZIPPED = (".tar.gz", ".tgz")
ARCHIVE_SUFFIXES = (".zip", ".tar", *GZIPPED)
_LARGEST = 2**30  # bytes of one member, which is held in memory while it is read
_KEPT = 64  # archives whose list is kept
_FOREIGN = "__MACOSX"  # a folder of resource forks that macOS adds
_LOCAL_HEADER = struct.Struct("<26xHH")
_ENCRYPTED = 0x1
_BLOCK = 512
_BROKEN = (OSError, EOFError, zlib.error, struct.error, tarfile.TarError, zipfile.BadZipFile, ValueError, RuntimeError)


class Member(NamedTuple):
    """Where a file lies in its archive.

    Args:
        start: Of a zip, where its header begins; of a tar, where its bytes begin, unpacked.
        size: Bytes, unpacked.
        packed: Bytes, packed.
        crc: Checksum; None where the archive has none for each file.
    """

    start: int
    size: int
    packed: int
    crc: int | None = None


class _Read(Protocol):
    def __call__(self, member: Member) -> bytes: ...


@dataclass(frozen=True)
class Archive:
    """What an archive holds.

    Args:
        path: The file.
        members: Relative path to place; those of links are those of their targets.
    """

    path: Path
    members: Mapping[str, Member]
    read_member: _Read
    _folders: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names: dict[str, set[str]] = {"": set()}
        for name in self.members:
            while name:
                folder, _, last = name.rpartition("/")
                known = last in names.setdefault(folder, set())
                names[folder].add(last)
                name = "" if known else folder
        self._folders.update({folder: sorted(children) for folder, children in names.items()})

    def is_folder(self, name: str) -> bool:
        """Whether files lie below this name; empty for the archive itself."""
        return name in self._folders

    def children(self, name: str) -> list[str]:
        """Names of the files and folders in a folder, sorted."""
        return self._folders[name]

    def files_below(self, name: str) -> Iterator[str]:
        """The path of every file below a folder, sorted within each folder."""
        for child in self._folders.get(name, ()):
            path = f"{name}/{child}" if name else child
            if path in self.members:
                yield path
            yield from self.files_below(path)

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            KeyError: There is none of this name.
            DataError: The archive is damaged there, or the file is too large to be read from an archive.
        """
        member = self.members[name]
        if member.size > _LARGEST:
            raise DataError(
                f"{self.path / name} has {member.size / 2**30:.1f} GiB; expected at most 1 GiB for a file inside an "
                "archive: unpack it"
            )
        try:
            data = self.read_member(member)
            if len(data) != member.size or (member.crc is not None and zlib.crc32(data) != member.crc):
                raise ValueError("its bytes do not fit the checksum")
        except _BROKEN as error:
            raise DataError(f"{self.path / name} cannot be read ({error}): {_REMEDY}") from None
        return data


_REMEDY = "the archive is damaged; download it again, or move it out of the folder"
_listed: OrderedDict[tuple[str, int, int], Archive] = OrderedDict()
_lock = threading.RLock()


def is_archive(name: str) -> bool:
    """Whether a file is named as an archive that is read in place.

    >>> is_archive("images_001.TAR.GZ"), is_archive("labels.csv.gz")
    (True, False)
    """
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def open_archive(path: Path) -> Archive:
    """The list of an archive; made once per process, as long as the file does not change.

    A gzipped tar is unpacked in memory from end to end to list it.

    Args:
        path: .zip, .tar, .tar.gz or .tgz.

    Raises:
        DataError: It is damaged, encrypted, packed in a way that is not read, or holds names that leave it.
    """
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    with _lock:
        if key not in _listed:
            _listed[key] = _list(path)
            while len(_listed) > _KEPT:
                _listed.popitem(last=False)
        _listed.move_to_end(key)
        return _listed[key]


def first_file(path: Path, suffixes: tuple[str, ...]) -> tuple[str, int] | None:
    """Path and size of the first file of these suffixes; of a tar, what comes behind it is not read.

    Raises:
        DataError: The archive is damaged before it.
    """
    if path.name.lower().endswith(".zip"):
        return _first(((name, member.size) for name, member in open_archive(path).members.items()), suffixes)
    try:
        with tarfile.open(path, "r:*") as archive:
            return _first(((one.name, one.size) for one in archive if one.isfile()), suffixes)
    except _BROKEN as error:
        raise DataError(f"archive {path} cannot be listed ({error}): {_REMEDY}") from None


def _first(files: Iterator[tuple[str, int]], suffixes: tuple[str, ...]) -> tuple[str, int] | None:
    return next(((name, size) for name, size in files if name.lower().endswith(suffixes)), None)


def _list(path: Path) -> Archive:
    try:
        with path.open("rb") as stream:
            if path.name.lower().endswith(".zip"):
                return Archive(path, _checked(path, _zip_members(stream, path)), _ZipReader(path))
            if path.name.lower().endswith(GZIPPED):
                return _gzipped_tar(path, stream)
            return _plain_tar(path, stream)
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"archive {path} cannot be listed ({error}): {_REMEDY}") from None


def _checked(path: Path, members: dict[str, Member]) -> dict[str, Member]:
    """The members under their tidied names; the last of a name counts, as it does when an archive is unpacked."""
    tidied, problems = {}, []
    for name, member in members.items():
        try:
            tidied[inside(name)] = member
        except DataError:
            problems.append(name)
    if problems:
        raise DataError(
            f"archive {path} holds {len(problems)} names that leave it: {some(problems)}; expected relative names: "
            "do not trust it, pack the files anew"
        )
    return {name: member for name, member in tidied.items() if PurePosixPath(name).parts[0] != _FOREIGN}


def _zip_members(stream: IO[bytes], path: Path) -> dict[str, Member]:
    with zipfile.ZipFile(stream) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
    if encrypted := [info.filename for info in files if info.flag_bits & _ENCRYPTED]:
        raise DataError(f"archive {path} is encrypted: {some(encrypted)}; expected files without a password: unpack it")
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    raise_problems(
        [
            f"archive {path}: {info.filename!r} is packed by method {info.compress_type}; expected stored or deflated: "
            "unpack it, or pack it anew"
            for info in files
            if info.compress_type not in known
        ][:1]
    )
    return {info.filename: Member(info.header_offset, info.file_size, info.compress_size, info.CRC) for info in files}


@dataclass(frozen=True)
class _ZipReader:
    """Reads without a lock: each read opens the file for itself."""

    path: Path

    def __call__(self, member: Member) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(member.start)
            header = stream.read(_LOCAL_HEADER.size)
            stream.seek(sum(_LOCAL_HEADER.unpack(header)), 1)
            packed = stream.read(member.packed)
        if member.packed == member.size and zlib.crc32(packed) == member.crc:
            return packed  # stored
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)  # more than it says: refused


@dataclass(frozen=True)
class _TarReader:
    path: Path

    def __call__(self, member: Member) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(member.start)
            return stream.read(member.size)


@dataclass(frozen=True)
class _GzippedTarReader:
    points: GzipPoints

    def __call__(self, member: Member) -> bytes:
        return self.points.read(member.start, member.size)


def _gzipped_tar(path: Path, stream: IO[bytes]) -> Archive:
    points = GzipPoints(path)
    reader = points.through(stream)
    with tarfile.open(fileobj=reader, mode="r|") as archive:  # type: ignore[call-overload]  # it reads, no more
        members = _tar_members(archive)
        end = archive.offset
    while reader.read(2**18):  # up to the checksum
        pass
    _require_end(points.read(end, _BLOCK))
    return Archive(path, _checked(path, members), _GzippedTarReader(points))


def _plain_tar(path: Path, stream: IO[bytes]) -> Archive:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        members = _tar_members(archive)
        stream.seek(archive.offset)
    _require_end(stream.read(_BLOCK))
    return Archive(path, _checked(path, members), _TarReader(path))


def _require_end(block: bytes) -> None:
    """Refuse a header that cannot be read: ``tarfile`` takes it for the end."""
    if block.strip(b"\0"):
        raise ValueError("a header in the middle is broken")


def _tar_members(archive: tarfile.TarFile) -> dict[str, Member]:
    """Files by name; hard links are their targets, symbolic links and devices are passed over."""
    members: dict[str, Member] = {}
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # it would keep a kilobyte a file
        if info.issparse():
            raise DataError(f"{info.name!r} is stored with holes; expected plain files: unpack the archive")
        if info.isfile():
            members[info.name] = Member(info.offset_data, info.size, info.size)
        elif info.islnk() and info.linkname in members:
            members[info.name] = members[info.linkname]
    return members
