"""Turn errors into one clear message and an exit code: 1 failed, 2 the user's input is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


@contextmanager
def exit_codes() -> Iterator[None]:
    """Print what went wrong without a traceback and leave with the right code; a bug of ours keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _leave("Stopped. Nothing is lost: run the same command again to go on.", INTERRUPTED)
    except BrokenPipeError:
        raise  # typer ends quietly when the reader of a pipe has gone, as after `| head`
    except OSError as error:  # a full disk, a folder without permission: the system's own words are the clearest
        _leave(f"Failed: {error}", FAILED)
    except Exception as error:
        from tailscope.core import InputError, TailscopeError  # loads pandas, which help does without

        if isinstance(error, InputError):
            _leave(f"Error: {error}", WRONG_INPUT)
        if isinstance(error, TailscopeError):
            _leave(f"Failed: {error}", FAILED)
        raise


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code) from None
