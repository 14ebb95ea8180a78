from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tailscope.experiment.standing import PRECISION_COLUMNS, RANK_COLUMNS, TREND_COLUMNS, standing_tables
from tailscope.stats import ComparisonSettings, MetricSamples, compare

SETTINGS = ComparisonSettings()
PREVALENCE = {"mass": 0.2, "nodule": 0.1, "edema": 0.05, "hernia": 0.01}
ARMS = ("control", "focal", "weighted")


def cell(name, metric="auroc", seeds=3, patients=200, gain=0.0, seed=0, **more):
    """Focal differs from control by ``gain``; seed noise .004, patient noise .006 per arm."""
    random = np.random.default_rng([seed, *name.encode()])
    values = 0.8 + random.normal(0, 0.004, (3, seeds))
    values[1] += gain
    drawn = values.mean(axis=1, keepdims=True) + random.normal(0, 0.006, (3, 100))
    counts = {"n": 4000, "patients": patients, "positive_patients": patients, "negative_patients": 3000}
    fixed = {"lens": "performance", "metric": metric, "class_name": name, "group": "head", "arms": ARMS}
    return MetricSamples(**{**fixed, **counts, "values": values, "resampled": drawn, **more})


def scene(**more):
    return [cell(name, gain=-0.05 * np.log10(share), **more) for name, share in PREVALENCE.items()]


def standing(cells, **more):
    return standing_tables(cells, compare(cells, SETTINGS), PREVALENCE, SETTINGS, **more)


def only(frame, **address):
    for column, value in address.items():
        frame = frame[frame[column] == value]
    (row,) = frame.to_dict("records")
    return row


def test_an_arm_that_leads_in_every_class_ranks_first_and_gains_toward_the_tail():
    found = standing(scene())
    rank = only(found.ranks, arm="focal")
    assert (rank["mean_rank"], rank["first"], rank["classes"], rank["reason"]) == (1.0, 1.0, 4, "")
    trend = only(found.trends, arm="focal")
    assert trend["slope"] == pytest.approx(0.05, abs=0.012)
    assert trend["lo"] > 0
    assert trend["p"] < 0.05
    assert (tuple(found.ranks), tuple(found.trends)) == (RANK_COLUMNS, TREND_COLUMNS)
    assert tuple(found.precision) == PRECISION_COLUMNS


def test_control_is_ranked_and_has_no_trend():
    found = standing(scene())
    assert found.ranks["arm"].tolist() == list(ARMS)
    assert found.trends["arm"].tolist() == ["focal", "weighted"]
    assert found.ranks["first"].sum() == pytest.approx(1)


def test_means_over_classes_and_exploratory_metrics_stand_apart():
    mean = cell("macro", group="macro")
    found = standing([*scene(), mean, cell("mass", "brier")])
    assert set(found.ranks["metric"]) == {"auroc"}
    assert set(found.ranks["classes"]) == {4}
    assert "macro" not in set(found.precision["class"])


def test_every_metric_that_gets_verdicts_has_its_rows():
    both = [*scene(), *(replace(one, metric="mass_inside", lens="alignment") for one in scene())]
    found = standing(both)
    for frame in (found.ranks, found.trends, found.precision):
        assert list(frame["metric"].unique()) == ["auroc", "mass_inside"]


def test_a_metric_without_a_direction_has_no_ranks():
    assert standing([replace(one, direction=None) for one in scene()]).ranks.empty


def test_a_class_that_cannot_be_estimated_is_left_out_of_both():
    lost = cell("mass", reason="no positive test image")
    found = standing([lost, *scene()[1:]])
    assert set(found.ranks["classes"]) == {3}
    assert set(found.trends["classes"]) == {3}
    assert only(found.precision, **{"class": "mass"}, arm="focal")["reason"] == "no positive test image"


def test_a_class_with_few_patients_is_ranked_but_no_trend_rests_on_it():
    found = standing([*scene()[:3], cell("hernia", patients=19)])
    assert set(found.ranks["classes"]) == {4}
    assert set(found.trends["classes"]) == {3}
    assert set(found.trends["left_out"]) == {"hernia"}


def test_a_class_without_a_training_positive_has_no_place_on_the_line():
    cells = scene()
    found = standing_tables(cells, compare(cells, SETTINGS), {**PREVALENCE, "mass": 0.0}, SETTINGS)
    assert set(found.trends["classes"]) == {3}


def test_without_any_class_the_reason_stands_in_the_row():
    found = standing([replace(one, reason="no positive test image") for one in scene()])
    assert set(found.ranks["reason"]) == {"no estimable class"}
    assert set(found.trends["reason"]) == {"0 classes, expected 3 or more"}
    assert found.ranks["mean_rank"].isna().all()


def test_resamples_that_no_class_shares_leave_the_point_and_no_interval():
    cells = [replace(one, resampled=one.resampled.copy()) for one in scene()[:3]]
    for number, one in enumerate(cells):
        one.resampled[:, np.arange(100) % 3 != number] = np.nan
    found = standing(cells)
    assert set(found.ranks["reason"]) == {"no resample in which every class has a value"}
    assert set(found.trends["reason"]) == {"fewer than 2 resamples in which every class has a value"}


def test_one_seed_gives_mean_ranks_without_interval_and_no_trend():
    found = standing(scene(seeds=1))
    assert only(found.ranks, arm="focal")["mean_rank"] == 1.0
    assert found.ranks[["lo", "hi", "first"]].isna().all(axis=None)
    assert set(found.ranks["reason"]) == set(found.trends["reason"]) == {"one seed per arm: seed noise is unknown"}
    assert found.precision[["seeds_needed", "positives_needed"]].isna().all(axis=None)


def test_control_alone_stands_nowhere():
    cells = [one.of_arms(("control",)) for one in scene()]
    found = standing(cells)
    assert found.ranks.empty
    assert found.trends.empty
    assert found.precision.empty


def test_precision_repeats_the_findings():
    cells = scene()
    findings = compare(cells, SETTINGS)
    found = standing_tables(cells, findings, PREVALENCE, SETTINGS).precision
    for column in ("se", "mde", "seed_share", "patient_share", "n", "patients", "verdict"):
        assert found[column].tolist() == findings[column].tolist()


def undecided(seed_sd, patient_sd, **more):
    """One class whose difference is .01 with the given noise."""
    half = np.array([-1.0, 0.0, 1.0]) * seed_sd
    drawn = np.zeros((3, 2)) + np.array([[0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]]) * patient_sd / np.sqrt(2)
    values = 0.8 + np.stack([half, half + 0.01, half])
    return cell("mass", values=values, resampled=0.8 + drawn, **more)


def test_where_patients_are_the_noise_more_positives_decide_and_more_seeds_do_not():
    row = only(standing([undecided(0.0005, 0.02)]).precision, arm="focal")
    assert row["verdict"] == "undecided"
    assert row["positives_needed"] > 200
    assert np.isnan(row["seeds_needed"])


def test_where_seeds_are_the_noise_more_seeds_decide_and_more_positives_do_not():
    row = only(standing([undecided(0.02, 0.0005)]).precision, arm="focal")
    assert row["seeds_needed"] > 3
    assert np.isnan(row["positives_needed"])


def test_the_seeds_needed_make_the_90_percent_interval_fit():
    cells = [undecided(0.02, 0.0005)]
    (finding, _) = compare(cells, SETTINGS).to_dict("records")
    row = only(standing(cells).precision, arm="focal")
    t = stats.t.ppf(0.95, finding["df"])
    patient = finding["patient_share"] * finding["se"] ** 2

    def end(seeds):
        return finding["difference"] + t * np.sqrt(patient + finding["seed_share"] * finding["se"] ** 2 * 3 / seeds)

    assert end(row["seeds_needed"]) <= 0.02 < end(row["seeds_needed"] - 1)


def test_a_class_with_few_patients_is_not_decided_by_seeds():
    row = only(standing([undecided(0.02, 0.0005, positive_patients=30)]).precision, arm="focal")
    assert row["verdict"].startswith("undecided")
    assert np.isnan(row["seeds_needed"])


def test_ranks_depend_on_the_root_seed_alone():
    close = [cell(name) for name in PREVALENCE]
    first, again, other = (standing(close, seed=seed).ranks for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first["first"].equals(other["first"])
