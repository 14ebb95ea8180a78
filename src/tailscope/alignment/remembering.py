"""What is worked out once for an object and read by every metric after that."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False, kw_only=True)
class Remembering:
    """Keeps what was derived from it, by key; several threads may ask, and only the first works.

    >>> notes = Remembering()
    >>> notes.once("answer", lambda: 42), notes.once("answer", lambda: 43)
    (42, 42)
    """

    _known: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)
    _lock: Any = field(default_factory=RLock, init=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` returned when ``key`` was first asked for."""
        with self._lock:
            if key not in self._known:
                self._known[key] = make()
            found: Made = self._known[key]
            return found
