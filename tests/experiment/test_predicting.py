"""What a dry run foretells of the precision, against simulated and finished comparisons."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from experiment_content import small_content
from sklearn.metrics import average_precision_score

from tailscope.core import SilentProgress
from tailscope.experiment import dry_run, validate_config
from tailscope.experiment.assumed_spread import (
    CORRELATION,
    SEED_RATIO,
    auroc_variance,
    binormal_ap,
)
from tailscope.experiment.foretelling import warnings_of
from tailscope.experiment.predicting import Design, observed_spreads, predicted_precision
from tailscope.performance import auroc, average_precision, resampled_auroc, resampled_average_precision
from tailscope.stats import ComparisonSettings, MetricSamples, cluster_resamples, compare

SETTINGS = ComparisonSettings()
SHIFT = math.sqrt(2) * 0.8416212  # two normal distributions with an AUROC of .8
THREE_SEEDS = Design(treatments=1, seeds=3, settings=SETTINGS)


def counts(metric="auroc", positives=100, negatives=900, name="mass"):
    return {"class": name, "group": "head", "metric": metric, "positives": positives, "negatives": negatives}


def predicted(*rows, design=THREE_SEEDS, observed=None):
    return predicted_precision(pd.DataFrame(list(rows)), design, observed)


def test_the_variance_of_one_auroc_is_that_of_simulated_scores():
    labels = np.repeat([1.0, 0.0], [40, 200])
    scores = np.random.default_rng(0).normal(size=(240, 3000)) + SHIFT * labels[:, None]
    found = auroc(scores, np.repeat(labels[:, None], 3000, axis=1))

    assert np.std(found) == pytest.approx(math.sqrt(auroc_variance(0.8, 40, 200)), rel=0.04)


def test_the_assumed_ap_is_that_of_many_simulated_images():
    labels = np.repeat([1, 0], [20_000, 380_000])
    scores = np.random.default_rng(1).normal(size=labels.size) + SHIFT * labels

    assert average_precision_score(labels, scores) == pytest.approx(binormal_ap(0.8, 0.05), rel=0.02)


def simulated_cells(seed):
    """AUROC and AP of two arms × three seeds whose scores scatter as the rule of thumb assumes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([1.0, 0.0], [100, 900])
    run = SEED_RATIO**2
    arm = 1 - CORRELATION - run / 3  # of the mean over seeds, arm and run noise leave the assumed correlation
    shared = rng.normal(size=labels.size) * math.sqrt(1 - run - arm)
    of_arm = rng.normal(size=(2, 1, labels.size)) * math.sqrt(arm)
    of_run = rng.normal(size=(2, 3, labels.size)) * math.sqrt(run)
    scores = (SHIFT * labels + shared + of_arm + of_run).reshape(6, -1).T
    columns = np.repeat(labels[:, None], 6, axis=1)
    draws = cluster_resamples(np.arange(labels.size).astype(str), 200, seed, required=columns == 1)
    for name, plain, resampled in (
        ("auroc", auroc, resampled_auroc),
        ("average_precision", average_precision, resampled_average_precision),
    ):
        drawn = resampled(scores, columns, draws.multiplicity).T.reshape(2, 3, -1).mean(axis=1)
        values = plain(scores, columns).reshape(2, 3)
        yield MetricSamples(
            "performance", name, "mass", "head", ("control", "focal"), values, drawn, 1000, 100, 100, 900
        )


def test_the_predicted_standard_error_is_that_of_simulated_experiments():
    found = pd.concat([compare(list(simulated_cells(seed)), SETTINGS) for seed in range(25)])
    means = np.sqrt((found["se"] ** 2).groupby(found["metric"]).mean())

    table = predicted(counts("auroc"), counts("average_precision")).set_index("metric")

    assert table.loc["auroc", "se"] == pytest.approx(means["auroc"], rel=0.12)
    assert table.loc["average_precision", "se"] == pytest.approx(means["average_precision"], rel=0.25)


def finished_findings(seeds=3):
    rng = np.random.default_rng(7)
    values = {name: rng.normal(0.8, 0.01, size=(2, seeds)) for name in ("auroc", "average_precision")}
    return compare(
        [
            MetricSamples(
                "performance", name, "mass", "head", ("control", "focal"), table,
                table.mean(axis=1, keepdims=True) + rng.normal(0, 0.01, size=(2, 400)), 1000, 100, 100, 900,
            )
            for name, table in values.items()
        ],
        SETTINGS,
    )  # fmt: skip


def test_from_finished_runs_the_same_design_gives_the_same_standard_error_and_detectable_effect():
    findings = finished_findings().set_index("metric")

    table = predicted(
        counts("auroc"), counts("average_precision"), observed=observed_spreads(finished_findings())
    ).set_index("metric")

    assert set(table["source"]) == {"these runs"}
    assert table["se"].to_dict() == pytest.approx(findings["se"].to_dict(), rel=1e-9)
    assert table["mde"].to_dict() == pytest.approx(findings["mde"].to_dict(), rel=1e-9)
    assert table["seed_share"].to_dict() == pytest.approx(findings["seed_share"].to_dict(), rel=1e-9)


def test_more_seeds_lessen_the_seed_part_that_finished_runs_showed():
    observed = observed_spreads(finished_findings())
    parts = [predicted(counts(), design=Design(1, seeds, SETTINGS), observed=observed).iloc[0] for seeds in (3, 12)]

    few, many = (row["se"] ** 2 * row["seed_share"] for row in parts)
    assert many == pytest.approx(few / 4)


def test_runs_of_one_seed_foretell_nothing():
    assert observed_spreads(finished_findings(seeds=1)) == {}


def test_the_assumed_parts_by_hand():
    row = predicted(counts("mass_inside", positives=36)).iloc[0]

    assert row["se"] == pytest.approx(math.sqrt(2 * 0.01**2 / 3 + 0.06**2 / 36))


@pytest.mark.parametrize(("positives", "seeds", "reach"), [(2000, 12, "likely"), (100, 3, "no"), (49, 1000, "no")])
def test_equivalence_needs_patients_and_seeds(positives, seeds, reach):
    row = predicted(counts(positives=positives, negatives=20_000), design=Design(1, seeds, SETTINGS)).iloc[0]

    assert row["equivalent"] == reach


def test_the_needed_patients_are_enough_and_a_fifth_fewer_are_not():
    design = Design(1, 8, SETTINGS)
    needed = int(predicted(counts(positives=100), design=design).iloc[0]["positives_needed"])

    enough, fewer = (
        predicted(counts(positives=number, negatives=9 * number), design=design).iloc[0]["equivalent"]
        for number in (needed, int(0.8 * needed))
    )

    assert (enough, fewer) == ("likely", "possible")


def test_a_rare_class_must_hold_the_ratio_of_ap_as_well():
    rare = counts("average_precision", positives=1_000, negatives=200_000)
    loose = Design(1, 3, ComparisonSettings(ratio_limits=(0.01, 100.0)))

    assert predicted(rare).iloc[0]["equivalent"] == "no"
    assert predicted(rare, design=loose).iloc[0]["equivalent"] != "no"


def test_one_seed_or_no_positive_has_no_standard_error():
    one = predicted(counts(), design=Design(1, 1, SETTINGS)).iloc[0]
    none = predicted(counts(positives=0)).iloc[0]

    for row in (one, none):
        assert math.isnan(row["se"])
        assert row["equivalent"] == "no"


def warned(*rows, design=THREE_SEEDS):
    return warnings_of(predicted(*rows, design=design), design)


def test_a_class_with_few_positives_is_warned_of():
    said = warned(counts(name="hernia", positives=8), counts())

    assert "With 8 positive test patients no verdict on hernia is possible (20 needed)." in said


def test_where_no_class_can_be_equivalent_the_nearest_is_named_with_its_need():
    said = " ".join(warned(counts(), counts(name="hernia", positives=8)))

    assert (
        "No class can be called equivalent in AUROC within ±0.02, even where nothing differs: mass comes nearest"
        in said
    )
    assert "(it has 100)" in said
    assert "No hidden difference can be shown" in said


def test_an_experiment_that_can_decide_everything_is_not_warned_of():
    rows = [counts(metric, positives=20_000, negatives=80_000) for metric in ("auroc", "average_precision")]

    assert warned(*rows, design=Design(1, 12, SETTINGS)) == ()


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [(1, "With one seed nobody knows the noise of training"), (2, "With 2 seeds a difference is a")],
)
def test_too_few_seeds_are_warned_of_first(seeds, sentence):
    assert warned(counts(), design=Design(1, seeds, SETTINGS))[0].startswith(sentence)


def test_a_dry_run_foretells_the_precision_of_every_class_and_warns(tmp_path):
    plan = dry_run(validate_config(small_content(seeds=[0, 1, 2])), tmp_path, SilentProgress())

    assert set(plan.precision["metric"]) == {"auroc", "average_precision", "mass_inside"}
    assert plan.precision["se"].gt(0).all()
    assert plan.assumptions.startswith("Assumed, a rule of thumb")
    assert any(sentence.startswith("No class can be called equivalent in AUROC") for sentence in plan.warnings)


def test_a_dry_run_takes_the_spread_of_the_folder_that_it_would_extend(tmp_path):
    finished_findings().replace({"class": {"mass": "effusion"}}).to_parquet(tmp_path / "findings.parquet")

    plan = dry_run(validate_config(small_content(seeds=[0, 1, 2])), tmp_path, SilentProgress())

    source = plan.precision.set_index(["class", "metric"])["source"]
    assert source["effusion", "auroc"] == "these runs"
    assert source["mass", "auroc"] == "assumed"


def test_with_control_alone_there_is_no_difference_to_foretell(tmp_path):
    plan = dry_run(validate_config(small_content(treatments=["control"])), tmp_path, SilentProgress())

    assert plan.precision.empty
    assert plan.warnings == ()
    assert plan.assumptions == ""
