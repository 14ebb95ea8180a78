"""Delimited text files as text, with the line of every row, so that a message can name it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest

_SIGNS = {",": "commas", "\t": "tabs"}


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Args:
        name: The file's name, for messages.
        columns: Names of the header's fields.
        rows: One tuple of text per row, as wide as the header.
        lines: Line number per row, counted from 1; the header has 1.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """The text of one column, outer blanks removed.

        Raises:
            DataError: There is no such column; the nearest is proposed.
        """
        if name not in self.columns:
            raise DataError(f"{self.name} has no column {name!r}{nearest(name, tuple(filter(None, self.columns)))}")
        position = self.columns.index(name)
        return [row[position].strip() for row in self.rows]

    def where(self, row: int) -> str:
        """File and line of a row."""
        return f"{self.name}, line {self.lines[row]}"


def columns_of(path: Path) -> tuple[str, ...]:
    """The header of a table, read alone; empty where there is none or it cannot be read."""
    try:
        with _open_text(path) as stream:
            header = next((record for _, record in _records(stream, _delimiter(path)) if any(record)), [])
    except (OSError, UnicodeDecodeError, EOFError, csv.Error):
        return ()
    return tuple(field.strip() for field in header)


def read_text_table(path: Path) -> TextTable:
    """Read a CSV or TSV file, plain or gzipped, UTF-8 with or without byte-order mark.

    Rows are padded or cut to the width of the header: NIH's files have a trailing comma on some lines only.

    Raises:
        DataError: The file is missing, empty or not text.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected a CSV or TSV file: check the name")
    try:
        with _open_text(path) as stream:
            records = ((line, record) for line, record in _records(stream, _delimiter(path)) if any(record))
            header = next(records, None)
            width = 0 if header is None else len(header[1])
            body = [(line, _fitted(record, width)) for line, record in records]
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        raise DataError(f"{path} is not a table of UTF-8 text ({error}); save it as CSV in UTF-8") from None
    if header is None:
        raise DataError(f"{path} is empty; expected a header line")
    columns = tuple(field.strip() for field in header[1])
    _require_delimiter(path, columns)
    lines, rows = zip(*body, strict=True) if body else ((), ())
    return TextTable(path.name, columns, rows, lines)


def _fitted(record: list[str], width: int) -> tuple[str, ...]:
    return tuple(record if len(record) == width else (record + [""] * width)[:width])


def _require_delimiter(path: Path, columns: tuple[str, ...]) -> None:
    """Refuse a header that is one field with another delimiter in it."""
    expected = _delimiter(path)
    found = next((sign for sign in (";", "\t", ",", "|") if sign != expected and sign in columns[0]), None)
    if len(columns) == 1 and found is not None:
        raise DataError(
            f"{path.name} is divided by {found!r}; expected {_SIGNS[expected]} between the columns: save it with "
            f"{_SIGNS[expected]}" + (", or name it .tsv" if found == "\t" else "")
        )


def _delimiter(path: Path) -> str:
    return "\t" if path.name.removesuffix(".gz").lower().endswith((".tsv", ".tab")) else ","


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    with path.open("rb") as stream:
        unpacked = gzip.GzipFile(fileobj=stream) if path.name.lower().endswith(".gz") else stream
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as text:
            yield text


def _records(stream: IO[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(stream, delimiter=delimiter)
    for record in reader:
        yield reader.line_num, record
