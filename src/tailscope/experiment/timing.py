"""Wall time per stage, kept apart from every result, because it differs each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailscope.core import read_json, write_json


class Timings:
    """Seconds per stage, added up over sessions.

    Args:
        path: A JSON file; what stands there is continued.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds: dict[str, float] = read_json(path) if path.exists() else {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes, also when it fails."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begin, 2)
            write_json(self._path, self.seconds)
