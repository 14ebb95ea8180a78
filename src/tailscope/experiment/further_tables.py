"""What stands beside the findings: checks of the statistics, standing, calibration, decisions, subgroups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tailscope.experiment.cross_checks import cross_checks
from tailscope.experiment.false_alarms import false_alarm_table
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.gathering import all_samples
from tailscope.experiment.performance_curves import calibration_curves, decision_curves
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.standing import standing_tables
from tailscope.experiment.subgroup_columns import subgroup_columns
from tailscope.experiment.subgroup_samples import Scored
from tailscope.experiment.subgroups import subgroup_tables
from tailscope.experiment.test_set import Grids, TestSet
from tailscope.report import PerformanceTables, StatisticsTables
from tailscope.stats import ComparisonSettings, MetricSamples


@dataclass(frozen=True, eq=False)
class Material:
    """What a comparison works on.

    Args:
        folder: Of the experiment.
        prepared: Configuration and data.
        test: The test split.
        grids: The runs.
        settings: The frozen plan.
    """

    folder: ExperimentFolder
    prepared: Prepared
    test: TestSet
    grids: Grids
    settings: ComparisonSettings

    def inside(self, samples: list[MetricSamples]) -> list[MetricSamples]:
        """The cells without the arms that take part in no family."""
        return [cell.of_arms(tuple(arm for arm in cell.arms if arm not in self.grids.outside)) for cell in samples]


def statistics_of(
    material: Material, samples: list[MetricSamples], findings: pd.DataFrame, unsound: Mapping[str, str]
) -> StatisticsTables:
    """How the treatments stand, and checks of the findings.

    Args:
        material: What is compared.
        samples: The cells of all arms.
        findings: Every finding, arms outside the families included.
        unsound: Primary metrics whose instrument failed its checks, with the reason.
    """
    folder, prepared, test, grids = material.folder, material.prepared, material.test, material.grids
    again = [] if grids.again is None else all_samples(folder, prepared, test, grids.again)
    logits = Predicted.read(folder, prepared.data, grids.compared).logits
    prevalence = dict(zip(prepared.data.classes, prepared.data.counts.prevalences, strict=True))
    inside = findings[~findings["arm"].isin(grids.outside)]
    seed = prepared.config.compare.seed
    standing = standing_tables(material.inside(samples), inside, prevalence, material.settings, seed)
    return StatisticsTables(
        false_alarms=false_alarm_table(again, material.settings, unsound),
        cross_checks=cross_checks(test, grids.compared, logits, samples, findings),
        ranks=standing.ranks,
        trends=standing.trends,
        precision=standing.precision,
    )


def performance_of(material: Material) -> PerformanceTables:
    """Calibration and decisions of every arm, also those judged by it alone; subgroups of the arms compared."""
    prepared, test, grids = material.prepared, material.test, material.grids
    every = Predicted.read(material.folder, prepared.data, grids.every)
    compared = Predicted.read(material.folder, prepared.data, grids.compared)
    columns = subgroup_columns(prepared.data, asked_subgroups(prepared))
    cut = subgroup_tables(Scored.of(test, grids.compared, compared), columns)
    return PerformanceTables(
        calibration_curves=calibration_curves(test, grids.every, every),
        decision_curves=decision_curves(test, grids.every, every.logits, material.settings),
        uncorrected=pd.DataFrame(list(every.notes.items()), columns=["arm", "reason"]),
        subgroups=cut.subgroups,
        subgroup_gaps=cut.gaps,
    )


def asked_subgroups(prepared: Prepared) -> tuple[str, ...] | None:
    """The columns that the configuration names; None takes all that qualify, an empty tuple none."""
    return prepared.config.lenses.performance.subgroups
