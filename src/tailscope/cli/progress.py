"""Draw progress: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from tailscope.core.progress import Advance

_LINES_PER_TASK = 4


def rate(per_second: float, unit: str) -> str:
    """A rate for people: slow work by the minute.

    >>> rate(1500.0, "images"), rate(0.05, "trials")
    ('1,500 images/s', '3.0 trials/min')
    """
    return f"{per_second:,.0f} {unit}/s" if per_second >= 1 else f"{60 * per_second:.1f} {unit}/min"


def spent(begin: float) -> float:
    """Seconds since a moment, above 0."""
    return max(time.perf_counter() - begin, 1e-9)


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else rate(speed, task.fields["unit"]), style="cyan")


class TerminalProgress:
    """Bars with rate and time left; lines that stay go above them.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None

    @contextmanager
    def task(self, description: str, total: int, unit: str = "images") -> Iterator[Advance]:
        """A bar; nested bars stand below each other."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), _Rate())
        if self._bars is not None:
            number = self._bars.add_task(description, total=total, unit=unit)
            yield lambda count: self._bars.advance(number, count) if self._bars else None
            return
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True) as bars:
            self._bars = bars
            number = bars.add_task(description, total=total, unit=unit)
            try:
                yield lambda count: bars.advance(number, count)
            finally:
                self._bars = None

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False, highlight=False)


class PlainProgress:
    """A few lines per task, for logs and pipes."""

    @contextmanager
    def task(self, description: str, total: int, unit: str = "images") -> Iterator[Advance]:
        """Say when a task begins, at each quarter, and when it ends, with its rate."""
        begin, done, next_share = time.perf_counter(), 0, 1

        def advance(count: int) -> None:
            nonlocal done, next_share
            done += count
            if total and done * _LINES_PER_TASK >= total * next_share and done < total:
                next_share = done * _LINES_PER_TASK // total + 1
                self.say(f"{description}: {done:,} of {total:,} {unit}, {rate(done / spent(begin), unit)}")

        yield advance
        if done:
            self.say(f"{description}: {done:,} {unit} in {time.perf_counter() - begin:.1f} s")

    def say(self, text: str) -> None:
        """Print at once, so that a log can be followed."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def chosen_progress() -> TerminalProgress | PlainProgress:
    """Bars where a person watches, lines where a file does."""
    console = Console()
    return TerminalProgress(console) if console.is_terminal else PlainProgress()
