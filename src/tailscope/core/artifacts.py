"""Files that are whole or absent: atomic writes, content hashes, and one lock per experiment folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from tailscope.core.errors import LockedError


def canonical_json(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, tuples as lists, NumPy numbers as numbers.

    >>> canonical_json({"b": (1, 2), "a": 0.5})
    '{"a":0.5,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, ensure_ascii=False)


def digest(*parts: Any) -> str:
    """SHA-256, in hex, of values: bytes and arrays by content, paths by the file's content, all else as JSON."""
    total = hashlib.sha256()
    for part in parts:
        data = _bytes_of(part)
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well, and vanishes otherwise.

    Killed at any moment, ``path`` holds either its old content or its whole new content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented for people, atomically."""
    write_text(path, json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write Parquet atomically, without the index."""
    with atomic_write(path) as temporary:
        table.to_parquet(temporary, index=False)


def copy_file(source: Path, path: Path) -> None:
    """Copy a file atomically."""
    with atomic_write(path) as temporary:
        shutil.copyfile(source, temporary)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write ``.npy`` atomically."""
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Write ``.npz`` atomically."""
    save = np.savez_compressed if compressed else np.savez
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        save(stream, allow_pickle=False, **arrays)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; the system frees it when the process ends, however it ends.

    Raises:
        LockedError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as stream:
        _take(stream, folder)
        yield


def _take(stream: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        message = f"{folder} is in use by process {holder}; wait for it, stop it, or choose another --out"
        raise LockedError(message) from None
    stream.truncate(0)
    stream.write(str(os.getpid()))
    stream.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, np.ndarray):
        array = np.ascontiguousarray(part.astype(str)) if part.dtype == object else np.ascontiguousarray(part)
        return f"{array.dtype.str}{array.shape}".encode() + array.tobytes()
    if isinstance(part, Path):
        return part.read_bytes()
    return canonical_json(part).encode()
