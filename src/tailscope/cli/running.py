"""The commands that conduct an experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import typer
from rich.console import Console

from tailscope import experiment
from tailscope.cli.tables import print_frame, wide_console
from tailscope.core import InputError, Progress, SilentProgress
from tailscope.experiment import DryRun, ExperimentConfig, ExperimentResult

_PLANNED = (
    "class", "group", "prevalence", "train_positives", "val_positives", "test_positives", "unknown", "annotated_test",
)  # fmt: skip
_FORETOLD = {
    "class": "class", "metric": "metric", "positives": "patients +", "negatives": "patients −", "se": "std. error",
    "mde": "detectable", "equivalent": "equivalent?", "positives_needed": "+ needed", "source": "from",
}  # fmt: skip


def run_demo(out: Path, overrides: tuple[str, ...], progress: Progress) -> None:
    """Conduct the demo and say what was found."""
    progress.say("The demo trains 3 treatments × 2 seeds on generated chest radiographs and looks into the networks.")
    _tell(experiment.run(experiment.demo_configuration(overrides), out, progress=progress))


def run_experiment(config: ExperimentConfig, out: Path | None, *, dry_run: bool, progress: Progress) -> None:
    """Conduct an experiment, or show its plan."""
    folder = out or Path(config.name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder; choose another --out")
    if dry_run:
        _show_plan(config, folder, progress)
    else:
        _tell(experiment.run(config, folder, progress=progress))


def rewrite_report(folder: Path) -> None:
    """Write the page again."""
    _tell(experiment.rewrite_report(folder, SilentProgress()))


def print_schema() -> None:
    """Print the JSON schema of a configuration."""
    typer.echo(json.dumps(experiment.schema(), indent=2))


def _tell(result: ExperimentResult) -> None:
    console = wide_console()
    estimates = result.table("estimates")
    for lens, metrics in (("performance", ("auroc", "average_precision")), ("alignment", ("mass_inside",))):
        for metric in metrics:
            _show_estimates(console, estimates[(estimates["lens"] == lens) & (estimates["metric"] == metric)], metric)
    _show_aside(console, result, estimates)
    console.print()
    for sentence in result.sentences:
        console.print(f"• {sentence}", markup=False, highlight=False)
    console.print()
    pages = {f"Report on {title}": page for title, page in result.other_reports.items()} | {"Report": result.report}
    for title, page in pages.items():
        console.print(f"{title}: {page.resolve().as_posix()}", markup=False, highlight=False, soft_wrap=True)


def _show_aside(console: Console, result: ExperimentResult, estimates: pd.DataFrame) -> None:
    """Arms that the tables above leave out: those that change no ranking, and ensembles."""
    compared = set(estimates.loc[estimates["metric"] == "auroc", "arm"])
    rest = [arm for arm in estimates["arm"].drop_duplicates() if arm not in compared]
    if rest:
        console.print(f"\nJudged by calibration only, see the report: {', '.join(rest)}", markup=False, highlight=False)
    if (result.path / "ensembles.parquet").exists():
        table = result.table("ensembles")
        macro = table[table["class"] == "macro"]
        print_frame(console, macro.drop(columns=["class", "group"]), "Ensembles over the seeds, mean over classes")


def _show_estimates(console: Console, table: pd.DataFrame, metric: str) -> None:
    if table.empty:
        return
    wide = table.pivot(index="class", columns="arm", values="value").loc[table["class"].drop_duplicates()]
    print_frame(console, wide[table["arm"].drop_duplicates()].reset_index(), metric)


def _show_plan(config: ExperimentConfig, folder: Path, progress: Progress) -> None:
    plan = experiment.dry_run(config, folder, progress)
    console = wide_console()
    print_frame(console, plan.runs, "Runs, in the order of work")
    shown = [name for name in _PLANNED if name != "unknown" or plan.classes[name].any()]
    names = {name: name.replace("_positives", " +").replace("_", " ") for name in shown}
    print_frame(console, plan.classes[shown].rename(columns=names), "Images per class and split")
    _show_precision(console, plan)
    console.print("\nIt needs", style="bold")
    for what, much in plan.needs:
        console.print(f"  {what}: {much}", markup=False, highlight=False)
    for kind, sentences in (("warning", plan.warnings), ("note", plan.notes)):
        for sentence in sentences:
            console.print(f"  {kind}: {sentence}", markup=False, highlight=False)
    console.print("\nNothing was trained.")


def _show_precision(console: Console, plan: DryRun) -> None:
    """How sure the differences will be; of patients, because a verdict counts these."""
    if plan.precision.empty:
        return
    shown = plan.precision.assign(positives_needed=plan.precision["positives_needed"].astype("Int64"))
    title = "Predicted precision of a difference to control"
    print_frame(console, shown[list(_FORETOLD)].rename(columns=_FORETOLD), title)
    lines = [
        "std. error: of treatment minus control, seeds and patients. detectable: the difference that is found 4 times "
        "in 5. equivalent?: whether the 90 % interval can lie within the margin where nothing differs; + needed: "
        "positive patients that make it likely, at these seeds.",
    ]
    for line in (*lines, plan.assumptions):
        console.print(line, markup=False, highlight=False)
