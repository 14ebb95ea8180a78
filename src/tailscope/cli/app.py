"""The commands. Bodies import what they need, so that help is instant and loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailscope.cli.failures import exit_codes
from tailscope.cli.progress import chosen_progress

app = typer.Typer(
    name="tailscope",
    help="See what an imbalance treatment really taught a medical-image classifier.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at a data set before any training.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Overrides = Annotated[list[str] | None, typer.Option("--set", help="key.key=value, e.g. training.epochs=2; repeat it.")]
Folder = Annotated[Path, typer.Argument(help="The experiment's folder.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the experiment goes.")] = Path("demo"),
    overrides: Overrides = None,
) -> None:
    """The whole job on the embedded phantom, in minutes on two CPU cores."""
    from tailscope.cli.running import run_demo

    with exit_codes():
        run_demo(out, tuple(overrides or ()), chosen_progress())


@app.command()
def init(
    root: Annotated[Path, typer.Argument(help="A folder that holds a data set.")],
    out: Annotated[Path, typer.Option(help="The configuration to write.")] = Path("experiment.yaml"),
) -> None:
    """Recognise the data set in a folder and write a commented configuration."""
    from tailscope.cli.initialising import write_configuration

    with exit_codes():
        write_configuration(root, out)


@app.command()
def run(
    configuration: Annotated[Path, typer.Argument(help="An experiment's YAML file.")],
    out: Annotated[Path | None, typer.Option(help="The experiment's folder; by default ./<name>.")] = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and what it needs; train nothing.")] = False,
) -> None:
    """Train, look, compare, report. Stopped at any moment, the same command goes on."""
    from tailscope.cli.running import run_experiment

    with exit_codes():
        run_experiment(configuration, out, tuple(overrides or ()), dry_run=dry_run, progress=chosen_progress())


@app.command()
def report(folder: Folder) -> None:
    """Compare again and write the page again, from the files of an experiment; trains nothing."""
    from tailscope.cli.running import rewrite_report

    with exit_codes():
        rewrite_report(folder)


@app.command()
def sql(
    folder: Folder,
    query: Annotated[str, typer.Argument(help='E.g. "select * from findings limit 5".')],
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Query the tables of an experiment with SQL; they are named as the files."""
    from tailscope.cli.querying import print_query

    with exit_codes():
        print_query(folder, query, as_csv=csv)


@app.command()
def doctor() -> None:
    """Environment, devices, versions, and what is missing."""
    from tailscope.cli.examining import print_examination

    with exit_codes():
        print_examination()


@app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, for editors."""
    from tailscope.cli.running import print_schema

    with exit_codes():
        print_schema()


@data_app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="A data source, e.g. nih_chestxray14, or a configuration file.")],
    root: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    settings: Overrides = None,
) -> None:
    """Counts, imbalance, annotations, missing and broken files, leakage."""
    from tailscope.cli.inspecting import print_inspection

    with exit_codes():
        print_inspection(source, root, tuple(settings or ()), chosen_progress())
