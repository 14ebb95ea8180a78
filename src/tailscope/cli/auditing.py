"""``tailscope treatments``: what there is, and what each arm of an experiment would really do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import typer
from rich.console import Console

from tailscope import experiment
from tailscope.cli.tables import print_frame, wide_console
from tailscope.core import Progress, write_json
from tailscope.experiment import ArmAudit
from tailscope.treatments import TREATMENTS

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}
_FAILED = 1


def print_treatments() -> None:
    """Every treatment with its first line and its settings."""
    frame = pd.DataFrame(
        {
            "name": name,
            "what it does": (TREATMENTS.find(name).__doc__ or "").split("\n", 1)[0].replace("``", ""),
            "settings": ", ".join(TREATMENTS.settings(name)) or "none",
        }
        for name in TREATMENTS.names()
    )
    print_frame(wide_console(), frame)


def print_audits(
    configuration: Path, out: Path | None, overrides: tuple[str, ...], save: Path | None, progress: Progress
) -> None:
    """Audit every arm without training; leaves with 1 if an arm fails that nobody allowed by name."""
    config = experiment.load_config(configuration, overrides)
    audits = experiment.preview_audits(config, out or Path(config.name), progress)
    console = wide_console()
    print_frame(console, pd.DataFrame([_row(one) for one in audits]), "What each arm would do in an epoch")
    for one in audits:
        _print_draws(console, one)
        _print_balance(console, one)
    console.print("\nVerdicts", style="bold")
    for one in audits:
        _print_verdict(console, one)
    if save is not None:
        write_json(save, {one.arm: one.audit for one in audits})
        console.print(f"\nWritten to {save}", markup=False, highlight=False)
    console.print("\nNothing was trained.")
    if any(one.audit["verdict"] == "failed" and not one.is_allowed for one in audits):
        raise typer.Exit(_FAILED)


def _row(one: ArmAudit) -> dict[str, Any]:
    sampling, gradients = one.audit["sampling"], list(one.audit["gradients"].values())[-1]
    groups = gradients["groups"]
    return {
        "arm": one.arm,
        "audit": one.audit["verdict"],
        "images drawn": f"{sampling['images_drawn']:,} of {sampling['images']:,}",
        "expected": round(sampling["images_drawn_expected"]),
        "loss × control": gradients["loss_ratio"],
        "gradient × control": gradients["gradient_norm_ratio"],
        **{f"{name} share": _share(row) for name, row in groups.items()},
    }


def _share(row: dict[str, float]) -> str:
    return f"{100 * row['share']:.0f} % (control {100 * row['share_control']:.0f} %)"


def _print_draws(console: Console, one: ArmAudit) -> None:
    """Classes among the images and among the draws, for an arm that draws by weight."""
    classes = one.audit["sampling"]["classes"]
    if all(abs(row["inflation"] - 1) < 1e-9 for row in classes.values()):
        return
    names = ("prevalence", "expected", "realised", "ratio", "z")
    rows = [{"class": name, **{key: row[key] for key in names}} for name, row in classes.items()]
    print_frame(console, pd.DataFrame(rows), f"{one.arm}: positive images among the images, and among the draws")


def _print_balance(console: Console, one: ArmAudit) -> None:
    """How often each group stands among positives and negatives, for an arm that balances a further column."""
    balance = one.audit.get("balance")
    if balance is None:
        return
    rows = [
        {"class": name, balance["column"]: group, **{key.replace("_", " "): share for key, share in shares.items()}}
        for name, groups in balance["classes"].items()
        for group, shares in groups.items()
    ]
    title = f"{one.arm}: share of each group among positives and negatives; balanced where the drawn shares agree"
    print_frame(console, pd.DataFrame(rows), title)


def _print_verdict(console: Console, one: ArmAudit) -> None:
    verdict = one.audit["verdict"]
    console.print(f"  {one.arm}: ", end="", markup=False, highlight=False)
    console.print(verdict, style=_COLOURS[verdict], end="")
    allowed = " (allowed by name)" if verdict == "failed" and one.is_allowed else ""
    console.print(f"{allowed} – {one.audit['sentence']}", markup=False, highlight=False)
    for check in one.audit["checks"]:
        if check["verdict"] != "ok" and check["sentence"] not in one.audit["sentence"]:
            console.print(f"    {check['verdict']}: {check['sentence']}", markup=False, highlight=False)
