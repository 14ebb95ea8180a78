"""The numbers in the sentences of a page, computed again from the tables beside it."""

from __future__ import annotations

import re
from statistics import median

import numpy as np
from printed_numbers import (
    AGGREGATES,
    NAMES,
    PREVALENCE,
    estimate,
    percent,
    rounded,
    rows_by,
    title_of,
)
from reading import folded, words


def test_the_sentences_on_calibration_are_those_of_the_estimates(shown):
    cells = rows_by(shown.performance, "metric", "class", "arm")
    said = words(shown.part("calibration"))
    for arm in shown.performance["arm"].unique():
        raw, after = (cells[metric, "macro", arm] for metric in ("expected_calibration_error", "ece_prior_corrected"))
        first, second = (estimate(row["value"], row["lo"], row["hi"]) for row in (raw, after))
        sentence = f"{arm}: expected calibration error {first}, average over classes; after prior correction {second}."
        assert sentence in said


def test_the_classes_in_which_acting_is_worth_it_are_counted_from_the_decision_curves(shown):
    curves = shown.table("decision_curves")
    at = curves[np.isclose(curves["threshold"], 0.1) & ~curves["class"].isin(AGGREGATES) & curves["lo"].notna()]
    said = words(shown.part("calibration"))
    for arm, mine in at.groupby("arm"):
        better = (mine["lo"] > mine["treat_all"].clip(lower=0)).sum()
        assert f"{arm}: in {better} of {len(mine)} classes" in said


def test_the_worst_subgroups_that_are_named_are_those_with_the_lowest_gap(shown):
    gaps = shown.table("subgroup_gaps")
    gaps = gaps[(gaps["metric"] == "auroc") & (gaps["class"] == "macro") & gaps["gap"].notna()]
    said = words(shown.part("subgroups"))
    assert len(gaps)
    for (_, arm), mine in gaps.groupby(["column", "arm"]):
        worst = mine.loc[mine["gap"].idxmin()]
        apart = estimate(worst["gap"], worst["lo"], worst["hi"], plus=True)
        which = f"the worst of {len(mine)} is" if len(mine) > 1 else "the only one that can be ranked is"
        assert f"{arm}: {which} {worst['subgroup']}, {apart} against all others" in said


def test_the_sentences_on_precision_are_those_of_the_table(shown):
    said = words(shown.part("standing"))
    for metric, mine in shown.table("precision").dropna(subset=["mde"]).groupby("metric"):
        low, high = mine.loc[mine["mde"].idxmin()], mine.loc[mine["mde"].idxmax()]
        reach = " and ".join(f"{rounded(row['mde'])} ({row['class']}, {row['arm']})" for row in (low, high))
        whose = percent(mine["seed_share"].median())
        assert (
            f"{NAMES[metric]}: the detectable difference is between {reach}. Seeds make {whose} of the variance" in said
        )


def test_the_setting_tells_images_classes_seeds_and_macro_auroc_of_the_estimates(shown):
    estimates = shown.performance
    macro = rows_by(estimates[(estimates["metric"] == "auroc") & (estimates["class"] == "macro")], "arm")
    (control, other) = macro["control",], macro["weighted_sampling",]
    labels = shown.predictions
    images = labels.loc[labels["split"] == "test", "image_id"].nunique()
    assert words(shown.part("found")).startswith(
        f"What was found On {images} test images of {len(PREVALENCE)} classes with 3 seeds per arm; macro AUROC is "
        f"{estimate(control['value'], control['lo'], control['hi'])} for control and {rounded(other['value'])} for "
        "weighted_sampling."
    )


def compared(shown):
    """The findings of which the sentences tell: AUROC and AP, and the primary metrics of the lenses, by class."""
    findings = shown.table("findings")
    by_class = ~findings["class"].isin(AGGREGATES)
    told = findings["metric"].isin(["auroc", "average_precision"]) | findings["primary"].astype(bool)
    return findings[by_class & told]


def claims(shown):
    """The sentences that are seen at once, by what stands before them."""
    found = re.findall(
        r"<li><b class=\"kind\">(.*?)</b>(.*?)</li>", shown.part("found").split("<details")[0], re.DOTALL
    )
    return {words(label): words(text) for label, text in found}


def counted(frame):
    """How many of the findings have each verdict, as a sentence."""
    kinds = frame["verdict"].replace(r"^undecided.*", "undecided", regex=True).value_counts()
    one = {"better": "is better", "worse": "is worse", "differs, within the margin": "differs but within the margin"}
    many = {"better": "are better", "worse": "are worse", "differs, within the margin": "differ but within the margin"}
    one |= {"equivalent": "is equivalent", "undecided": "stays undecided"}
    many |= {"equivalent": "are equivalent", "undecided": "stay undecided"}
    assert set(kinds.index) <= set(many)
    parts = [f"{kinds[kind]} {(one if kinds[kind] == 1 else many)[kind]}" for kind in many if kind in kinds]
    verdicts = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"Of {len(frame)} comparisons by class, {verdicts}."


def test_the_sentences_on_differences_count_and_name_those_of_the_findings(shown):
    frame = compared(shown)
    is_performance = frame["lens"] == "performance"
    for label, text in claims(shown).items():
        if label == "AUROC and AP" or label.startswith("Lenses"):
            mine = frame[is_performance if label == "AUROC and AP" else ~is_performance]
            assert text.endswith(counted(mine))
            sure = mine[mine["verdict"].isin(["better", "worse"])]
            sure = sure.loc[sure["difference"].abs().sort_values(ascending=False, kind="stable").index]
            named_first = [item(row) for row in sure.head(3).to_dict("records")]
            start = f"{len(sure)} difference{'s' * (len(sure) != 1)} from control: {'; '.join(named_first)}"
            assert text.startswith(start if len(sure) else "no difference from control")
    assert len(frame) == 4 * len(PREVALENCE)


def item(row):
    p = f"Holm p {'< 0.001' if row['p_adjusted'] < 0.001 else '= ' + rounded(row['p_adjusted'])}"
    amount = estimate(row["difference"], row["lo"], row["hi"], plus=True)
    return f"{row['arm']} on {row['class']} ({NAMES[row['metric']]} {amount}, {row['verdict']}, {p})"


def test_the_sentence_on_what_stays_undecided_counts_the_findings(shown):
    frame = compared(shown)
    undecided = frame[frame["verdict"].str.startswith("undecided")]
    few = undecided["verdict"].str.contains(r"\d").sum()
    reasons = [f"{few} for too few patients"] if few else []
    reasons += [f"{len(undecided) - few} because the interval allows both a difference and none"]
    assert claims(shown)["Undecided"] == (
        f"{len(undecided)} of {len(frame)} comparisons stay undecided, which does not mean no difference "
        f"({'; '.join(reasons)})."
    )


def test_what_would_decide_names_the_median_detectable_difference_and_whose_noise_it_is(shown):
    frame = compared(shown)
    wide = frame[frame["verdict"] == "undecided"]
    text = claims(shown)["What would decide"]
    for metric in ("auroc", "average_precision"):
        sizes = wide.loc[wide["metric"] == metric, "mde"].dropna()
        if len(sizes):
            assert f"{NAMES[metric]} would show differences of {rounded(median(sizes))} or more (median)" in text
    shares = wide["seed_share"].dropna()
    seeds = (shares > 0.5).sum()
    told = re.search(r"more seeds would help most in (\d+)", text)
    assert (int(told.group(1)) if told else 0) == seeds
    assert f"of {len(shares)} wide interval" in text


def test_every_finding_told_under_the_fold_is_that_of_the_table(shown):
    (folded_claims,) = [body for name, body in folded(shown.part("found")) if name.startswith("Every finding")]
    text = words(folded_claims)
    frame = compared(shown)
    for row in frame.to_dict("records"):
        told = item(row).removeprefix(f"{row['arm']} on ")
        assert (told in text) == (row["verdict"] in {"better", "worse"})
    assert f"In all {counted(frame).removeprefix('Of ')}" in text


def test_what_stays_undecided_is_told_by_metric_with_the_differences_that_would_show(shown):
    (folded_claims,) = [body for name, body in folded(shown.part("found")) if name.startswith("Every finding")]
    text = words(folded_claims)
    frame = compared(shown)
    undecided = frame[frame["verdict"] == "undecided"]
    assert undecided["metric"].nunique() > 2
    for metric, mine in undecided.groupby("metric"):
        name = title_of(metric)
        each = "; ".join(
            f"{row['arm']} on {row['class']} (detectable {rounded(row['mde'])})" for row in mine.to_dict("records")
        )
        assert (
            f"{name}, {len(mine)} undecided {name} would show differences of {rounded(mine['mde'].median())} or more "
            f"(median) four times out of five; {each}."
        ) in text
