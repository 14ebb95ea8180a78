"""From evidence to findings: every arm against control, and the differences that AUROC and AP hide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from tailscope import __version__
from tailscope.alignment import VERDICT_COLUMNS, method_verdicts, soundness_verdicts
from tailscope.core import Progress, digest, write_table
from tailscope.experiment.attributing import metric_name
from tailscope.experiment.causes import causes_path
from tailscope.experiment.config import CompareSection, ExperimentConfig
from tailscope.experiment.feature_tables import feature_tables
from tailscope.experiment.features import features_path, head_path, why_no_features
from tailscope.experiment.folder import ExperimentFolder, Stage
from tailscope.experiment.further_tables import Material, performance_of, statistics_of
from tailscope.experiment.gathering import all_samples
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.shortcut_table import COLUMNS as SHORTCUT_COLUMNS
from tailscope.experiment.shortcut_table import shortcut_table
from tailscope.experiment.similarity import grams_path
from tailscope.experiment.soundness import soundness_values
from tailscope.experiment.test_set import Grids, RunGrid, TestSet
from tailscope.experiment.units import crossfit_path
from tailscope.report import PerformanceTables, StatisticsTables
from tailscope.stats import ComparisonSettings, MetricSamples, arm_estimate, compare, hidden_differences

IDENTICAL = "identical by construction"
_LENSES = ("alignment", "dissection", "representation")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The tables of a comparison; columns as in :mod:`tailscope.stats`.

    Args:
        findings: One row per lens metric, class and arm.
        hidden: Hidden differences, candidates, and differences that are not visible.
        estimates: One row per lens metric, class and arm: value with its 95 % interval.
        shortcuts: One row per class, confounder and arm; empty without the audit.
        soundness: One row per attribution method, arm and check; empty without the checks.
        similarity: One row per layer and pair of runs; this and the next two are empty without the lens.
        relative: One row per layer and arm: similarity with control, beside that of two controls.
        swaps: One row per arm, seed, class and combination of features and head.
        statistics: How the treatments stand, and checks of the findings.
        performance: Calibration, decisions and subgroups.
    """

    findings: pd.DataFrame
    hidden: pd.DataFrame
    estimates: pd.DataFrame
    shortcuts: pd.DataFrame
    soundness: pd.DataFrame
    similarity: pd.DataFrame
    relative: pd.DataFrame
    swaps: pd.DataFrame
    statistics: StatisticsTables
    performance: PerformanceTables


_TABLES = {
    "findings": "findings",
    "hidden": "hidden_differences",
    "estimates": "estimates",
    "shortcuts": "shortcuts",
    "soundness": "soundness",
    "similarity": "similarity",
    "relative": "relative_similarity",
    "swaps": "head_swaps",
}
_GROUPS: dict[str, type[StatisticsTables] | type[PerformanceTables]] = {
    "statistics": StatisticsTables,
    "performance": PerformanceTables,
}


def comparison_settings(section: CompareSection) -> ComparisonSettings:
    """The settings of the statistics; part of the frozen analysis plan."""
    return ComparisonSettings(equivalence_margin=section.equivalence_margin, lens_margin=section.lens_margin)


def compare_runs(
    folder: ExperimentFolder, prepared: Prepared, test: TestSet, grids: Grids, progress: Progress
) -> Comparison:
    """Compare all runs and write the tables of the comparison: ``findings.parquet`` and those beside it."""
    config = prepared.config
    paths = _paths(folder)
    stage = Stage.of(
        folder.path / "findings.stage.json", tuple(paths.values()), comparison_inputs(folder, config, grids)
    )
    if stage.is_done:
        return _read(paths)
    progress.say(f"comparing {len(grids.compared.arms)} arms over {len(config.seeds)} seeds")
    material = Material(folder, prepared, test, grids, comparison_settings(config.compare))
    found = _compared(material, all_samples(folder, prepared, test, grids.compared))
    for name, path in paths.items():
        write_table(path, _table(found, name))
    stage.finish()
    return found


def _compared(material: Material, samples: list[MetricSamples]) -> Comparison:
    folder, grids, settings = material.folder, material.grids, material.settings
    config = material.prepared.config
    findings = compare(material.inside(samples), settings)
    soundness = _soundness(folder, config, grids.compared)
    unsound = _unsound(soundness)
    hidden = hidden_differences(findings, settings, unsound)
    findings = pd.concat([findings, *_outside_families(samples, grids.outside, settings)], ignore_index=True)
    estimates = estimate_table(samples)
    plain = _plain_estimates(folder, grids.every, material.test, estimates)
    return Comparison(
        findings,
        hidden,
        pd.concat([estimates, plain], ignore_index=True),
        _shortcuts(folder, config, grids.compared, samples, settings),
        soundness,
        *feature_tables(folder, material.prepared, material.test, grids.compared),
        statistics=statistics_of(material, samples, findings, unsound),
        performance=performance_of(material),
    )


def _paths(folder: ExperimentFolder) -> dict[str, Path]:
    """The file of every table; those of a group as ``group.table``."""
    names = dict(_TABLES)
    for group, kind in _GROUPS.items():
        names |= {f"{group}.{part.name}": part.name for part in fields(kind)}
    return {name: folder.path / f"{file}.parquet" for name, file in names.items()}


def _table(found: Comparison, name: str) -> pd.DataFrame:
    group, _, part = name.rpartition(".")
    table = getattr(getattr(found, group) if group else found, part)
    return pd.DataFrame() if table is None else table


def _read(paths: dict[str, Path]) -> Comparison:
    tables = {name: pd.read_parquet(path) for name, path in paths.items()}
    groups = {
        group: kind(**{part.name: tables[f"{group}.{part.name}"] for part in fields(kind)})
        for group, kind in _GROUPS.items()
    }
    return Comparison(**{name: tables[name] for name in _TABLES}, **groups)  # type: ignore[arg-type]


def _soundness(folder: ExperimentFolder, config: ExperimentConfig, grid: RunGrid) -> pd.DataFrame:
    """The verdict on every attribution method, from the first seed of every arm."""
    if not _asks_for(config, "soundness"):
        return pd.DataFrame(columns=list(VERDICT_COLUMNS))
    return soundness_verdicts(soundness_values(folder, {name: grid.arm_of[name] for name in grid.first}))


def _unsound(soundness: pd.DataFrame) -> dict[str, str]:
    """Primary metrics of methods that fail a check, with the reason."""
    judged = method_verdicts(soundness)
    failed = judged[judged["verdict"] == "fails"]
    reasons = zip(failed["method"], failed["sentence"], strict=True)
    return {metric_name(method, "mass_inside"): why for method, why in reasons}


def _shortcuts(
    folder: ExperimentFolder,
    config: ExperimentConfig,
    grid: RunGrid,
    samples: list[MetricSamples],
    settings: ComparisonSettings,
) -> pd.DataFrame:
    """The shortcut audit of every class, confounder and arm."""
    if not _asks_for(config, "shortcuts"):
        return pd.DataFrame(columns=list(SHORTCUT_COLUMNS))
    return shortcut_table(samples, folder.table("shortcuts", grid.names), grid, settings)


def _asks_for(config: ExperimentConfig, part: str) -> bool:
    """Whether the alignment lens has a part that can be left out."""
    return config.lenses.alignment is not None and getattr(config.lenses.alignment, part) is not None


def _outside_families(
    samples: list[MetricSamples], outside: dict[str, str], settings: ComparisonSettings
) -> Iterator[pd.DataFrame]:
    """Arms that rank as control by construction: their intervals are shown, and they take part in no family."""
    for arm, why in outside.items():
        found = compare([cell.of_arms((cell.arms[0], arm)) for cell in samples], settings)
        yield found.assign(p_adjusted=np.nan, verdict=IDENTICAL, reason=why, primary=False)


def estimate_table(samples: list[MetricSamples]) -> pd.DataFrame:
    """Value and 95 % interval of every arm."""
    records = []
    for cell in samples:
        for number, arm in enumerate(cell.arms):
            record = {
                "lens": cell.lens, "metric": cell.metric, "class": cell.class_name, "group": cell.group, "arm": arm,
            }  # fmt: skip
            estimate = arm_estimate(cell, number)
            numbers = {"value": estimate.value, "lo": estimate.lo, "hi": estimate.hi}
            records.append({**record, **numbers, "n": cell.n, "patients": cell.patients, "reason": estimate.reason})
    return pd.DataFrame(records)


def _plain_estimates(folder: ExperimentFolder, grid: RunGrid, test: TestSet, compared: pd.DataFrame) -> pd.DataFrame:
    """Performance metrics of the arms in which they are not compared: the mean over seeds, without an interval."""
    table = folder.table("performance", grid.names)
    table = table[~table["metric"].isin(ComparisonSettings().performance)]
    table["arm"] = table["run"].map(grid.arm_of)
    done = set(zip(compared["metric"], compared["arm"], strict=True))
    table = table[[key not in done for key in zip(table["metric"], table["arm"], strict=True)]]
    keys = ["metric", "class", "arm"]
    means = table.groupby(keys, as_index=False, sort=False).agg(
        value=("value", "mean"), n=("n", "first"), reason=("reason", "first")
    )
    groups = dict(zip(test.classes, test.groups, strict=True))
    named = [groups.get(name, name) for name in means["class"]]
    return means.assign(lens="performance", group=named, lo=np.nan, hi=np.nan)


def comparison_inputs(folder: ExperimentFolder, config: ExperimentConfig, grids: Grids) -> dict[str, object]:
    """All that the tables of a comparison depend on."""
    grid = grids.compared
    again = () if grids.again is None else grids.again.names
    looked = tuple(dict.fromkeys((*grid.names, *again)))
    asked = [name for name in _LENSES if getattr(config.lenses, name) is not None]
    lenses = ["performance", *asked]
    files = [folder.evidence(lens, run) for lens in lenses for run in looked]
    files += [folder.evidence("shortcuts", run) for run in looked if _asks_for(config, "shortcuts")]
    files += [folder.evidence("soundness", run) for run in grid.first if _asks_for(config, "soundness")]
    judged = dict.fromkeys((*grids.every.names, *again))
    files += [
        path
        for run in judged
        for path in (folder.predictions(run), folder.run(run) / "run.json", folder.run(run) / "audit.json")
    ]
    if config.lenses.dissection is not None:
        files += [crossfit_path(folder, run) for run in looked]
        if config.lenses.dissection.causes is not None:
            files += [causes_path(folder, run) for run in looked]
    if config.lenses.representation is not None:
        files += [path for run in looked for path in _feature_files(folder, run)]
    return {
        "version": __version__,
        "arms": grid.arms,
        "seeds": grid.seeds,
        "runs": grids.every.names,
        "again": again,
        "outside": grids.outside,
        "lenses": config.lenses.model_dump(mode="json"),
        "compare": config.compare.model_dump(),
        "files": [digest(path) for path in files],
    }


def _feature_files(folder: ExperimentFolder, run: str) -> list[Path]:
    """What similarity and swaps read of a run."""
    files = [head_path(folder, run), grams_path(folder, run)]
    return files if why_no_features(folder, run) else [*files, features_path(folder, run, "test")]
