"""The registry of data sources, and what a published one says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from tailscope.core.records import Dataset
from tailscope.core.registry import Registry


class Source(Protocol):
    """Read a data set as it is published; nothing is decided, resized or dropped silently."""

    def __call__(self, root: Path | None) -> Dataset:
        """Read the tables below ``root`` (None for a source that generates its images)."""
        ...


@dataclass(frozen=True)
class Terms:
    """Under which terms a set is published; to be read again at its source before use.

    Args:
        licence: Name of the licence or agreement, and what it forbids.
        access: How the files are obtained.
    """

    licence: str
    access: str


@runtime_checkable
class Recognising(Protocol):
    """A source that knows its own files.

    ``is_format``: It reads a format, not a published set, and is asked only where no published set is recognised.
    """

    is_format: ClassVar[bool]

    @staticmethod
    def recognise(root: Path) -> str | None:
        """Which variant of its files lies in a folder, in a few words; None if none does. Reads little, never fails."""
        ...


DATASETS: Registry[Source] = Registry("dataset")
