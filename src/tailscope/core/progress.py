"""How long work tells the user that it moves; the command line draws it, everything else stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Where progress goes.

    Contract: ``task`` opens one bar and hands out a function that moves it by so many items; ``say`` prints one line
    that stays. Neither ever changes a result.
    """

    def task(self, description: str, total: int, unit: str = "images") -> AbstractContextManager[Advance]:
        """A bar over ``total`` items of ``unit``."""
        ...

    def say(self, text: str) -> None:
        """A line that stays on the screen."""
        ...


class SilentProgress:
    """Progress that nobody watches.

    >>> with SilentProgress().task("training", 3) as advance:
    ...     advance(3)
    """

    @contextmanager
    def task(self, description: str, total: int, unit: str = "images") -> Iterator[Advance]:  # noqa: ARG002 - protocol
        """A bar that nobody sees."""
        yield _ignore

    def say(self, text: str) -> None:
        """Say nothing."""


def _ignore(count: int) -> None:
    """Nobody watches."""
