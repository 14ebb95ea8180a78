"""Turn errors into one clear message and an exit code: 1 failed, 2 the user's input is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


@contextmanager
def exit_codes() -> Iterator[None]:
    """Print what went wrong without a traceback and leave with the right code; a bug of ours keeps its traceback."""
    try:
        from tailscope.core import InputError, TailscopeError  # loads pandas, so help must not

        yield
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(WRONG_INPUT) from None
    except TailscopeError as error:
        typer.echo(f"Failed: {error}", err=True)
        raise typer.Exit(FAILED) from None
    except BrokenPipeError:
        raise  # typer ends quietly when the reader of a pipe has gone, as after `| head`
    except OSError as error:  # a full disk, a folder without permission: the system's own words are the clearest
        typer.echo(f"Failed: {error}", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.echo("Stopped. Nothing is lost: run the same command again to go on.", err=True)
        raise typer.Exit(INTERRUPTED) from None
