"""Pieces of work on threads of their own, for code that lets go of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def side_by_side(work: Callable[[Piece], Answer], pieces: Iterable[Piece], threads: int) -> list[Answer]:
    """Do each piece of work; the answers in the order of the pieces.

    The threads are plain ones that end with the call: numba's own layers do not outlive a fork, and one of them ends
    the process when two threads call it at once.

    Args:
        work: Must not depend on what the other pieces do.
        pieces: What it is called with.
        threads: With one or none, all is done in the caller's.

    Example:
        >>> side_by_side(abs, [-2, 1], threads=2)
        [2, 1]
    """
    if threads < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))
