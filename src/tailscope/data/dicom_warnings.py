"""Pydicom's remarks on files that it reads all the same, muted: thousands of files would make thousands of lines."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType


class _Muted:
    """Mutes pydicom's warnings while any thread is inside.

    The filters of ``warnings`` belong to the process: two threads that each kept and restored them could leave them
    muted for good, so the first one in keeps them and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                warnings.filterwarnings("ignore", module=r"pydicom\b")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._kept.__exit__(kind, error, trace)


MUTED = _Muted()
