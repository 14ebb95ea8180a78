"""The registry of data sources."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tailscope.core.records import Dataset
from tailscope.core.registry import Registry


class Source(Protocol):
    """Read a data set as it is published; nothing is decided, resized or dropped silently."""

    def __call__(self, root: Path | None) -> Dataset:
        """Read the tables below ``root`` (None for a source that generates its images)."""
        ...


DATASETS: Registry[Source] = Registry("dataset")
