"""The tables on detectors and on concepts gained and lost of a page, computed again from the evidence of all seeds."""

from __future__ import annotations

import math

import numpy as np
from printed_numbers import PREVALENCE, over_seeds, percent, printed, rounded
from reading import titled

RULE = 0.04  # of NetDissect, at the fixed fraction
REACHED = 0.2  # IoU that a unit can attain at that fraction, or the rule says nothing of the class
CHANGES = {
    "detectors, control": "detectors_a",
    "detectors, arm": "detectors_b",
    "kept": "kept",
    "gained": "gained",
    "lost": "lost",
}


def counted(value):
    return rounded(value, 0 if value == round(value) else 1)


def units_of(shown):
    """Per run, arm and concept: detectors, position-only units, and units above the rule."""
    evidence = shown.evidence("dissection")
    tested = evidence[evidence["metric"] == "iou_matched"]
    fixed = evidence[evidence["metric"] == "iou"]
    keys = ["run", "arm", "class"]
    counts = (
        tested.astype({"detector": float, "position_only": float}).groupby(keys)[["detector", "position_only"]].sum()
    )
    untested = tested["p_adjusted"].isna().groupby([tested[key] for key in keys]).all()
    counts[untested] = math.nan
    by_class = fixed.groupby(keys)
    above = by_class["value"].agg(lambda values: float((values > RULE).sum()))
    said = by_class["attainable"].max() >= REACHED
    counts["position_only"] = counts["position_only"].where(said)
    return counts.assign(above=above.where(said)).reset_index()


def test_units_per_class_are_those_of_the_evidence(shown):
    counts = units_of(shown)
    rows = printed(titled(shown.part("units"), "Detectors by class"), "class", "arm")
    assert {name for name, _ in rows} >= set(PREVALENCE)
    for (name, arm), row in rows.items():
        mine = counts[(counts["class"] == name) & (counts["arm"] == arm)]
        assert len(mine) == 3
        assert row["detectors"] == over_seeds(mine["detector"], counted)
        assert row["position-only"] == over_seeds(mine["position_only"], counted)
        assert row["above the rule"] == over_seeds(mine["above"], counted)


def test_detectors_of_a_layer_are_those_of_the_evidence(shown):
    counts = units_of(shown)
    groups = shown.table("data/class_counts").set_index("class")["group"]
    evidence = shown.evidence("dissection")
    units = evidence[evidence["metric"] == "iou"].groupby("run")["unit"].nunique()
    rows = printed(titled(shown.part("units"), "Detectors by layer and arm"), "arm")
    assert set(rows) == {(arm,) for arm in counts["arm"].unique()}
    for (arm,), row in rows.items():
        mine = counts[counts["arm"] == arm].assign(group=lambda table: table["class"].map(groups))
        runs = [part for _, part in mine.groupby("run")]
        assert row["units"] == over_seeds([units[part["run"].iloc[0]] for part in runs], counted)
        assert row["detectors"] == over_seeds([part["detector"].sum() for part in runs], counted)
        assert row["coverage"] == over_seeds([has(part).mean() for part in runs], percent)
        redundant = [part["detector"][has(part) == 1].mean() for part in runs]
        assert row["redundancy"] == over_seeds(redundant, lambda value: rounded(value, 1))
        for group in ("head", "medium", "tail"):
            if group in row:
                sums = [part.loc[part["group"] == group, "detector"].sum() for part in runs]
                assert row[group] == over_seeds(sums, counted)


def has(part):
    """Which of the tested classes of a run have a detector."""
    return (part["detector"].dropna() > 0).astype(float)


def test_concepts_gained_and_lost_are_those_of_the_evidence(shown):
    changes = shown.evidence("concept_changes")
    rows = printed(titled(shown.part("units"), "Concepts gained and lost by class"), "class", "arm")
    assert rows
    for (name, arm), row in rows.items():
        mine = changes[(changes["class"] == name) & (changes["arm"] == arm)]
        for column, key in CHANGES.items():
            assert row[column] == over_seeds(mine[key].astype(float), counted), (name, arm, column)
        assert row["matched"] == over_seeds(mine["matched_share"].astype(float), percent)


def test_their_sums_are_those_of_the_evidence(shown):
    changes = shown.evidence("concept_changes")
    rows = printed(titled(shown.part("units"), "Concepts gained and lost"), "arm")
    assert len(rows) > 0
    for (arm,), row in rows.items():
        mine = changes[changes["arm"] == arm]
        for column, key in CHANGES.items():
            sums = mine.astype({key: float}).groupby("run")[key].apply(lambda values: values.sum(min_count=1))
            assert row[column] == over_seeds(sums, counted), (arm, column)
        matched = [np.nanmean(part["matched_share"].astype(float)) for _, part in mine.groupby("run")]
        assert row["matched"] == over_seeds(matched, percent)
