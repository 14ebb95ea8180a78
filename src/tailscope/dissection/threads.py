"""Compiled loops side by side on the threads that numba may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from numba import config

from tailscope.core import side_by_side

_BLOCKS_PER_THREAD = 4  # so that a slow block keeps no thread waiting for long

Answer = TypeVar("Answer")


def in_blocks(work: Callable[[int, int], Answer], count: int, least: int = 1) -> list[Answer]:
    """Do ``work(first, last)`` for consecutive blocks of ``count`` items, on ``NUMBA_NUM_THREADS`` threads.

    The kernels let go of the interpreter's lock.

    Args:
        work: Must give the same for any blocks, once its answers are put together.
        count: 1 or more.
        least: Items that make a block worth a thread.

    Returns:
        The answers in the order of the blocks.

    Example:
        >>> sum(in_blocks(lambda first, last: last - first, 10))
        10
    """
    threads = min(int(vars(config)["NUMBA_NUM_THREADS"]), count // max(least, 1))
    if threads < 2:
        return [work(0, count)]
    step = max(least, -(-count // (threads * _BLOCKS_PER_THREAD)))
    starts = range(0, count, step)
    return side_by_side(lambda first: work(first, min(first + step, count)), starts, threads)
