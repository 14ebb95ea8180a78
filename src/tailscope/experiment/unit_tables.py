"""What the page shows of units: best ones, detectors, the curve over fractions, causes, changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tailscope.core import read_json
from tailscope.experiment.causes import CAUSES
from tailscope.experiment.changes import CHANGES, partner_of
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.lens_config import DissectionLens
from tailscope.experiment.plan import Run, with_arms
from tailscope.experiment.test_set import RunGrid
from tailscope.experiment.units import CURVES, layers_path

_CAUSES = {
    "own_drop": "own_drop",
    "other_drop": "other_drop",
    "specificity": "specificity",
    "random_specificity": "random_specificity",
    "specificity_over_random": "over_random",
}
_SUMMARY = (
    "run",
    "arm",
    "seed",
    "layer",
    "units",
    "dead",
    "sparse",
    "live",
    "coverage",
    "redundancy",
    "detectors_total",
)


def unit_tables(
    folder: ExperimentFolder,
    lens: DissectionLens,
    grid: RunGrid,
    runs: tuple[Run, ...],
    groups: Mapping[str, str],
    estimates: pd.DataFrame,
) -> dict[str, pd.DataFrame | None]:
    """The tables of units as :class:`tailscope.report.ReportContent` takes them.

    Args:
        folder: With the evidence of all runs.
        lens: What was asked for; layers are names.
        grid: The runs that are compared.
        runs: The same runs.
        groups: Class to head, medium or tail; concepts that are no class are absent.
        estimates: Values of every metric, class and arm.
    """
    summaries = [
        {"run": run.name, "arm": run.arm, "seed": run.seed, **layer}
        for run in runs
        for layer in read_json(layers_path(folder, run.name))
    ]
    curves = folder.table(CURVES, grid.names)
    return {
        "units": _best_units(folder, grid, lens.layers[0], estimates),
        "layers": _layers(summaries),
        "detectors": pd.DataFrame(list(_detectors(summaries, groups))),
        "unit_layers": pd.DataFrame([{key: row[key] for key in _SUMMARY} for row in summaries]),
        "curve": curves.rename(columns={"best": "best_iou"}).assign(arm=curves["run"].map(grid.arm_of)),
        "causes": _causes(folder, runs) if lens.causes is not None else None,
        "cause_intervals": _cause_intervals(estimates, lens.layers[0]),
        "changes": _changes(folder, runs),
    }


def _best_units(folder: ExperimentFolder, grid: RunGrid, layer: str, estimates: pd.DataFrame) -> pd.DataFrame:
    """One row per class and arm: cross-fitted best unit, fixed-fraction best with its cap, concept counts."""
    found = estimates[estimates["lens"] == "dissection"]
    keys = ["class", "arm"]
    best = found[found["metric"] == "best_iou_matched"].rename(columns={"value": "crossfit"})
    counts = found[found["metric"] == "units_per_100"].rename(columns={"value": "units_per_100"})
    table = best.drop(columns=["lens", "metric"]).merge(counts[[*keys, "units_per_100"]], on=keys, how="left")
    fixed = folder.table("dissection", grid.names)
    fixed = fixed[(fixed["metric"] == "iou") & (fixed["layer"] == layer)]
    fixed = fixed.assign(arm=fixed["run"].map(grid.arm_of))
    per_run = fixed.groupby([*keys, "run"], as_index=False)[["value", "attainable"]].max()
    per_arm = per_run.groupby(keys, as_index=False)[["value", "attainable"]].mean()
    names = {"value": "best_iou_fixed", "attainable": "attainable_fixed"}
    return table.merge(per_arm.rename(columns=names), on=keys, how="left")


def _layers(summaries: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    rows = [
        {
            **{key: row[key] for key in ("arm", "layer", "units", "live", "dead")},
            "grid": "×".join(map(str, row["grid"])),
        }
        for row in summaries
    ]
    frame = pd.DataFrame(rows)
    return frame.groupby(["arm", "layer", "grid"], as_index=False, sort=False)[["units", "live", "dead"]].mean()


def _detectors(summaries: Iterable[Mapping[str, Any]], groups: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """One row per run, layer and concept."""
    for row in summaries:
        told = {key: row[key] for key in ("run", "arm", "seed", "layer")}
        for name, count in row["detectors"].items():
            numbers = {key: row[key].get(name) for key in ("position_only", "above_rule")}
            yield {
                **told,
                "class": name,
                "group": groups.get(name, ""),
                "detectors": count,
                **numbers,
                "reason": row["reasons"].get(name, ""),
            }


def _causes(folder: ExperimentFolder, runs: tuple[Run, ...]) -> pd.DataFrame:
    """One row per run and class, a column per number of the causal check."""
    table = folder.table(CAUSES, tuple(run.name for run in runs))
    keys = ["run", "layer", "class"]
    reasons = table.groupby(keys, sort=False, as_index=False)["reason"].first()
    values = table[table["metric"].isin(list(_CAUSES))].pivot(index=keys, columns="metric", values="value")
    wide = reasons.merge(values.rename(columns=_CAUSES).reset_index(), on=keys, how="left")
    return with_arms(wide, runs)


def _cause_intervals(estimates: pd.DataFrame, layer: str) -> pd.DataFrame:
    found = estimates[estimates["metric"] == "ablation_specificity_over_random"]
    return found[["arm", "class", "value", "lo", "hi"]].assign(layer=layer)


def _changes(folder: ExperimentFolder, runs: tuple[Run, ...]) -> pd.DataFrame | None:
    """One row per run with a partner and class."""
    held = tuple(run.name for run in runs if partner_of(run, runs, runs[0].arm))
    if not held:
        return None
    names = {"detectors_a": "detectors_control", "detectors_b": "detectors_arm"}
    return with_arms(folder.table(CHANGES, held).rename(columns=names), runs)
