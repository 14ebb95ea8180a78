"""The commands. Bodies import what they need, so that help is instant and loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailscope.cli.failures import exit_codes

app = typer.Typer(
    name="tailscope",
    help="See what an imbalance treatment really taught a medical-image classifier.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # loading rich's markdown takes longer than all the rest of the help
    context_settings={"max_content_width": 100},
)
data_app = typer.Typer(help="Look at a data set before any training.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
treatments_app = typer.Typer(help="What is done about imbalance.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(treatments_app, name="treatments")

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="E.g. training.epochs=2; repeat it.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of the source, e.g. labels=train.csv; repeat it."),
]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The experiment's folder.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the experiment goes.")] = Path("demo"),
    overrides: Overrides = None,
) -> None:
    """Do the whole job on the embedded phantom, in minutes."""
    with exit_codes():
        from tailscope.cli.progress import chosen_progress
        from tailscope.cli.running import run_demo

        run_demo(out, tuple(overrides or ()), chosen_progress())


@app.command()
def init(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="A folder or an archive that holds a data set.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The configuration to write.")] = Path("experiment.yaml"),
) -> None:
    """Recognise a data set and write a configuration for it."""
    with exit_codes():
        from tailscope.cli.initialising import write_configuration

        write_configuration(root, out)


@app.command()
def run(
    configuration: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment's YAML file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The experiment's folder; by default ./<name>.")
    ] = None,
    overrides: Overrides = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="First search each arm's learning rate and main parameter, on validation.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and what it needs; train nothing.")] = False,
) -> None:
    """Train, look, compare and report; go on where it was stopped."""
    with exit_codes():
        from tailscope.cli.progress import chosen_progress
        from tailscope.cli.running import run_experiment
        from tailscope.experiment import load_config

        config = load_config(configuration, tuple(overrides or ()), tune=tune)
        run_experiment(config, out, dry_run=dry_run, progress=chosen_progress())


@app.command()
def report(folder: Folder) -> None:
    """Compare and write the page again; train nothing."""
    with exit_codes():
        from tailscope.cli.running import rewrite_report

        rewrite_report(folder)


@app.command()
def export(
    folder: Folder,
    form: Annotated[
        str,
        typer.Option("--to", metavar="FORM", help="csv, json, latex (the page's tables) or figures."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the files go; by default ./<experiment>-<form>.")
    ] = None,
) -> None:
    """Write the results for a manuscript or another program; no table with a row per image leaves."""
    with exit_codes():
        from tailscope.cli.exporting import write_export

        write_export(folder, form, out)


@app.command()
def sql(
    folder: Folder,
    query: Annotated[str, typer.Argument(metavar="SQL", help='E.g. "select * from findings limit 5".')],
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Query the tables of an experiment.

    They are named as the files: images, labels, split, predictions, estimates, findings and so on; a query that fails
    lists them.
    """
    with exit_codes():
        from tailscope.cli.querying import print_query

        print_query(folder, query, as_csv=csv)


@app.command()
def doctor() -> None:
    """Show versions and hardware, and what is missing."""
    with exit_codes():
        from tailscope.cli.examining import print_examination

        print_examination()


@app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, for editors."""
    with exit_codes():
        from tailscope.cli.running import print_schema

        print_schema()


@data_app.command()
def inspect(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A source, e.g. nih_chestxray14, or a configuration file.")
    ],
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The data set's folder, or its archive.")] = None,
    settings: Settings = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page that shows images that may be one side by side, e.g. pairs.html."
        ),
    ] = None,
) -> None:
    """Show counts, imbalance, annotations, broken files, leakage.

    Of a folder without any image the tables alone are counted; that leaves with 0 as well, and is said.
    """
    with exit_codes():
        from tailscope.cli.inspecting import print_inspection
        from tailscope.cli.progress import chosen_progress

        print_inspection(source, root, tuple(settings or ()), pairs, chosen_progress())


@treatments_app.command(name="list")
def list_treatments() -> None:
    """Show every treatment with its settings."""
    with exit_codes():
        from tailscope.cli.auditing import print_treatments

        print_treatments()


@treatments_app.command()
def audit(
    configuration: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment's YAML file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The experiment's folder, for the cache; by default ./<name>.")
    ] = None,
    overrides: Overrides = None,
    save: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the whole audit here.")] = None,
) -> None:
    """Show what each arm would really do; train nothing.

    Leaves with 1 if an arm does not do what it says.
    """
    with exit_codes():
        from tailscope.cli.auditing import print_audits
        from tailscope.cli.progress import chosen_progress

        print_audits(configuration, out, tuple(overrides or ()), save, chosen_progress())
