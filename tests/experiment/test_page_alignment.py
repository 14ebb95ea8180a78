"""The folded tables on alignment of a page, computed again from evidence, predictions and localisation."""

from __future__ import annotations

import math

import numpy as np
from printed_numbers import AGGREGATES, PREVALENCE, named, percent, printed, rounded, whole
from reading import titled

REFERENCES = {
    "centre_gaussian": "a hill in the middle",
    "class_mean_annotation": "the class's mean training annotation",
    "edge": "the image's edges",
    "random": "noise",
    "uniform": "no saliency anywhere in particular",
    "untrained": "the network before training",
    "other_map": "the map of another class",
}
VIEWS = ("all pairs", "true positives", "called by both arms", "degenerate maps dropped", "degenerate maps as a miss")


def primary(shown):
    evidence = shown.evidence("alignment")
    return evidence[evidence["metric"] == "mass_inside"]


def groups_of(shown):
    return shown.table("data/class_counts").set_index("class")["group"]


def averaged(means, groups):
    """The means of classes, and their means over all and over each group, by class and arm."""
    found = dict(means)
    for name in AGGREGATES:
        for arm in {arm for _, arm in means}:
            among = [value for (one, own), value in means.items() if own == arm and name in ("macro", groups[one])]
            found[name, arm] = float(np.mean(among)) if among and not np.isnan(among).all() else math.nan
    return found


def check_columns(rows, column, expected):
    """Every printed row has the expected number, a dash where there is none; and none is missing."""
    printed_rows = printed(rows, "class", "arm")
    known = {key: value for key, value in expected.items() if not math.isnan(value)}
    assert known
    for (name, arm), row in printed_rows.items():
        value = known.get((name.removesuffix(" (average)"), arm), math.nan)
        assert row[column] == rounded(value, plus=True), (name, arm, column)
    assert {(named(name), arm) for name, arm in known} <= set(printed_rows)


def test_the_excess_over_every_other_reference_is_that_of_the_evidence(shown):
    evidence, rows = primary(shown), titled(shown.part("alignment"), "Excess over other references")
    columns = [name.removeprefix("excess_") for name in evidence.columns if name.startswith("excess_")]
    columns = [name for name in columns if evidence[f"excess_{name}"].notna().any()]
    assert {"untrained", "class_mean_annotation", "other_map"} <= set(columns)
    for name in columns:
        means = evidence.groupby(["class", "arm"])[f"excess_{name}"].mean().to_dict()
        check_columns(rows, REFERENCES[name], averaged(means, groups_of(shown)))


def test_the_excess_of_every_other_view_is_that_of_evidence_and_predictions(shown):
    rows, pairs = titled(shown.part("alignment"), "Other views of the same pairs"), primary(shown)
    calls = called(shown)
    keys = [*zip(pairs["run"], pairs["image_id"], pairs["class"], strict=True)]
    arms, seeds = shown.arms, {run: run.rsplit("-", 2)[1] for run in shown.arms}
    control = {seeds[run]: run for run, arm in arms.items() if arm == "control"}
    own = np.array([calls[key] for key in keys])
    both = own & np.array([calls[control[seeds[run]], image, name] for run, image, name in keys])
    flat = pairs["degenerate"].to_numpy(dtype=bool)
    missed = pairs.assign(excess=np.where(flat, -pairs["reference"], pairs["excess"]))
    selections = (pairs, pairs[own], pairs[both], pairs[~flat], missed)
    for view, selected in zip(VIEWS, selections, strict=True):
        means = selected.groupby(["class", "arm"])["excess"].mean().to_dict()
        in_both = {key: value for key, value in means.items() if {(key[0], arm) for arm in arms.values()} <= set(means)}
        check_columns(rows, view, {**averaged(in_both, groups_of(shown)), **means})


def called(shown):
    """Whether each run calls a test pair positive: above the score that 95 % of its validation negatives reach not."""
    found = {}
    for (run, name), mine in shown.predictions.groupby(["run", "class"]):
        val, test = (mine[mine["split"] == split] for split in ("val", "test"))
        negatives = np.sort(val.loc[val["target"] == 0, "logit"].to_numpy(dtype=float))
        limit = negatives[math.ceil(0.95 * len(negatives)) - 1]
        above = test["logit"].to_numpy(dtype=float) > limit
        found.update({(run, image, name): is_called for image, is_called in zip(test["image_id"], above, strict=True)})
    return found


def test_mass_inside_by_size_is_that_of_the_evidence(shown):
    rows = printed(titled(shown.part("alignment"), "By size of the annotation"), "size", "arm")
    evidence = primary(shown)
    parts = evidence.groupby(["size", "arm"])
    assert set(rows) == set(parts.groups)
    for key, mine in parts:
        means = mine[["area", "value", "reference", "excess"]].mean()
        assert rows[key]["mean area"] == percent(means["area"])
        assert [rows[key]["value"], rows[key]["chance"]] == [rounded(means[name]) for name in ("value", "reference")]
        assert rows[key]["excess"] == rounded(means["excess"], plus=True)
        assert rows[key]["pairs"] == whole(len(mine.drop_duplicates(["image_id", "class"])))
    areas = evidence.drop_duplicates(["image_id", "class"]).sort_values("area")
    assert areas["size"].tolist() == sorted(areas["size"], key=["small", "medium", "large"].index)


def test_the_share_of_localised_annotations_is_that_of_the_evidence(shown):
    rows = printed(titled(shown.part("alignment"), "Localised at, gradcam"), "class", "arm")
    evidence = shown.evidence("localization")
    limits = evidence.drop_duplicates(["overlap", "at"])
    assert len(limits) > 4
    for overlap, at in zip(limits["overlap"], limits["at"], strict=True):
        mine = evidence[(evidence["overlap"] == overlap) & (evidence["at"] == at)]
        means = averaged(mine.groupby(["class", "arm"])["value"].mean().to_dict(), groups_of(shown))
        column = f"{ {'iou': 'IoU', 'iobb': 'IoBB'}[overlap] } {rounded(at, 2)}"
        for (name, arm), row in rows.items():
            assert row[column] == rounded(means[name.removesuffix(" (average)"), arm], 2), (name, arm, column)
    assert {name for name, _ in rows} >= set(PREVALENCE)
