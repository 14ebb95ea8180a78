"""Every error that tailscope raises on purpose.

TailscopeError
├── InputError (ValueError)        the user's input is wrong: exit code 2
│   ├── ConfigurationError         the configuration; lists every problem it found
│   ├── DataError                  files, tables, labels, annotations; lists every problem it found
│   │   └── LeakageError           one patient (or image) in two splits
│   ├── UnknownNameError (KeyError)  no such treatment, metric, source, layer …
│   └── MismatchError              a result folder that belongs to another configuration
├── LockedError                    another process works in this experiment folder: exit code 1
└── TrainingError                  training failed (loss not finite, no score to select on): exit code 1
"""

from __future__ import annotations

from collections.abc import Iterable


class TailscopeError(Exception):
    """Root of the tree; catch it to catch all."""


class InputError(TailscopeError, ValueError):
    """What the user gave is wrong; the message says what was expected, what was found and what to do."""


class _ProblemListError(InputError):
    """An input error that reports all its problems at once.

    Args:
        problems: One sentence each: where, expected, got, remedy.
    """

    heading = "found"

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(self.problems, 1))
        return f"{len(self.problems)} problems {self.heading}:\n{lines}"


class ConfigurationError(_ProblemListError):
    """The configuration is wrong.

    >>> print(ConfigurationError(["`seeds` is empty; give at least one", "`epochs` is 0; give 1 or more"]))
    2 problems in the configuration:
      1. `seeds` is empty; give at least one
      2. `epochs` is 0; give 1 or more
    """

    heading = "in the configuration"


class DataError(_ProblemListError):
    """Files, tables, labels or annotations are wrong; names file, row and remedy."""

    heading = "in the data"


class LeakageError(DataError):
    """One patient, or one and the same image, stands in two splits."""

    heading = "of leakage between splits"


class UnknownNameError(InputError, KeyError):
    """No choice has this name; the message lists the known ones and the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr, quotes and escapes included


class MismatchError(InputError):
    """The result folder belongs to another configuration."""


class LockedError(TailscopeError):
    """Another process holds the experiment folder."""


class TrainingError(TailscopeError):
    """Training cannot go on, or left nothing to select."""
