from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shortcut_scene import scene
from sklearn.metrics import average_precision_score, roc_auc_score

from tailscope.core import InputError
from tailscope.experiment.lens_config import PerformanceLens
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.subgroup_columns import SubgroupColumn, subgroup_columns, subgroups_of
from tailscope.experiment.subgroup_samples import Scored, gap_samples, subgroup_samples
from tailscope.experiment.subgroups import GAP_COLUMNS, SUBGROUP_COLUMNS, subgroup_tables
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import threshold_at_specificity

SEEDS, ARMS = (0, 1, 2), ("control", "focal")
GRID = RunGrid(ARMS, SEEDS, tuple(f"{arm}{seed}" for arm in ARMS for seed in SEEDS))
IMAGES, RESAMPLES = 240, 40
CLASSES, GROUPS = ("mass", "edema", "hernia"), ("head", "head", "tail")
SEX = SubgroupColumn("sex", ("F", "M"), np.arange(IMAGES) // 2 % 2)
AGE = SubgroupColumn("age", ("0–17", "18–39", "65+"), np.arange(IMAGES) // 2 % 3)


def scored(*, unknown=False, order=None):
    """Two images per patient; hernia is too rare to be ranked, and control is poor at women's masses."""
    rng = np.random.default_rng(7)
    targets = (rng.random((IMAGES, 3)) < (0.5, 0.4, 0.04)).astype(np.float32)
    strength = np.full((2, IMAGES, 3), 1.0)
    strength[0, SEX.chosen(0), 0] = 0.2
    logits = rng.normal(size=(6, IMAGES, 3)) + np.repeat(strength, 3, axis=0) * targets
    logits[:, ::5] = logits[:, 1::5].round(1)  # ties
    if unknown:
        targets[rng.random(targets.shape) < 0.1] = np.nan
    ids = np.array([f"i{number:03d}" for number in range(IMAGES)])
    patients = np.array([f"p{number // 2:03d}" for number in range(IMAGES)])
    order = np.arange(IMAGES) if order is None else order
    test = TestSet(CLASSES, GROUPS, ids[order], patients[order], targets[order], RESAMPLES, seed=0)
    return Scored(test, GRID, logits[:, order], np.full((6, 3), 0.8))


@pytest.fixture(scope="module")
def tables():
    return subgroup_tables(scored(), (SEX, AGE))


def cells(what, chosen, metric):
    return subgroup_samples(what, chosen, (metric,))[metric]


def row(frame, **address):
    (found,) = frame.loc[(frame[list(address)] == pd.Series(address)).all(axis=1)].to_dict("records")
    return found


def expanded(what, chosen, drawn, number, run):
    """Scores and labels of the subgroup, each image as often as it is drawn."""
    labels = what.test.targets[:, number]
    times = np.where(chosen & ~np.isnan(labels), drawn, 0)
    return np.repeat(what.logits[run, :, number], times), np.repeat(labels, times)


ORACLES = {
    "auroc": lambda scores, labels: roc_auc_score(labels, scores),
    "average_precision": lambda scores, labels: average_precision_score(labels, scores),
    "sensitivity": lambda scores, labels: (scores[labels == 1] > 0.8).mean(),
    "specificity": lambda scores, labels: (scores[labels == 0] <= 0.8).mean(),
}


@pytest.mark.parametrize("metric", ORACLES)
def test_a_metric_in_a_subgroup_is_what_scikit_learn_finds_without_the_other_images(metric):
    what = scored(unknown=True)
    chosen = SEX.chosen(1)
    cell = cells(what, chosen, metric)[0]
    alone = [ORACLES[metric](*expanded(what, chosen, 1, 0, run)) for run in range(6)]
    np.testing.assert_allclose(cell.values.ravel(), alone, rtol=1e-9)
    drawn = what.test.draw(np.ones((IMAGES, 1), dtype=bool)).multiplicity
    for arm, runs in enumerate((range(3), range(3, 6))):
        seeds = [ORACLES[metric](*expanded(what, chosen, drawn[5], 0, run)) for run in runs]
        np.testing.assert_allclose(cell.resampled[arm, 5], np.mean(seeds), rtol=1e-9)


def test_the_degrees_of_freedom_rest_on_the_patients_of_the_label_that_a_metric_is_over():
    chosen = SEX.chosen(0)
    by_metric = subgroup_samples(scored(), chosen, tuple(ORACLES))
    cell = by_metric["auroc"][0]
    counts = {metric: found[0].patients for metric, found in by_metric.items()}
    assert counts["sensitivity"] == cell.positive_patients
    assert counts["specificity"] == cell.negative_patients
    assert counts["auroc"] == counts["average_precision"] == min(cell.positive_patients, cell.negative_patients)


def test_a_value_its_interval_and_its_difference_are_those_of_the_analysis_plan(tables):
    what = scored()
    chosen = SEX.chosen(0)
    mass, edema = (cells(what, chosen, "auroc")[number] for number in (0, 1))
    found = row(tables.subgroups, column="sex", subgroup="F", arm="focal", metric="auroc", **{"class": "edema"})
    within = {cell.class_name: np.mean(np.var(cell.values, axis=1, ddof=1)) for cell in (mass, edema)}
    assert found["value"] == pytest.approx(edema.values[1].mean())
    seed, patient = within["edema"] / 3, np.var(edema.resampled[1], ddof=1)
    assert found["hi"] - found["value"] == pytest.approx(half(seed, patient, edema.patients))
    seed = 2 / 3 * max(within["edema"], np.median(list(within.values())))  # floored at the median of the classes
    patient = np.var(edema.resampled[1] - edema.resampled[0], ddof=1)
    assert found["difference"] == pytest.approx((edema.values[1] - edema.values[0]).mean())
    assert found["difference"] - found["difference_lo"] == pytest.approx(half(seed, patient, edema.patients))


def half(seed, patient, patients, level=0.95):
    df = (seed + patient) ** 2 / (seed**2 / 4 + patient**2 / (patients - 1))
    return stats.t.ppf((1 + level) / 2, df) * np.sqrt(seed + patient)


def test_a_gap_is_the_subgroup_minus_the_others_on_the_same_patients(tables):
    what = scored()
    inside, others = (cells(what, mask, "auroc")[0] for mask in (AGE.chosen(1), AGE.others(1)))
    found = row(tables.gaps, column="age", subgroup="18–39", arm="focal", metric="auroc", **{"class": "mass"})
    gaps = inside.values - others.values
    assert found["gap"] == pytest.approx(gaps[1].mean())
    assert found["difference"] == pytest.approx((gaps[1] - gaps[0]).mean())
    seed, patient = np.mean(np.var(gaps, axis=1, ddof=1)) / 3, np.var((inside.resampled - others.resampled)[1], ddof=1)
    least = min(inside.patients, others.patients)
    assert found["hi"] - found["gap"] == pytest.approx(half(seed, patient, least, 1 - 0.05 / 3))


def test_the_intervals_of_three_subgroups_hold_at_once_and_those_of_two_are_one_interval(tables):
    def gap(column, subgroup):
        return row(tables.gaps, column=column, subgroup=subgroup, arm="control", metric="auroc", **{"class": "mass"})

    women, men = gap("sex", "F"), gap("sex", "M")
    assert (women["gap"], women["lo"], women["hi"]) == pytest.approx((-men["gap"], -men["hi"], -men["lo"]))
    inside, others = (cells(scored(), mask, "auroc")[0] for mask in (SEX.chosen(0), SEX.others(0)))
    gaps, drawn = inside.values - others.values, (inside.resampled - others.resampled)[0]
    seed, patient = np.mean(np.var(gaps, axis=1, ddof=1)) / 3, np.var(drawn, ddof=1)
    assert women["hi"] - women["gap"] == pytest.approx(half(seed, patient, min(inside.patients, others.patients)))


def test_a_subgroup_that_one_arm_serves_badly_has_its_gap_and_the_other_arm_narrows_it(tables):
    control, focal = (
        row(tables.gaps, column="sex", subgroup="F", arm=arm, metric="auroc", **{"class": "mass"}) for arm in ARMS
    )
    assert control["hi"] < 0
    assert np.isnan(control["difference"])
    assert focal["difference_lo"] > 0


def test_average_precision_has_no_gap_because_it_rises_with_the_prevalence(tables):
    assert set(tables.gaps["metric"]) == {"auroc", "sensitivity", "specificity"}
    assert set(tables.subgroups["metric"]) == set(ORACLES)


def test_too_few_patients_leave_the_value_without_an_interval_and_with_the_reason(tables):
    what = scored()
    positives = len(set(what.test.patients[SEX.chosen(0) & (what.test.targets[:, 2] == 1)]))
    assert 0 < positives < 20
    found = row(tables.subgroups, column="sex", subgroup="F", arm="control", metric="auroc", **{"class": "hernia"})
    alone = [roc_auc_score(what.test.targets[SEX.chosen(0), 2], what.logits[run, SEX.chosen(0), 2]) for run in range(3)]
    assert found["value"] == pytest.approx(np.mean(alone))
    assert np.isnan([found["lo"], found["hi"], found["difference"]]).all()
    patients = "patient" if positives == 1 else "patients"
    assert found["reason"] == f"{positives} positive {patients}, expected 20 or more"
    gap = row(tables.gaps, column="sex", subgroup="F", arm="control", metric="auroc", **{"class": "hernia"})
    assert np.isnan(gap["gap"])
    assert gap["reason"] == found["reason"]


@pytest.mark.parametrize(("patients", "reason"), [(19, "19 positive patients, expected 20 or more"), (20, "")])
def test_twenty_patients_with_either_label_are_enough_and_nineteen_are_not(patients, reason):
    what = scored()
    targets = np.zeros((IMAGES, 3), dtype=np.float32)
    targets[: 2 * patients] = 1
    found = cells(replace(what, test=replace(what.test, targets=targets)), np.ones(IMAGES, dtype=bool), "auroc")[0]
    assert found.reason == reason
    turned = replace(what, test=replace(what.test, targets=1 - targets))
    assert cells(turned, np.ones(IMAGES, dtype=bool), "auroc")[0].reason == reason.replace("positive", "negative")


def test_a_gap_to_others_that_are_not_ranked_says_that_it_is_they():
    what = scored()
    few = np.arange(IMAGES) < 20
    inside, others = (cells(what, mask, "auroc")[0] for mask in (~few, few))
    assert inside.reason == ""
    assert gap_samples(inside, others).reason == f"among the others: {others.reason}"


def test_averages_are_over_the_ranked_classes_and_a_gap_over_the_same_on_both_sides(tables):
    address = {"column": "sex", "subgroup": "F", "arm": "focal", "metric": "auroc"}
    single = [row(tables.subgroups, **address, **{"class": name})["value"] for name in ("mass", "edema")]
    macro = row(tables.subgroups, **address, **{"class": "macro"})
    assert macro["value"] == pytest.approx(np.mean(single))
    assert (macro["n"], macro["patients"]) == (SEX.chosen(0).sum(), SEX.chosen(0).sum() / 2)
    gaps = [row(tables.gaps, **address, **{"class": name})["gap"] for name in ("mass", "edema")]
    assert row(tables.gaps, **address, **{"class": "macro"})["gap"] == pytest.approx(np.mean(gaps))
    assert row(tables.subgroups, **address, **{"class": "tail"})["reason"] == "no estimable class"


def test_without_an_operating_point_nothing_is_called_and_the_ranking_stays():
    what = scored()
    limits = what.thresholds.copy()
    limits[4, 0] = np.nan
    frames = subgroup_tables(replace(what, thresholds=limits), (SEX,)).subgroups
    address = {"column": "sex", "subgroup": "M", "arm": "focal", "class": "mass"}
    called = row(frames, metric="sensitivity", **address)
    assert np.isnan(called["value"])
    assert called["reason"] == "no operating point on validation"
    assert row(frames, metric="auroc", **address)["reason"] == ""


def test_one_seed_gives_values_without_intervals():
    what = scored()
    one = RunGrid(ARMS, (0,), ("control0", "focal0"))
    single = Scored(what.test, one, what.logits[[0, 3]], what.thresholds[[0, 3]])
    frames = subgroup_tables(single, (SEX,))
    for frame, value in ((frames.subgroups, "value"), (frames.gaps, "gap")):
        found = row(frame, column="sex", subgroup="M", arm="focal", metric="auroc", **{"class": "mass"})
        assert np.isfinite(found[value])
        assert np.isnan(found["lo"])
        assert found["reason"] == "one seed per arm: seed noise is unknown"


def test_images_without_a_value_are_in_no_subgroup_and_not_among_the_others():
    column = replace(SEX, member=np.where(np.arange(IMAGES) < 40, -1, SEX.member))
    frames = subgroup_tables(scored(), (column,)).subgroups
    counted = frames.loc[(frames["class"] == "macro") & (frames["metric"] == "auroc") & (frames["arm"] == "control")]
    assert counted["n"].sum() == IMAGES - 40
    assert (column.chosen(0) | column.others(0)).sum() == IMAGES - 40


def test_the_order_of_the_images_changes_nothing(tables):
    order = np.random.default_rng(1).permutation(IMAGES)
    columns = [replace(column, member=column.member[order]) for column in (SEX, AGE)]
    shuffled = subgroup_tables(scored(order=order), columns)
    pd.testing.assert_frame_equal(shuffled.subgroups, tables.subgroups, rtol=1e-12)
    pd.testing.assert_frame_equal(shuffled.gaps, tables.gaps, rtol=1e-12)


def test_every_row_is_there_once_and_has_all_columns(tables):
    assert tuple(tables.subgroups.columns) == SUBGROUP_COLUMNS
    assert tuple(tables.gaps.columns) == GAP_COLUMNS
    address = ["column", "subgroup", "class", "arm", "metric"]
    assert not tables.subgroups.duplicated(address).any()
    assert len(tables.subgroups) == (2 + 3) * 4 * 2 * (3 + 3)  # subgroups, metrics, arms, classes with three means
    empty = subgroup_tables(scored(), ())
    assert tuple(empty.subgroups.columns) == SUBGROUP_COLUMNS
    assert empty.gaps.empty


def test_the_operating_point_is_each_runs_own_on_all_validation_images():
    what = scored()
    rng = np.random.default_rng(3)
    val, targets = rng.normal(size=(6, 50, 3)), (rng.random((50, 3)) < 0.3).astype(float)
    limits = Scored.of(what.test, GRID, Predicted(what.logits, what.logits, val, targets)).thresholds
    np.testing.assert_array_equal(limits[4], threshold_at_specificity(val[4], targets))
    assert (val[4] <= limits[4])[targets[:, 1] == 0, 1].mean() >= 0.95


def test_ages_are_cut_into_bands_and_an_age_below_0_is_unknown():
    column = subgroups_of("age", np.array([0.0, 17.9, 18.0, 39.0, 64.0, 65.0, 101.0, -1.0, np.nan]))
    assert column.subgroups == ("0–17", "18–39", "40–64", "65+")
    assert column.member.tolist() == [0, 0, 1, 1, 2, 3, 3, -1, -1]


def test_other_numbers_are_cut_into_thirds_of_the_images_and_few_are_taken_as_codes():
    column = subgroups_of("dose", np.array([6.0, 1.0, 2.0, 3.0, 4.0, 5.0, np.nan]))
    assert column.subgroups == ("≤ 2", "2 to 4", "> 4")
    assert column.member.tolist() == [2, 0, 0, 1, 1, 2, -1]
    assert subgroups_of("scanner", np.array([2.0, 1.0, 10.0, 1.0])).subgroups == ("1", "2", "10")


def test_a_number_that_is_one_value_in_most_images_makes_two_subgroups():
    column = subgroups_of("follow_up", np.array([0.0] * 20 + [1.0, 2.0, 3.0, 4.0, 5.0]))
    assert column.subgroups == ("≤ 0", "> 0")
    assert (column.member == 0).sum() == 20


def test_text_and_masks_make_one_subgroup_per_value():
    assert subgroups_of("sex", np.array(["M", None, "F", "M"], dtype=object)).member.tolist() == [1, -1, 0, 1]
    tube = subgroups_of("tube", np.array([False, True, True]))
    assert (tube.subgroups, tube.member.tolist()) == (("yes", "no"), [1, 0, 0])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.array([f"note {number}" for number in range(9)], dtype=object), "9 different values"),
        (np.array([True, True]), "all test images fall into one subgroup"),
        (np.array([np.nan, np.nan]), "no value"),
        (np.array([None, None], dtype=object), "no value"),
        (np.array([30.0, 31.0]), "all test images fall into one subgroup"),
    ],
)
def test_a_column_that_makes_no_subgroups_says_why(values, why):
    assert why in subgroups_of("age" if values.dtype == float else "note", values)


def test_all_columns_that_qualify_are_taken_unless_some_are_asked_for():
    data = scene()
    notes = np.array([f"note {number}" for number in range(len(data.image_ids))], dtype=object)
    data = replace(data, attributes={**data.attributes, "note": notes})
    assert [column.name for column in subgroup_columns(data)] == ["wire", "portable"]
    assert [column.name for column in subgroup_columns(data, ("portable",))] == ["portable"]
    assert subgroup_columns(data, ()) == ()
    with pytest.raises(InputError, match="did you mean 'portable'"):
        subgroup_columns(data, ("portabel",))
    with pytest.raises(InputError, match="'note', which makes no subgroups: 24 different values"):
        subgroup_columns(data, ("note",))


def test_only_the_test_images_count():
    data = scene()
    split = np.where(np.arange(len(data.split)) % 2 == 0, "test", "train")
    data = replace(data, split=split)  # every second picture has the wire
    assert [column.name for column in subgroup_columns(data)] == ["portable"]
    assert subgroup_columns(data)[0].member.size == (split == "test").sum()


def test_the_configuration_takes_all_columns_unless_told():
    assert PerformanceLens().subgroups is None
    assert PerformanceLens(subgroups=["sex"]).subgroups == ("sex",)
