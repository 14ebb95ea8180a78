"""The tables of the page's chapter on alignment, from the evidence of all runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tailscope.core import ExperimentData
from tailscope.experiment.alignment_views import view_table
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.attributing import metric_name
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.saliency import LOCALIZATION, maps_path
from tailscope.experiment.test_set import RunGrid
from tailscope.stats import AGGREGATES

_Attainable = dict[tuple[str, str, str], float]

_PRIMARY = "mass_inside"
_EXCESS = "excess_"
_ATTAINABLE_PAIRS = 32  # per class; the mean over more moves in the third decimal


def alignment_tables(
    folder: ExperimentFolder, prepared: Prepared, grid: RunGrid, estimates: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables of the chapter by their names in ``ReportContent``; none where no test image is annotated."""
    evidence = folder.table("alignment", grid.names)
    if evidence.empty:
        return {}
    evidence = evidence.assign(arm=evidence["run"].map(grid.arm_of))
    groups = dict(zip(estimates["class"], estimates["group"], strict=True))
    return {
        "alignment": score_table(evidence, _attainable(folder, prepared, grid), estimates, groups),
        "references": reference_table(evidence, groups),
        "views": views_table(folder, grid, evidence, groups, prepared.data.classes),
        "sizes": size_table(evidence),
        "localization": localization_means(folder, grid, groups),
    }


def reference_table(evidence: pd.DataFrame, groups: dict[str, str]) -> pd.DataFrame:
    """Mean excess of the primary metric over each reference: class (and averages), arm, method, reference, excess."""
    evidence = _primary(evidence)
    names = [str(name) for name in evidence.columns if str(name).startswith(_EXCESS)]
    long = evidence[["class", "arm", "method", *names]].melt(["class", "arm", "method"], names, "reference", "excess")
    long["reference"] = long["reference"].astype(str).str.removeprefix(_EXCESS)
    means = long.groupby(["class", "arm", "method", "reference"], as_index=False, sort=False)["excess"].mean()
    means = means[means["excess"].notna()]
    return _with_averages(means, ["arm", "method", "reference"], groups)


def views_table(
    folder: ExperimentFolder, grid: RunGrid, evidence: pd.DataFrame, groups: dict[str, str], classes: tuple[str, ...]
) -> pd.DataFrame:
    """The primary metric over other selections of the pairs: class (and averages), arm, method, view, excess, n."""
    views = view_table(folder, grid, _primary(evidence), classes)
    return _with_averages(views, ["arm", "method", "view"], groups, among=_in_every_arm(views))


def size_table(evidence: pd.DataFrame) -> pd.DataFrame:
    """The primary metric by size of the annotation, mean over pairs and seeds; n counts pairs."""
    evidence = _primary(evidence)
    keys = ["arm", "method", "size"]
    means = evidence.groupby(keys, as_index=False, sort=False)[["area", "value", "reference", "excess"]].mean()
    pairs = evidence.drop_duplicates([*keys, "image_id", "class"])
    counts = pairs.groupby(keys, sort=False)["image_id"].count().rename("n").reset_index()
    return means.merge(counts, on=keys)


def localization_means(folder: ExperimentFolder, grid: RunGrid, groups: dict[str, str]) -> pd.DataFrame:
    """Share of annotations localised at every limit, and the same against other patients' annotations."""
    evidence = folder.table(LOCALIZATION, grid.names)
    evidence["arm"] = evidence["run"].map(grid.arm_of)
    keys = ["class", "arm", "method", "overlap", "at"]
    means = evidence.groupby(keys, as_index=False, sort=False)[["value", "reference"]].mean()
    return _with_averages(means, keys[1:], groups)


def _primary(evidence: pd.DataFrame) -> pd.DataFrame:
    return evidence[evidence["metric"] == _PRIMARY]


def _in_every_arm(views: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of a class that every arm has in that view: a mean over other classes would compare nothing."""
    counts = views.groupby(["class", "method", "view"])["arm"].transform("nunique")
    return counts == views["arm"].nunique()


def _with_averages(
    means: pd.DataFrame, keys: list[str], groups: dict[str, str], *, among: pd.Series[bool] | None = None
) -> pd.DataFrame:
    """The rows of all classes, and their means over all and over the head, the medium and the tail classes.

    ``among`` says which rows the means are over.
    """
    averaged = means if among is None else means[among]
    group = averaged["class"].map(groups)
    tables = [means]
    for name in AGGREGATES:
        part = averaged[(group == name) | (name == "macro")].drop(columns="class")
        tables.append(part.groupby(keys, as_index=False, sort=False).mean().assign(**{"class": name}))
    return pd.concat(tables, ignore_index=True)


def score_table(
    evidence: pd.DataFrame, attainable: _Attainable, estimates: pd.DataFrame, groups: dict[str, str]
) -> pd.DataFrame:
    """One row per class, arm, method and metric: value, reference, excess with its interval, and the attainable."""
    keys = ["class", "arm", "method", "metric"]
    means = evidence.groupby(keys, as_index=False, sort=False)[["value", "reference", "excess"]].mean()
    shares = evidence.assign(degenerate=evidence["degenerate"].astype(float))
    means["degenerate"] = shares.groupby(keys, sort=False)["degenerate"].mean().to_numpy()
    places = zip(means["class"], means["method"], means["metric"], strict=True)
    means["attainable"] = [attainable.get(key, np.nan) for key in places]
    means = _with_averages(means, keys[1:], groups)
    means["name"] = [metric_name(*pair) for pair in zip(means["method"], means["metric"], strict=True)]
    found = estimates[estimates["lens"] == "alignment"].rename(columns={"metric": "name"})
    wanted = found[["class", "group", "arm", "name", "lo", "hi", "n", "patients"]]
    return means.merge(wanted, on=["class", "arm", "name"]).drop(columns="name")


def _attainable(folder: ExperimentFolder, prepared: Prepared, grid: RunGrid) -> _Attainable:
    """(class, method, metric) to the mean best value that a map on the method's grid can reach."""
    lens, data = prepared.config.lenses.alignment, prepared.data
    if lens is None:
        return {}
    masks, metrics = _some_masks(data), lens.built_metrics()
    sides = {
        method.name: np.load(maps_path(folder, grid.names[0], method.name), mmap_mode="r").shape[1:]
        for method in lens.attributions
    }
    best = {
        (name, side, key): float(np.mean([metric.attainable(mask, side) for mask in some]))
        for name, some in masks.items()
        for side in set(sides.values())
        for key, metric in metrics.items()
    }
    return {
        (name, method, key): best[name, side, key]
        for name in masks
        for method, side in sides.items()
        for key in metrics
    }


def _some_masks(data: ExperimentData) -> dict[str, list[Any]]:
    pairs = annotated_test_pairs(data)
    masks: dict[str, list[Any]] = {}
    for row, number in pairs.tolist():
        name = data.classes[number]
        if len(masks.setdefault(name, [])) < _ATTAINABLE_PAIRS:
            masks[name].append(data.mask(row, name))
    return masks
