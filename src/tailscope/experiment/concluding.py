"""From runs that have been looked at to the comparison and to all that the page shows."""

from __future__ import annotations

from tailscope.core import Progress
from tailscope.experiment.comparing import Comparison, compare_runs
from tailscope.experiment.ensembles import compare_ensembles
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.label_view_table import compare_label_views
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.reporting import report_content
from tailscope.experiment.roles import Roles
from tailscope.experiment.test_set import Grids, TestSet
from tailscope.experiment.timing import Timings
from tailscope.report import ReportContent


def conclude(
    folder: ExperimentFolder, prepared: Prepared, runs: tuple[Run, ...], roles: Roles, progress: Progress
) -> tuple[ReportContent, Comparison]:
    """Compare all runs with control, and gather what the page shows.

    Args:
        folder: It holds predictions and evidence of all runs.
        prepared: Configuration and data.
        runs: All runs, each looked at through every lens.
        roles: The part of each arm.
        progress: Who watches.
    """
    timings = Timings(folder.timings)
    compare = prepared.config.compare
    grids = Grids.of(runs, roles, prepared.config.seeds)
    test = TestSet.of(prepared.data, compare.resamples, compare.seed)
    with timings.stage("comparison"):
        comparison = compare_runs(folder, prepared, test, grids, progress)
        compare_ensembles(folder, prepared.config, test, grids.every)
        compare_label_views(folder, prepared, test, runs, roles, progress)
    with timings.stage("report"):
        return report_content(folder, prepared, grids, roles, comparison), comparison
