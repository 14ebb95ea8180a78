"""A large array that grows on disk chunk by chunk, and goes on where it was left."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError


class GrowingArray:
    """An ``.npy`` of float32 rows under ``<path>.partial`` until every row is written; then it takes its name.

    A journal beside it, ``<path>.journal``, names the finished chunks, each after its rows are on the disk. Killed at
    any moment and opened again with the same inputs, the array knows what is left to do; with other inputs it starts
    anew. ``<path>.inputs`` keeps what a whole array was made from. Memory holds no more than the rows that are being
    written.

    Args:
        path: Where the whole array will lie.
        length: Rows, M.
        inputs: A digest of all that the rows depend on.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "maps.npy"
        >>> array = GrowingArray(place, 2, "digest")
        >>> array.write(0, np.array([1]), np.ones((1, 3), dtype=np.float32))
        >>> again = GrowingArray(place, 2, "digest")
        >>> again.is_finished(0), again.is_finished(1)
        (True, False)
        >>> again.write(1, np.array([0]), np.zeros((1, 3), dtype=np.float32))
        >>> again.finish()
        >>> np.load(place).tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, path: Path, length: int, inputs: str) -> None:
        self._path = path
        self._length = length
        self._partial = path.with_name(f"{path.name}.partial")
        self._journal = path.with_name(f"{path.name}.journal")
        self._header = {"length": length, "inputs": inputs}
        self._rows: NDArray[np.float32] | None = None
        self._finished = self._read_journal()

    def is_finished(self, chunk: int) -> bool:
        """Whether the rows of a chunk are on the disk."""
        return chunk in self._finished

    def write(self, chunk: int, rows: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Put the values of some rows on the disk, and note the chunk as finished.

        Args:
            chunk: Its number.
            rows: (R,) row numbers.
            values: (R, …); every chunk has the same shape beyond the first axis.

        Raises:
            InputError: The values have another shape than those of the chunks before.
        """
        store = self._open(values.shape[1:])
        if store.shape[1:] != values.shape[1:]:
            raise InputError(
                f"rows of {self._path.name} must keep the shape {store.shape[1:]}; got {values.shape[1:]}: the grid "
                "changed between batches; give all images one size"
            )
        store[rows] = values
        if isinstance(store, np.memmap):
            store.flush()
        _append(self._journal, {"chunk": chunk})
        self._finished.add(chunk)

    @property
    def is_whole(self) -> bool:
        """Whether the array lies there under its name, made from the same inputs."""
        made_from = self._made_from
        return self._path.exists() and made_from.exists() and _whole_lines(made_from)[0] == self._header

    def finish(self) -> None:
        """Give the array its name; call it after the last chunk."""
        self._open((1, 1))
        self._rows = None
        self._made_from.unlink(missing_ok=True)
        self._partial.replace(self._path)
        self._journal.unlink(missing_ok=True)
        _append(self._made_from, self._header)

    @property
    def _made_from(self) -> Path:
        return self._path.with_name(f"{self._path.name}.inputs")

    def _open(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if self._rows is None:
            if self._finished:
                self._rows = np.lib.format.open_memmap(self._partial, mode="r+")
            else:
                self._start()
                self._rows = np.lib.format.open_memmap(
                    self._partial, mode="w+", dtype=np.float32, shape=(self._length, *shape)
                )
        return self._rows

    def _start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._journal.unlink(missing_ok=True)
        _append(self._journal, self._header)

    def _read_journal(self) -> set[int]:
        if not (self._journal.exists() and self._partial.exists()):
            return set()
        header, *records = _whole_lines(self._journal)
        return {int(record["chunk"]) for record in records} if header == self._header else set()


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a journal; a last line that was cut off by a kill is left out."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()] or [{}]
