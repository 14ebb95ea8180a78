"""From evidence to findings: every arm against control, and the differences that AUROC and AP hide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from tailscope.experiment.gathering import all_samples
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.shortcut_table import COLUMNS as SHORTCUT_COLUMNS
from tailscope.experiment.shortcut_table import shortcut_table
from tailscope.experiment.similarity import grams_path
from tailscope.experiment.soundness import soundness_values
from tailscope.experiment.test_set import Grids, RunGrid, TestSet
from tailscope.experiment.units import crossfit_path
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
    """

    findings: pd.DataFrame
    hidden: pd.DataFrame
    estimates: pd.DataFrame
    shortcuts: pd.DataFrame
    soundness: pd.DataFrame
    similarity: pd.DataFrame
    relative: pd.DataFrame
    swaps: pd.DataFrame


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


def comparison_settings(section: CompareSection) -> ComparisonSettings:
    """The settings of the statistics; part of the frozen analysis plan."""
    return ComparisonSettings(equivalence_margin=section.equivalence_margin, lens_margin=section.lens_margin)


def compare_runs(
    folder: ExperimentFolder, prepared: Prepared, test: TestSet, grids: Grids, progress: Progress
) -> Comparison:
    """Compare all runs and write the tables of the comparison: ``findings.parquet`` and those beside it."""
    config = prepared.config
    paths = {name: folder.path / f"{file}.parquet" for name, file in _TABLES.items()}
    stage = Stage.of(folder.path / "findings.stage.json", tuple(paths.values()), _inputs(folder, config, grids))
    if stage.is_done:
        return Comparison(**{name: pd.read_parquet(path) for name, path in paths.items()})
    progress.say(f"comparing {len(grids.compared.arms)} arms over {len(config.seeds)} seeds")
    samples = all_samples(folder, prepared, test, grids.compared)
    settings = comparison_settings(config.compare)
    findings = compare([_without(cell, grids.outside) for cell in samples], settings)
    soundness = _soundness(folder, config, grids.compared)
    hidden = hidden_differences(findings, settings, _unsound(soundness))
    findings = pd.concat([findings, *_outside_families(samples, grids.outside, settings)], ignore_index=True)
    estimates = pd.concat([estimate_table(samples), _plain_estimates(folder, grids.every, test)], ignore_index=True)
    shortcuts = _shortcuts(folder, config, grids.compared, samples, settings)
    features = feature_tables(folder, prepared, test, grids.compared)
    found = Comparison(findings, hidden, estimates, shortcuts, soundness, *features)
    for name, path in paths.items():
        write_table(path, getattr(found, name))
    stage.finish()
    return found


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


def _without(cell: MetricSamples, outside: dict[str, str]) -> MetricSamples:
    return cell.of_arms(tuple(arm for arm in cell.arms if arm not in outside))


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


def _plain_estimates(folder: ExperimentFolder, grid: RunGrid, test: TestSet) -> pd.DataFrame:
    """Performance metrics that are described and not compared: the mean over seeds, without an interval."""
    table = folder.table("performance", grid.names)
    table = table[~table["metric"].isin(ComparisonSettings().performance)]
    table["arm"] = table["run"].map(grid.arm_of)
    keys = ["metric", "class", "arm"]
    means = table.groupby(keys, as_index=False, sort=False).agg(
        value=("value", "mean"), n=("n", "first"), reason=("reason", "first")
    )
    groups = dict(zip(test.classes, test.groups, strict=True))
    named = [groups.get(name, name) for name in means["class"]]
    return means.assign(lens="performance", group=named, lo=np.nan, hi=np.nan)


def _inputs(folder: ExperimentFolder, config: ExperimentConfig, grids: Grids) -> dict[str, object]:
    grid = grids.compared
    asked = [name for name in _LENSES if getattr(config.lenses, name) is not None]
    lenses = ["performance", *asked]
    files = [folder.evidence(lens, run) for lens in lenses for run in grid.names]
    files += [folder.evidence("shortcuts", run) for run in grid.names if _asks_for(config, "shortcuts")]
    files += [folder.evidence("soundness", run) for run in grid.first if _asks_for(config, "soundness")]
    files += [folder.run(run) / "predictions.parquet" for run in grids.every.names]
    if config.lenses.dissection is not None:
        files += [crossfit_path(folder, run) for run in grid.names]
        if config.lenses.dissection.causes is not None:
            files += [causes_path(folder, run) for run in grid.names]
    if config.lenses.representation is not None:
        files += [path for run in grid.names for path in _feature_files(folder, run)]
    return {
        "version": __version__,
        "arms": grid.arms,
        "seeds": grid.seeds,
        "runs": grids.every.names,
        "outside": grids.outside,
        "lenses": config.lenses.model_dump(mode="json"),
        "compare": config.compare.model_dump(),
        "files": [digest(path) for path in files],
    }


def _feature_files(folder: ExperimentFolder, run: str) -> list[Path]:
    """What similarity and swaps read of a run."""
    files = [head_path(folder, run), grams_path(folder, run)]
    return files if why_no_features(folder, run) else [*files, features_path(folder, run, "test")]
