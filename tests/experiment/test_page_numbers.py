"""The numbers in the main tables of a page, computed again from the tables beside it, and scores from predictions."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from printed_numbers import (
    AGGREGATES,
    NAMES,
    PREVALENCE,
    Shown,
    chance,
    estimate,
    named,
    percent,
    printed,
    rounded,
    rows_by,
    title_of,
    whole,
)
from reading import folded, table, titled, words
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from undrawn import without_charts

from tailscope.experiment import rewrite_report

CALIBRATED = {
    "brier": "Brier",
    "log_loss": "log loss",
    "expected_calibration_error": "ECE",
    "calibration_slope": "slope",
    "calibration_intercept": "intercept",
    "brier_prior_corrected": "Brier, corrected",
    "ece_prior_corrected": "ECE, corrected",
}


def test_every_value_of_performance_is_that_of_the_estimates(shown):
    estimates = shown.performance
    cells = rows_by(estimates, "metric", "class", "arm")
    titles = {name for name, _ in folded(shown.part("performance")) if ": difference" not in name}
    asked = {metric for metric in estimates["metric"] if metric in NAMES}
    assert {title_of(metric) for metric in asked} == titles
    assert {"auroc", "average_precision", "sensitivity"} <= asked
    arms = estimates["arm"].unique()
    for metric in asked:
        rows = printed(titled(shown.part("performance"), title_of(metric)), "class")
        mine = estimates[estimates["metric"] == metric]
        assert set(rows) == {(named(name),) for name in mine["class"]}
        for name in mine["class"].unique():
            for arm in arms:
                row = cells[metric, name, arm]
                assert rows[named(name),][arm] == estimate(row["value"], row["lo"], row["hi"]), (metric, name, arm)
            expected = "" if name in AGGREGATES else whole(mine.loc[mine["class"] == name, "n"].max())
            assert rows[named(name),]["test images"] == expected


def test_the_averages_that_lead_are_those_of_the_estimates(shown):
    cells = rows_by(shown.performance, "metric", "class", "arm")
    for row in table(shown.part("performance"), "arm", "audit", "AUROC, macro"):
        told = {name: text for name, text in row.items() if name not in {"arm", "audit"}}
        assert told
        for name, text in told.items():
            metric, _, which = name.rpartition(", ")
            found = cells["auroc" if metric == "AUROC" else "average_precision", which, row["arm"]]
            assert text == estimate(found["value"], found["lo"], found["hi"])


def test_every_difference_has_the_statistics_of_its_finding(shown):
    findings = shown.table("findings")
    prevalence = shown.table("data/class_counts").set_index("class")["prevalence"]
    checked = 0
    for place, lens in (("performance", "performance"), ("alignment", "alignment"), ("units", "dissection")):
        mine = findings[findings["lens"] == lens]
        titles = [name for name, _ in folded(shown.part(place)) if name.endswith(": difference from control")]
        for title in titles:
            metric = next(key for key in NAMES if title.startswith(f"{title_of(key)}: "))
            cells = rows_by(mine[mine["metric"] == metric], "class", "arm")
            rows = titled(shown.part(place), title)
            assert len(rows) == len(cells)
            for row in rows:
                name = row["class"].split(" ")[0]
                check_difference(row, cells[name, row["arm"]], prevalence)
                checked += 1
        assert titles
    assert checked >= 4 * 4


def check_difference(row, found, prevalence):
    assert row["difference"] == estimate(found["difference"], found["lo"], found["hi"], plus=True)
    for column, name in (("SE", "se"), ("seed noise", "seed_noise"), ("detectable", "mde")):
        assert row[column] == rounded(found[name])
    for column, name in (("p", "p"), ("p (Holm)", "p_adjusted")):
        assert row[column] == ("–" if pd.isna(found[name]) else chance(found[name]))
    assert row["patients"] == whole(found["patients"])
    assert row["verdict"] == (found["verdict"] or "–")
    if found["class"] in AGGREGATES:
        assert row["class"] == named(found["class"])
        assert row["n"] == ""
    else:
        about = f"{percent(prevalence[found['class']])}, {whole(found['positives'])} positive"
        assert row["class"] == f"{found['class']} {about}"
        assert row["n"] == whole(found["n"])


def test_prevalence_and_counts_are_those_of_the_labels(shown):
    labels = shown.table("data/labels").merge(shown.table("data/split"))
    drawn = shown.table("data/annotations").merge(shown.table("data/split")).query("split == 'test'")
    rows = printed(table(shown.part("data"), "class", "n⁻/n⁺", "train +"), "class")
    assert set(rows) == {(name,) for name in PREVALENCE}
    for (name,), row in rows.items():
        mine = labels[labels["class"] == name].groupby("split")["target"]
        positives, negatives = mine.sum(), mine.count() - mine.sum()
        for split, signs in (("train", "+−"), ("val", "+"), ("test", "+−")):
            for sign, counts in zip(signs, (positives, negatives), strict=False):
                assert row[f"{split} {sign}"] == whole(counts[split])
        assert row["prevalence"] == percent(positives["train"] / mine.count()["train"])
        assert row["n⁻/n⁺"] == rounded(negatives["train"] / positives["train"], 1)
        assert row["unknown"] == whole(labels.loc[labels["class"] == name, "target"].isna().sum())
        assert row["annotated"] == whole(drawn.loc[drawn["class"] == name, "image_id"].nunique())


def test_calibration_in_numbers_is_that_of_estimates_and_findings(shown):
    values = rows_by(shown.performance, "metric", "class", "arm")
    findings = shown.table("findings")
    changes = rows_by(findings[findings["lens"] == "performance"], "metric", "class", "arm")
    for title, cells, key, plus in (
        ("Calibration in numbers", values, "value", False),
        ("Calibration in numbers: difference from control", changes, "difference", True),
    ):
        rows = titled(shown.part("calibration"), title)
        assert rows
        for row in rows:
            for metric, column in CALIBRATED.items():
                found = cells.get((metric, row["class"].removesuffix(" (average)"), row["arm"]))
                if column in row and found is not None:
                    assert row[column] == estimate(found[key], found["lo"], found["hi"], plus=plus), (row, metric)


def test_net_benefit_is_that_of_the_decision_curves(shown):
    curves = shown.table("decision_curves")
    thresholds = (0.05, 0.1, 0.2)
    rows = printed(titled(shown.part("calibration"), "Net benefit in numbers"), "class", "arm")
    assert len(rows) == len(curves.drop_duplicates(["class", "arm"]))
    for at in thresholds:
        near = curves[np.isclose(curves["threshold"], at)]
        for (name, arm), found in rows_by(near, "class", "arm").items():
            row, per = rows[named(name), arm], {key: 100 * found[key] for key in found if key in _PER_IMAGE}
            assert row[f"treat all at {at}"] == rounded(per["treat_all"])
            assert row[f"net benefit at {at}"] == estimate(per["net_benefit"], per["lo"], per["hi"])
            change = estimate(per["difference"], per["difference_lo"], per["difference_hi"], plus=True)
            assert row[f"Δ control at {at}"] == change


_PER_IMAGE = ("treat_all", "net_benefit", "lo", "hi", "difference", "difference_lo", "difference_hi")


def test_subgroups_and_their_gaps_are_those_of_the_tables(shown):
    values = rows_by(shown.table("subgroups"), "column", "subgroup", "class", "arm", "metric")
    gaps = rows_by(shown.table("subgroup_gaps"), "column", "subgroup", "class", "arm", "metric")
    columns = sorted({key[0] for key in values})
    assert columns
    for column in columns:
        rows = titled(shown.part("subgroups"), f"Subgroups by {column}")
        for row in rows:
            place = (column, row[column], row["class"].removesuffix(" (average)"), row["arm"])
            for metric, name in _SUBGROUP_METRICS.items():
                found = values[*place, metric]
                assert row[name] in {estimate(found["value"], found["lo"], found["hi"]), rounded(found["value"])}
            auroc, gap = values[*place, "auroc"], gaps[*place, "auroc"]
            assert row["Δ AUROC"] == changed(auroc, "difference")
            assert row["gap AUROC"] == estimate(gap["gap"], gap["lo"], gap["hi"], plus=True)
            assert row["Δ gap"] == changed(gap, "difference")
            assert [row[name] for name in ("images", "patients", "positives")] == [
                whole(auroc[name]) for name in ("n", "patients", "positives")
            ]
        assert len(rows) * len(_SUBGROUP_METRICS) == sum(key[0] == column for key in values)


_SUBGROUP_METRICS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}


def changed(row, name):
    return estimate(row[name], row[f"{name}_lo"], row[f"{name}_hi"], plus=True)


def test_mean_ranks_trends_and_precision_are_those_of_their_tables(shown):
    part = shown.part("standing")
    ranks = rows_by(shown.table("ranks").replace({"metric": NAMES}), "metric", "arm")
    rows = printed(titled(part, "Mean ranks"), "metric", "arm")
    assert set(rows) == set(ranks)
    for key, found in ranks.items():
        assert rows[key]["mean rank"] == estimate(found["mean_rank"], found["lo"], found["hi"], digits=2)
        assert rows[key]["first"] == percent(found["first"])
        assert rows[key]["classes"] == whole(found["classes"])
    trends = rows_by(shown.table("trends").replace({"metric": NAMES}), "metric", "arm")
    rows = printed(titled(part, "Trend toward the tail"), "metric", "arm")
    assert set(rows) == set(trends)
    for key, found in trends.items():
        assert rows[key]["per tenfold rarer class"] == estimate(found["slope"], found["lo"], found["hi"], plus=True)
        assert rows[key]["p"] == ("–" if pd.isna(found["p"]) else chance(found["p"]))
    precision = rows_by(shown.table("precision").replace({"metric": NAMES}), "metric", "class", "arm")
    rows = printed(titled(part, "What this experiment could have found"), "metric", "class", "arm")
    assert set(rows) == set(precision)
    for key, found in precision.items():
        check_precision(rows[key], found)


def check_precision(row, found):
    assert [row[name] for name in ("SE", "detectable")] == [rounded(found[name]) for name in ("se", "mde")]
    assert row["margin"] == rounded(found["margin"], 2)
    for column, name in (("seeds' share", "seed_share"), ("patients' share", "patient_share")):
        assert row[column] == percent(found[name])
    for column in ("n", "patients", "seeds needed", "positives needed"):
        assert row[column] == whole(found[column.replace(" ", "_")])
    assert row["verdict"] == (found["verdict"] or "–")


def test_the_checks_by_other_methods_are_those_of_the_table(shown):
    checks = rows_by(shown.table("cross_checks"), "class", "arm")
    rows = printed(titled(shown.part("standing"), "AUROC by other methods"), "class", "arm")
    assert set(rows) == set(checks)
    for key, found in checks.items():
        row = rows[key]
        interval = estimate(found["difference"], found["percentile_lo"], found["percentile_hi"], plus=True)
        assert row["difference"] == interval
        assert row["SE, bootstrap"] == rounded(found["bootstrap_se"], 4)
        assert row["SE, formula"] == rounded(found["formula_se"], 4)
        assert row["ratio"] == ("–" if pd.isna(found["se_ratio"]) else f"× {found['se_ratio']:.2f}")
        for column, name in (("p, permutation", "permutation_p"), ("p, Holm", "p_adjusted"), ("p, BH", "p_bh")):
            assert row[column] == ("–" if pd.isna(found[name]) else chance(found[name]))
    ratios = shown.table("cross_checks")["se_ratio"].dropna()
    close = (abs(ratios - 1) <= 0.1).sum()
    said = words(shown.part("standing"))
    assert f"In {close} of {len(ratios)} cells" in said or f"In {len(ratios)} cells" in said


def test_alignment_is_that_of_the_evidence_and_the_estimates(shown):
    estimates = shown.table("estimates")
    cells = rows_by(estimates[estimates["lens"] == "alignment"], "metric", "class", "arm")
    evidence = shown.evidence("alignment").merge(shown.table("data/split")[["image_id", "patient_id"]])
    for metric in ("mass_inside", "pointing_game"):
        means = evidence[evidence["metric"] == metric].groupby(["class", "arm"])
        rows = [row for row in titled(shown.part("alignment"), f"{title_of(metric)}, gradcam") if row["pairs"]]
        assert rows
        for row in rows:
            found, mine = cells[metric, row["class"], row["arm"]], means.get_group((row["class"], row["arm"]))
            assert row["excess"] == estimate(found["value"], found["lo"], found["hi"], plus=True)
            assert row["value"] == rounded(mine["value"].mean())
            assert row["chance"] == rounded(mine["reference"].mean())
            assert [row["pairs"], row["patients"]] == [
                whole(mine[name].nunique()) for name in ("image_id", "patient_id")
            ]
            assert row["degenerate"] == percent(mine["degenerate"].mean())


def test_units_are_those_of_the_estimates_and_the_evidence(shown):
    estimates = shown.table("estimates")
    cells = rows_by(estimates[estimates["lens"] == "dissection"], "metric", "class", "arm")
    fixed = shown.evidence("dissection").query("metric == 'iou'")
    fixed = fixed[fixed["layer"] == fixed["layer"].iloc[0]]
    best = fixed.groupby(["class", "arm", "run"])[["value", "attainable"]].max().groupby(["class", "arm"]).mean()
    rows = titled(shown.part("units"), "Units by class")
    classes = {row["class"] for row in rows} - {named(name) for name in AGGREGATES}
    assert classes == set(PREVALENCE)
    for row in rows:
        name = row["class"].removesuffix(" (average)")
        found, per_100 = (cells[metric, name, row["arm"]] for metric in ("best_iou_matched", "units_per_100"))
        assert row["best unit"] == estimate(found["value"], found["lo"], found["hi"], plus=True)
        assert row["units per 100"] == rounded(per_100["value"], 2, plus=True)
        if name in classes:
            assert row["IoU, fixed"] == rounded(best.loc[name, row["arm"]]["value"])
            assert row["attainable"] == rounded(best.loc[name, row["arm"]]["attainable"])
            assert row["images"] == whole(found["n"])


@pytest.mark.parametrize(("metric", "score"), [("AUROC", roc_auc_score), ("AP", average_precision_score)])
def test_performance_is_that_of_scikit_learn_on_the_predictions(shown, metric, score):
    rows = printed(titled(shown.part("performance"), metric), "class")
    means = scored(shown, score)
    assert len(means) == 2 * len(PREVALENCE)
    for (name, arm), mean in means.items():
        assert float(rows[name,][arm].split(" ")[0]) == pytest.approx(mean, abs=5.001e-4)
    for arm, mean in means.groupby("arm").mean().items():
        assert float(rows["macro (average)",][arm].split(" ")[0]) == pytest.approx(mean, abs=5.001e-4)


def test_the_brier_score_is_that_of_scikit_learn_on_the_predictions(shown):
    rows = printed(titled(shown.part("calibration"), "Calibration in numbers"), "class", "arm")
    means = scored(shown, lambda targets, logits: brier_score_loss(targets, 1 / (1 + np.exp(-logits))))
    for key, mean in means.items():
        assert float(rows[key]["Brier"].split(" ")[0]) == pytest.approx(mean, abs=5.001e-4)


def scored(shown, score):
    """A score of the test predictions by class and arm, mean over seeds; images without a label are left out."""
    frame = shown.predictions
    frame = frame[(frame["split"] == "test") & frame["target"].notna()]
    of_runs = {
        key: score(mine["target"].to_numpy().astype(int), mine["logit"].to_numpy().astype(float))
        for key, mine in frame.groupby(["class", "arm", "run"])
    }
    table = pd.Series(of_runs)
    table.index.names = ["class", "arm", "run"]
    assert (table.groupby(["class", "arm"]).size() == 3).all()
    return table.groupby(["class", "arm"]).mean()


@pytest.fixture(scope="module")
def with_hidden(shown, tmp_path_factory):
    """The same experiment as if three cells had been found; its page is written anew from the tables."""
    folder = tmp_path_factory.mktemp("hidden") / "copy"
    shutil.copytree(shown.folder, folder)
    numbers = {"difference": -0.0917, "lo": -0.1333, "hi": -0.0501, "p": 0.0004, "p_adjusted": 0.02175}
    found = [
        {**numbers, "class": name, "group": "head", "arm": "weighted_sampling", "lens": "alignment", "kind": kind,
         "metric": "mass_inside", "auroc_difference": 0.0041, "ap_difference": -0.0004, "positives_needed": needed,
         "reason": "average_precision undecided" if kind == "not visible" else ""}
        for name, kind, needed in (
            ("effusion", "hidden difference", np.nan), ("mass", "candidate", np.nan), ("nodule", "not visible", 1540.0)
        )
    ]  # fmt: skip
    table = pd.read_parquet(folder / "hidden_differences.parquet")
    pd.DataFrame(found)[list(table.columns)].to_parquet(folder / "hidden_differences.parquet")
    with without_charts():
        result = rewrite_report(folder)
    return Shown(folder, result.report.read_text(encoding="utf-8"))


def test_hidden_differences_are_those_of_their_table(with_hidden):
    part = with_hidden.part("hidden")
    tables = {title: titled(part, title) for title, _ in folded(part)}
    assert set(tables) == {"Hidden difference", "Candidate", "Not visible"}
    cells = rows_by(with_hidden.table("hidden_differences"), "class", "arm")
    for title, (row,) in tables.items():
        found = cells[row["class"], row["arm"]]
        assert title.lower() == found["kind"]
        assert row["lens"] == "alignment: mass inside"
        assert row["difference"] == estimate(found["difference"], found["lo"], found["hi"], plus=True)
        assert [row["p"], row["p (Holm)"]] == [chance(found[name]) for name in ("p", "p_adjusted")]
        assert row["ΔAUROC"] == rounded(found["auroc_difference"], plus=True)
        assert row["ΔAP"] == rounded(found["ap_difference"], plus=True)
        assert row["positives needed"] == whole(found["positives_needed"])
        assert row.get("why not more", "") == found["reason"].replace("average_precision", "AP")


def test_hidden_differences_are_told_with_the_numbers_of_table_and_findings(with_hidden):
    findings = rows_by(with_hidden.table("findings"), "metric", "class", "arm")
    auroc, ap = (findings[metric, "effusion", "weighted_sampling"] for metric in ("auroc", "average_precision"))
    amounts = [estimate(row["difference"], row["lo"], row["hi"], plus=True) for row in (auroc, ap)]
    sentence = (
        f"weighted_sampling on effusion: AUROC {amounts[0]} and AP {amounts[1]} lie within the margin, yet its "
        "saliency lies less on what the expert drew: mass inside −0.092 [−0.133, −0.050] (Holm p = 0.022; "
        f"{auroc['positives']} positive patients; 3 seeds)."
    )
    assert sentence in words(with_hidden.part("found"))


def test_where_nothing_is_hidden_the_undecided_are_counted(shown):
    assert shown.table("hidden_differences").empty
    findings = shown.table("findings")
    told = findings[findings["metric"].isin(["auroc", "average_precision"]) | findings["primary"].astype(bool)]
    told = told[~told["class"].isin(AGGREGATES)]
    undecided = told["verdict"].str.startswith("undecided").sum()
    assert f"{undecided} comparisons of {len(told)} are undecided" in words(shown.part("hidden"))
