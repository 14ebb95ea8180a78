"""Gather everything that the page shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from tailscope import __version__
from tailscope.alignment import stage_estimates
from tailscope.core import read_json
from tailscope.experiment.alignment_tables import alignment_tables
from tailscope.experiment.audit_tables import (
    adjustment_notes,
    audit_table,
    balance_table,
    draw_table,
    gradient_shares,
    trained_with,
)
from tailscope.experiment.comparing import Comparison
from tailscope.experiment.feature_tables import representation_tables
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.gallery import gallery_cases
from tailscope.experiment.label_view_table import label_views_path
from tailscope.experiment.plan import Run, planned_runs
from tailscope.experiment.preparing import Prepared, class_table
from tailscope.experiment.reading import public_yaml
from tailscope.experiment.roles import Roles
from tailscope.experiment.same_predictions import same_as_control
from tailscope.experiment.soundness import soundness_values
from tailscope.experiment.test_set import Grids, RunGrid
from tailscope.experiment.trajectory import first_epochs, trajectory_table
from tailscope.experiment.unit_cards import card_pictures
from tailscope.experiment.unit_tables import unit_tables
from tailscope.report import ReportContent, RepresentationTables


def report_content(
    folder: ExperimentFolder, prepared: Prepared, grids: Grids, roles: Roles, comparison: Comparison
) -> ReportContent:
    """Everything that the page shows, read from the artifacts of an experiment."""
    config, data, grid = prepared.config, prepared.data, grids.compared
    classes = class_table(data)
    groups = dict(zip(classes["class"], classes["group"], strict=True))
    has_cards = config.lenses.dissection is not None and config.lenses.dissection.cards > 0
    has_maps = config.lenses.alignment is not None
    method = config.lenses.alignment.attributions[0].name if config.lenses.alignment is not None else ""
    return ReportContent(
        name=config.name,
        created=datetime.fromtimestamp(folder.findings.stat().st_mtime, UTC).isoformat(timespec="minutes"),
        version=__version__,
        arms=grid.arms,
        seeds=grid.seeds,
        notes=prepared.notes,
        settings_yaml=public_yaml(config),
        identical={**roles.monotone, **roles.outside},
        same_predictions=same_as_control(folder, grid),
        calibrated_only=tuple(roles.monotone),
        trained_with=trained_with(config, data.counts, roles.monotone),
        adjustment_notes=adjustment_notes(folder, config, grids.every),
        ensembles=_table(folder.path / "ensembles.parquet") if roles.ensembles else None,
        tuning=_table(folder.path / "tuning.parquet"),
        label_views=_table(label_views_path(folder)) if prepared.further else None,
        provenance={
            **read_json(folder.provenance),
            **_fairness(folder, grids.every),
            "seconds": read_json(folder.timings),
        },
        test_images=int(data.rows("test").size),
        tested_on=prepared.tested_on,
        elsewhere=(),  # known when all further sets have been looked at
        margin=config.compare.equivalence_margin,
        lens_margin=config.compare.lens_margin,
        gallery_note=_gallery_note(method, grid) if has_maps else "",
        class_table=classes,
        estimates=comparison.estimates,
        findings=comparison.findings,
        hidden=comparison.hidden,
        statistics=comparison.statistics,
        performance=comparison.performance,
        **(alignment_tables(folder, prepared, grid, comparison.estimates) if has_maps else {}),
        shortcuts=comparison.shortcuts,
        soundness=comparison.soundness,
        stages=_stages(folder, grid, comparison),
        **_unit_tables(folder, prepared, grid, groups, comparison.estimates),
        **_trajectory(folder, prepared, grid),
        unit_cards=card_pictures(folder, data, grid) if has_cards else (),
        representation=_representation(folder, prepared, grid, comparison),
        history=pd.concat([pd.read_parquet(folder.run(run) / "history.parquet") for run in grid.names]),
        audit=audit_table(folder, grids.every),
        gradient_shares=gradient_shares(folder, grid),
        draws=draw_table(folder, grid),
        balance=balance_table(folder, grid),
        gallery=gallery_cases(folder, data, grid, groups, method) if has_maps else (),
    )


def _gallery_note(method: str, grid: RunGrid) -> str:
    return f"Still pictures: maps of {method}; all maps are from the first seed ({grid.seeds[0]}) of each arm."


def _unit_tables(
    folder: ExperimentFolder, prepared: Prepared, grid: RunGrid, groups: dict[str, str], estimates: pd.DataFrame
) -> dict[str, pd.DataFrame | None]:
    lens = prepared.config.lenses.dissection
    if lens is None:
        return {}
    return unit_tables(folder, lens, grid, _runs(prepared, grid), groups, estimates)


def _trajectory(folder: ExperimentFolder, prepared: Prepared, grid: RunGrid) -> dict[str, pd.DataFrame]:
    if not prepared.config.training.keep_checkpoints:
        return {}
    trajectory = trajectory_table(folder, _runs(prepared, grid))
    return {"trajectory": trajectory, "first_epochs": first_epochs(trajectory)}


def _representation(
    folder: ExperimentFolder, prepared: Prepared, grid: RunGrid, comparison: Comparison
) -> RepresentationTables:
    if prepared.config.lenses.representation is None:
        return RepresentationTables()
    compared = comparison.findings, comparison.estimates
    features = comparison.similarity, comparison.relative, comparison.swaps
    return representation_tables(folder, _runs(prepared, grid), compared, features)


def _runs(prepared: Prepared, grid: RunGrid) -> tuple[Run, ...]:
    """The runs of the grid, in its order."""
    by_name = {run.name: run for run in planned_runs(prepared.config, prepared.data)}
    return tuple(by_name[name] for name in grid.names)


def _stages(folder: ExperimentFolder, grid: RunGrid, comparison: Comparison) -> pd.DataFrame | None:
    """How the maps move away from the trained network's, stage by stage of its randomisation."""
    if comparison.soundness.empty:
        return None
    return stage_estimates(soundness_values(folder, {name: grid.arm_of[name] for name in grid.first}))


def _fairness(folder: ExperimentFolder, grid: RunGrid) -> dict[str, Any]:
    """Whether runs of one seed began alike and saw the same batches."""
    records = {run: read_json(folder.run(run) / "run.json") for run in grid.names}
    facts = {}
    for key in ("initial_weights", "batch_order"):
        facts[key] = {
            f"seed {seed}": {
                grid.arm_of[run]: record[key][:12] for run, record in records.items() if record["seed"] == seed
            }
            for seed in grid.seeds
        }
    return {"fair_comparison": facts}


def _table(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.exists() else None
