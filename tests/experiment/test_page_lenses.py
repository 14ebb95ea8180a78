"""The tables on soundness, shortcuts, causes, the curve over fractions and features of a page, computed again."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd
import pytest
from printed_numbers import AGGREGATES, Shown, estimate, named, over_seeds, printed, rounded, whole
from reading import titled
from sklearn.metrics import roc_auc_score

CAUSES = {
    "own logit": "own_drop",
    "other logits": "other_drop",
    "specificity": "specificity",
    "random units": "random_specificity",
}
GEOMETRY = {  # column of the evidence, and digits
    "within / between": ("scatter_ratio", 2),
    "cosine of head rows": ("classifier_cosine", 2),
    "head row with class mean": ("self_duality", 2),
    "effective rank": ("effective_rank", 1),
}


@pytest.fixture(scope="module")
def page(finished):
    """An experiment with every lens; one seed, so that no number of these tables has an interval over seeds."""
    return Shown(finished.path, finished.report.read_text(encoding="utf-8"))


def test_the_checks_of_the_methods_are_those_of_their_table(page):
    found = page.table("soundness").to_dict("records")
    rows = titled(page.part("instrument"), "Checks of the attribution methods")
    expected = [
        (
            row["method"], row["check"], row["arm"], two(row["value"], row["lo"], row["hi"]), rounded(row["limit"], 2),
            whole(row["n"]), row["verdict"] or "–", row["sentence"] or "–",
        )
        for row in found
    ]  # fmt: skip
    assert sorted(tuple(row.values()) for row in rows) == sorted(expected)
    assert expected


def two(value, lo, hi):
    """Two digits, and an interval of three."""
    ends = "" if pd.isna(lo) or pd.isna(hi) else f" [{rounded(lo)}, {rounded(hi)}]"
    return f"{rounded(value, 2)}{ends}" if not pd.isna(value) else "–"


def test_the_shortcut_audit_is_that_of_its_table(page):
    rows = printed(titled(page.part("shortcuts"), "Shortcut audit"), "class", "confounder", "arm")
    found = page.table("shortcuts")
    assert len(rows) == len(found) > 3
    for row in found.to_dict("records"):
        shown = rows[row["class"], row["confounder"], row["arm"]]
        assert [shown[name] for name in ("share", "chance")] == [rounded(row[name]) for name in ("share", "chance")]
        assert shown["excess"] == rounded(row["excess"], plus=True)
        assert shown["removal"] == rounded(row["removal"], 2, plus=True)
        assert shown["images"] == whole(row["n"])
        assert shown["verdict"] == (row["verdict"] or "–")


def test_the_shortcut_audit_is_the_mean_of_its_rows(page):
    rows = printed(titled(page.part("shortcuts"), "Shortcut audit"), "class", "confounder", "arm")
    evidence = page.evidence("shortcuts")
    looks = evidence[evidence["metric"].str.startswith("on_")]
    for (name, metric, arm), mine in looks.groupby(["class", "metric", "arm"]):
        shown = rows[name, metric.removeprefix("on_"), arm]
        assert shown["share"] == rounded(mine["value"].mean())
        assert shown["images"] == whole(mine["image_id"].nunique())


def test_the_causes_are_those_of_the_evidence(page):
    evidence = page.evidence("causes")
    rows = printed(titled(page.part("units"), "Causes by class"), "class", "arm")
    for (name, arm), row in rows.items():
        mine = evidence[(evidence["class"] == name) & (evidence["arm"] == arm)]
        for column, metric in CAUSES.items():
            values = mine.loc[mine["metric"] == metric, "value"].astype(float)
            assert row[column] == over_seeds(values, signed_two), (name, arm, column)
    assert {name for name, _ in rows} >= set(evidence["class"].unique()) - set(AGGREGATES)


def signed_two(value):
    return rounded(value, 2, plus=True)


def test_the_curve_over_fractions_is_that_of_the_evidence(page):
    evidence = page.evidence("fraction_curves")
    rows = printed(titled(page.part("units"), "Best IoU by fraction"), "class", "arm")
    assert len(rows) == len(evidence.drop_duplicates(["class", "arm"]))
    for (name, arm), row in rows.items():
        mine = evidence[(evidence["class"] == name) & (evidence["arm"] == arm)]
        for fraction, at in mine.groupby("fraction"):
            best = at["best"].astype(float).mean()
            assert row[f"{fraction:.6g}"].split(" ")[0] == rounded(best), (name, arm, fraction)


def test_the_swaps_of_heads_are_those_of_their_table(page):
    swaps = page.table("head_swaps")
    rows = printed(titled(page.part("representation"), "Heads and features swapped"), "class", "arm")
    for (name, arm), row in rows.items():
        mine = swaps[(swaps["class"] == name.removesuffix(" (average)")) & (swaps["arm"] == arm)]
        for column, (features, head) in {
            "control's both": (False, False),
            "control's features, arm's head": (False, True),
            "arm's features, control's head": (True, False),
            "arm's both": (True, True),
        }.items():
            cells = mine[((mine["features_of"] == arm) == features) & ((mine["head_of"] == arm) == head)]
            assert row[column] == over_seeds(cells["auroc"], rounded)


def test_the_geometry_is_that_of_the_evidence(page):
    evidence = page.evidence("geometry")
    rows = printed(titled(page.part("representation"), "Geometry of the classes"), "class", "arm")
    assert len(rows) == len(evidence.drop_duplicates(["class", "arm"]))
    for (name, arm), row in rows.items():
        mine = evidence[(evidence["class"].map(named) == name) & (evidence["arm"] == arm)]
        for head in set(row) & set(GEOMETRY):
            column, digits = GEOMETRY[head]
            values = mine[column].astype(float)
            assert row[head] == over_seeds(values, partial(rounded, digits=digits)), (name, arm, head)
    assert set(GEOMETRY) & {head for row in rows.values() for head in row}


def test_probes_are_those_of_scikit_learn_on_their_logits(page):
    evidence = page.evidence("representation").query("metric == 'probe_logit'")
    rows = printed(titled(page.part("representation"), "Probes and heads"), "class", "arm")
    truth = page.predictions.query("split == 'test'")[["run", "image_id", "class", "target"]]
    merged = evidence.merge(truth, on=["run", "image_id", "class"])
    for (name, arm), mine in merged.dropna(subset=["target"]).groupby(["class", "arm"]):
        scores = [
            roc_auc_score(one["target"].astype(int), one["value"].astype(float)) for _, one in mine.groupby("run")
        ]
        assert float(rows[name, arm]["probe"].split(" ")[0]) == pytest.approx(math.fsum(scores) / len(scores), abs=6e-4)


def test_probes_and_heads_are_those_of_the_estimates(page):
    estimates = page.table("estimates")
    rows = printed(titled(page.part("representation"), "Probes and heads"), "class", "arm")
    for column, metric in (("probe", "probe_auroc"), ("head", "auroc")):
        found = estimates[estimates["metric"] == metric].set_index(["class", "arm"])
        for (name, arm), row in rows.items():
            mine = found.loc[(name.removesuffix(" (average)"), arm)]
            assert row[column] == estimate(mine["value"], mine["lo"], mine["hi"])
