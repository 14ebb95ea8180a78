"""What the label view does to an arm, and what a treatment does within a view; apart from the main findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tailscope.core import Progress, write_table
from tailscope.experiment.comparing import comparison_inputs, comparison_settings
from tailscope.experiment.folder import ExperimentFolder, Stage
from tailscope.experiment.gathering import all_samples
from tailscope.experiment.label_views import view_arms
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.roles import Roles
from tailscope.experiment.test_set import Grids, RunGrid, TestSet
from tailscope.experiment.view_config import view_arm
from tailscope.stats import ComparisonSettings, MetricSamples, compare

LABEL_VIEW_COLUMNS = (
    "comparison", "view", "treatment", "lens", "metric", "class", "group", "arm", "control", "value", "control_value",
    "n", "patients", "seeds", "difference", "lo", "hi", "se", "p", "p_adjusted", "margin", "verdict", "reason",
    "primary",
)  # fmt: skip
# Half a network of an arm with half of control's: of two views there is no common control.
_OF_CONTROL = ("auroc_with_control_head", "auroc_with_control_features")


def compare_label_views(
    folder: ExperimentFolder,
    prepared: Prepared,
    test: TestSet,
    runs: tuple[Run, ...],
    roles: Roles,
    progress: Progress,
) -> None:
    """Compare the label views and write ``label_views.parquet``; nothing where there is one view."""
    arms = view_arms(prepared.config, roles)
    if not arms:
        return
    seeds, views = prepared.config.seeds, tuple(prepared.further)
    labels = (*arms, *(view_arm(arm, view) for view in views for arm in arms))
    grid, path = RunGrid.of(runs, labels, seeds), label_views_path(folder)
    inputs = comparison_inputs(folder, prepared.config, Grids(grid, grid, {}))
    stage = Stage.of(folder.path / "label_views.stage.json", (path,), inputs)
    if stage.is_done:
        return
    progress.say(f"comparing {1 + len(views)} label views of {len(arms)} arms")
    own = all_samples(folder, prepared, test, RunGrid.of(runs, arms, seeds))
    of_view = {}
    for view, data in prepared.further.items():
        its = RunGrid.of(runs, tuple(view_arm(arm, view) for arm in arms), seeds)
        of_view[view] = all_samples(folder, replace(prepared, data=data), test, its)
    write_table(path, label_view_table(own, of_view, comparison_settings(prepared.config.compare)))
    stage.finish()


def label_views_path(folder: ExperimentFolder) -> Path:
    """Where the table lies."""
    return folder.path / "label_views.parquet"


def label_view_table(
    own: list[MetricSamples], of_view: dict[str, list[MetricSamples]], settings: ComparisonSettings
) -> pd.DataFrame:
    """Every further view against the first, treatment by treatment; and every treatment against control in each view.

    Each treatment, and each view, is a comparison of its own: its families are one metric over classes × further views,
    or over classes × treatments, with their own floor and pooled seed variance. None touches the main families.

    Args:
        own: The cells of the first view, arms control first.
        of_view: By further view, the cells of the same arms in the same order.
        settings: The frozen plan.

    Returns:
        Columns :data:`LABEL_VIEW_COLUMNS`; ``comparison`` is ``view`` or ``treatment``.

    Source: METHODS section 7.

    Example:
        >>> label_view_table([], {}, ComparisonSettings()).empty
        True
    """
    parts = [*_between_views(own, of_view, settings), *_within_views(of_view, settings)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.reindex(columns=list(LABEL_VIEW_COLUMNS))


def _between_views(
    own: list[MetricSamples], of_view: dict[str, list[MetricSamples]], settings: ComparisonSettings
) -> Iterator[pd.DataFrame]:
    arms = own[0].arms if own else ()
    for arm in arms:
        labels = {view_arm(arm, view): view for view in of_view}
        cells = list(_joined(own, of_view, arm))
        found = compare(cells, settings)
        yield _valued(found, cells).assign(comparison="view", view=found["arm"].map(labels), treatment=arm)


def _within_views(of_view: dict[str, list[MetricSamples]], settings: ComparisonSettings) -> Iterator[pd.DataFrame]:
    for view, cells in of_view.items():
        found = compare(cells, settings)
        treatment = found["arm"].str.removesuffix(f" [{view}]")
        yield _valued(found, cells).assign(comparison="treatment", view=view, treatment=treatment)


def _joined(own: list[MetricSamples], of_view: dict[str, list[MetricSamples]], arm: str) -> Iterator[MetricSamples]:
    """The cells of one treatment with a row per view; a cell that a view has no value of is left out."""
    known = {view: {_place(cell): cell for cell in cells} for view, cells in of_view.items()}
    for cell in own:
        others = [(view_arm(arm, view), cells.get(_place(cell))) for view, cells in known.items()]
        if cell.metric in _OF_CONTROL or any(other is None for _, other in others):
            continue
        parts = [cell.of_arms((arm,)), *(other.of_arms((label,)) for label, other in others if other is not None)]
        yield replace(
            cell,
            arms=tuple(part.arms[0] for part in parts),
            values=np.concatenate([part.values for part in parts]),
            resampled=np.concatenate([part.resampled for part in parts]),
            reason=next((part.reason for part in parts if part.reason), ""),
        )


def _place(cell: MetricSamples) -> tuple[str, str, str]:
    return cell.lens, cell.metric, cell.class_name


def _valued(found: pd.DataFrame, cells: list[MetricSamples]) -> pd.DataFrame:
    """The findings with the mean over seeds of both arms."""
    values = {
        (*_place(cell), arm): float(row.mean())
        for cell in cells
        for arm, row in zip(cell.arms, cell.values, strict=True)
    }
    places = list(zip(found["lens"], found["metric"], found["class"], strict=True))
    for column, name in (("arm", "value"), ("control", "control_value")):
        found[name] = [values[(*place, arm)] for place, arm in zip(places, found[column], strict=True)]
    return found
