"""Paths that go on inside archives, so that a source reads a folder, an archive, and a folder of archives alike."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Generator, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from tailscope.core.errors import DataError, InputError
from tailscope.data.archives import ARCHIVE_SUFFIXES, Archive, is_archive, open_archive

if sys.platform == "win32":
    from pathlib import WindowsPath as PlatformPath
else:
    from pathlib import PosixPath as PlatformPath

_UNREAD = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst")  # packed files that a user may take for an archive that is read


class DataPath(PlatformPath):
    """A path on disk, or through an archive to one of its files: ``set/images.zip/images/001.png``.

    An archive is a file and a folder at once. What lies inside can be listed, looked for and opened for reading, as
    :class:`pathlib.Path` does it; patterns know ``*``, ``?`` and ``[…]``.
    """

    __slots__ = ()

    def is_file(self) -> bool:  # type: ignore[override,unused-ignore]  # later Pythons have a setting, which nobody gives
        """Whether a file is there, on disk or in an archive."""
        if Path(self).is_file():
            return True
        found = self._in_archive()
        return found is not None and found[1] in found[0].members

    def is_dir(self) -> bool:  # type: ignore[override,unused-ignore]
        """Whether a folder is there, on disk or in an archive; an archive is one."""
        if Path(self).is_dir():
            return True
        found = self._in_archive()
        return found is not None and found[0].is_folder(found[1])

    def exists(self) -> bool:  # type: ignore[override,unused-ignore]
        """Whether anything is there."""
        return Path(self).exists() or self.is_file() or self.is_dir()

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As of a file; one in an archive has its unpacked size and the archive's time."""
        try:
            return Path(self).stat(follow_symlinks=follow_symlinks)
        except OSError as error:
            found = None if error.errno not in (errno.ENOENT, errno.ENOTDIR) else self._in_archive()
            if found is None:
                raise
            if found[1] not in found[0].members:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
        archive, name = found
        outer, size = archive.path.stat(), archive.members[name].size
        times = (int(outer.st_atime), int(outer.st_mtime), int(outer.st_ctime))
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, size, *times), {"st_mtime_ns": outer.st_mtime_ns})

    def open(  # type: ignore[override]  # one signature instead of one per mode
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """As of a file; one in an archive is read into memory, and cannot be written.

        Raises:
            OSError: The file is missing, or in an archive and to be written.
            DataError: The archive is damaged, encrypted or leaves its folder.
        """
        found = None if Path(self).is_file() else self._in_archive()
        if found is None:
            return Path(self).open(mode, buffering, encoding, errors, newline)
        if mode.strip("rbt"):
            raise OSError(errno.EROFS, "files in archives are only read", str(self))
        if found[1] not in found[0].members:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        stream = io.BytesIO(found[0].read(found[1]))
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    def iterdir(self) -> Generator[DataPath, None, None]:
        """What lies in a folder."""
        found = None if Path(self).is_dir() else self._in_archive()
        if found is None or not found[0].is_folder(found[1]):
            yield from super().iterdir()
        else:
            yield from (self / name for name in found[0].children(found[1]))

    def glob(self, pattern: str) -> Generator[DataPath, None, None]:  # type: ignore[override,unused-ignore]
        """What fits a pattern, of a folder on disk or in an archive."""
        yield from self._matching(pattern) if self.is_inside() else super().glob(pattern)

    def rglob(self, pattern: str) -> Generator[DataPath, None, None]:  # type: ignore[override,unused-ignore]
        """As :meth:`glob`, in this folder and all below it."""
        if self.is_inside():
            yield from (path for folder in self._folders() for path in folder._matching(pattern))
        else:
            yield from super().rglob(pattern)

    def members(self) -> Iterator[DataPath]:
        """Every file below an archive, or a folder inside one."""
        found = self._in_archive()
        if found is not None:
            base = type(self)(found[0].path)
            yield from (base / name for name in found[0].files_below(found[1]))

    def place(self) -> tuple[str, int]:
        """Archive and place of a file in it, in whose order it is read fastest; blank and 0 for a file on disk."""
        found = self._in_archive()
        if found is None or found[1] not in found[0].members:
            return "", 0
        return str(found[0].path), found[0].members[found[1]].start

    def without_lone_folder(self) -> DataPath:
        """Where an archive holds one folder and nothing beside it, that folder, and so on; else this path."""
        children = list(self.iterdir()) if self.is_inside() else []
        if len(children) == 1 and not children[0].is_file():
            return children[0].without_lone_folder()
        return self

    def is_inside(self) -> bool:
        """Whether this is an archive, or leads into one."""
        return not Path(self).is_dir() and self._in_archive() is not None

    def _in_archive(self) -> tuple[Archive, str] | None:
        """The archive that this path leads into, and the way on from it; None for a path on disk."""
        parts = self.parts
        for number, part in enumerate(parts, 1):
            if is_archive(part):
                outer = Path(*parts[:number])
                if outer.is_file():
                    return open_archive(outer), "/".join(parts[number:])
        return None

    def _matching(self, pattern: str) -> Iterator[DataPath]:
        first, _, rest = pattern.partition("/")
        for child in self.iterdir() if self.is_dir() else ():
            if fnmatchcase(child.name, first):
                if rest:
                    yield from child._matching(rest)
                else:
                    yield child

    def _folders(self) -> Iterator[DataPath]:
        yield self
        for child in self.iterdir():
            if not child.is_file():
                yield from child._folders()


def data_folder(root: Path) -> DataPath | None:
    """The folder of a data set, on disk or in an archive; None if there is none.

    Raises:
        DataError: The archive cannot be read.
        InputError: It is packed in a way that is not read.
    """
    place = DataPath(root)
    if place.is_dir():
        return place.without_lone_folder()
    if place.is_file() and place.name.lower().endswith(_UNREAD):
        raise InputError(f"{root} is no archive that is read; expected {', '.join(ARCHIVE_SUFFIXES)}: unpack it")
    return None


def unpacked_names(paths: Iterable[str]) -> dict[str, str]:
    """Each path without the names of archives on its way, as it reads once they are unpacked; as it is where two agree.

    >>> unpacked_names(["a.png", "train.zip/train/b.png"])
    {'a.png': 'a.png', 'train.zip/train/b.png': 'train/b.png'}
    """
    names = {path: "/".join(part for part in path.split("/") if not is_archive(part)) for path in paths}
    return names if len(set(names.values())) == len(names) else {path: path for path in names}


def image_folder(root: Path, name: str) -> Path:
    """A folder of images below ``root``; where there is none, the archive of its name beside which it would lie.

    Args:
        root: Folder of the data set.
        name: Relative to it; it may name an archive.

    Raises:
        DataError: There is neither.
    """
    root = DataPath(root)
    for place in (root / name, *(root / f"{name}{suffix}" for suffix in ARCHIVE_SUFFIXES)):
        if place.is_dir():
            return place.without_lone_folder() if place.is_file() else place
    raise DataError(f"folder {root / name} does not exist; expected the images there: set `images`")
