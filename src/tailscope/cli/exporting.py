"""The command that takes results elsewhere."""

from __future__ import annotations

from pathlib import Path

import typer

from tailscope import experiment


def write_export(folder: Path, form: str, out: Path | None) -> None:
    """Write the results in another form and say where they lie."""
    place = out or Path(f"{folder.resolve().name}-{form}")
    written = experiment.export(folder, form, place)
    for path in written:
        typer.echo(path.as_posix())
    typer.echo(f"\n{len(written)} files in {place.resolve().as_posix()}")
