from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from tailscope.experiment.performance_curves import (
    CALIBRATION_COLUMNS,
    DECISION_COLUMNS,
    calibration_curves,
    decision_curves,
)
from tailscope.experiment.performance_metrics import net_benefit_name, performance_metrics
from tailscope.experiment.performance_samples import performance_samples
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import (
    brier,
    calibration_line,
    expected_calibration_error,
    log_loss,
    net_benefit,
    sensitivity_at_threshold,
    threshold_at_specificity,
)
from tailscope.stats import ComparisonSettings, compare

IMAGES, VAL = 160, 60
CLASSES, GROUPS = ("mass", "nodule", "hernia"), ("head", "head", "tail")
GRID = RunGrid(("control", "focal"), (0, 1), ("c0", "c1", "f0", "f1"))


def scene(seed=0, resamples=60):
    """Patients with two images each; the focal arm says twice what control says; the hernias are all unknown."""
    random = np.random.default_rng(seed)
    evidence = random.normal(-1, 1.5, (IMAGES + VAL, 3))
    targets = (random.random(evidence.shape) < expit(evidence)).astype(np.float32)
    targets[random.random(evidence.shape) < 0.05] = np.nan
    targets[:IMAGES, 2] = np.nan
    logits = np.stack([scale * evidence + random.normal(0, 0.7, evidence.shape) for scale in (1, 1, 2, 2)])
    ids = np.array([f"i{number:03d}" for number in range(IMAGES)])
    patients = np.array([f"p{number // 2}" for number in range(IMAGES)])
    test = TestSet(CLASSES, GROUPS, ids, patients, targets[:IMAGES], resamples=resamples, seed=0)
    split = logits[:, :IMAGES], logits[:, :IMAGES] / 2, logits[:, IMAGES:], targets[IMAGES:].astype(float)
    return test, Predicted(*split)


@pytest.fixture(scope="module")
def found():
    test, predicted = scene()
    cells = list(performance_metrics(test, GRID, predicted))
    return test, predicted, {(cell.metric, cell.class_name): cell for cell in cells}


def plain_values(metric, logits, test):
    return metric(logits[:, :, 0].T, np.repeat(test.targets[:, :1], 4, axis=1))


def test_each_metric_has_one_cell_per_class_and_mean(found):
    _, _, cells = found
    names = [
        "brier", "log_loss", "expected_calibration_error", "calibration_intercept", "calibration_slope",
        "brier_prior_corrected", "ece_prior_corrected", "brier_platt", "ece_platt",
        "sensitivity", "specificity", "specificity_at_sensitivity",
        "net_benefit_at_0.05", "net_benefit_at_0.1", "net_benefit_at_0.2",
    ]  # fmt: skip
    assert list(cells) == [(name, each) for name in names for each in (*CLASSES, "macro", "head", "tail")]


def test_errors_are_better_when_lower_and_of_a_line_neither_end_is(found):
    _, _, cells = found
    directions = {name: cell.direction for (name, _), cell in cells.items()}
    lower = {name for name, direction in directions.items() if direction == "lower"}
    neither = {name for name, direction in directions.items() if direction is None}
    assert lower == {
        "brier", "log_loss", "expected_calibration_error", "brier_prior_corrected", "ece_prior_corrected",
        "brier_platt", "ece_platt",
    }  # fmt: skip
    assert neither == {"calibration_intercept", "calibration_slope"}


@pytest.mark.parametrize(
    ("name", "metric"),
    [("brier", brier), ("log_loss", log_loss), ("expected_calibration_error", expected_calibration_error)],
)
def test_values_are_those_of_the_test_split(found, name, metric):
    test, predicted, cells = found
    np.testing.assert_allclose(cells[name, "mass"].values.ravel(), plain_values(metric, predicted.logits, test))


def test_corrected_errors_are_those_of_the_corrected_logits(found):
    test, predicted, cells = found
    expected = plain_values(brier, predicted.corrected, test)
    np.testing.assert_allclose(cells["brier_prior_corrected", "mass"].values.ravel(), expected)


def test_resamples_are_the_means_over_seeds_on_the_patients_drawn(found):
    test, predicted, cells = found
    labels = test.targets[:, 0]
    draws = test.draw(np.stack([labels == 1, labels == 0], axis=1)).multiplicity
    for resample in (0, 31):
        rows = np.repeat(np.arange(IMAGES), draws[resample])
        lines = [calibration_line(run[rows, 0], labels[rows])[0] for run in predicted.logits]
        slopes = np.array([line.slope for line in lines]).reshape(2, 2).mean(axis=1)
        np.testing.assert_allclose(cells["calibration_slope", "mass"].resampled[:, resample], slopes, rtol=1e-6)
        errors = [expected_calibration_error(run[rows, 0], labels[rows])[0] for run in predicted.logits]
        expected = np.reshape(errors, (2, 2)).mean(axis=1)
        np.testing.assert_allclose(cells["expected_calibration_error", "mass"].resampled[:, resample], expected)


def test_sensitivity_is_at_the_threshold_that_validation_gives(found):
    test, predicted, cells = found
    limits = [threshold_at_specificity(val, predicted.val_targets, 0.95) for val in predicted.val_logits]
    expected = [
        sensitivity_at_threshold(run, test.targets, limit)[1]
        for run, limit in zip(predicted.logits, limits, strict=True)
    ]
    np.testing.assert_allclose(cells["sensitivity", "nodule"].values.ravel(), expected)


def test_the_reverse_finds_its_positives_on_validation(found):
    _, predicted, cells = found
    values = cells["specificity_at_sensitivity", "mass"].values
    assert ((values > 0) & (values < 1)).all()
    positive, negative = (predicted.val_targets[:, 0] == side for side in (1, 0))
    run = predicted.val_logits[0, :, 0]
    last = np.sort(run[positive])[::-1][int(np.ceil(0.9 * positive.sum() - 1e-9)) - 1]
    assert (run[positive] >= last).mean() >= 0.9
    labels = scene()[0].targets[:, 0]
    assert values[0, 0] == pytest.approx((predicted.logits[0, labels == 0, 0] < last).mean())
    assert negative.any()


def test_a_class_without_a_test_label_or_an_operating_point_says_why(found):
    _, predicted, cells = found
    assert cells["brier", "hernia"].reason == "no positive test image"
    test, _ = scene()
    blind = predicted.val_targets.copy()
    blind[:, 0] = np.nan
    without = Predicted(predicted.logits, predicted.corrected, predicted.val_logits, blind)
    again = {(one.metric, one.class_name): one for one in performance_metrics(test, GRID, without)}
    assert again["sensitivity", "mass"].reason == "no operating point on validation"
    assert again["brier_platt", "mass"].reason == "on validation, no positive image"
    assert np.isfinite(again["sensitivity", "macro"].values).all()


def test_a_class_that_is_separated_in_many_resamples_has_no_line():
    test, predicted = scene()
    few = test.targets.copy()
    few[:, 0] = np.where(np.arange(IMAGES) < 4, 1.0, 0.0)
    logits = predicted.logits.copy()
    logits[:, :4, 0] = [-9.0, 9.0, 9.0, 9.0]  # one patient has the only positive that is not on top
    rare = TestSet(CLASSES, GROUPS, test.image_ids, test.patients, few, resamples=60, seed=0)
    changed = Predicted(logits, logits, predicted.val_logits, predicted.val_targets)
    cells = {(one.metric, one.class_name): one for one in performance_metrics(rare, GRID, changed)}
    assert cells["calibration_slope", "mass"].reason.endswith("% of the patient resamples have no value")
    assert cells["brier", "mass"].reason == ""


def test_compare_gives_intervals_and_no_verdict(found):
    _, _, cells = found
    table = compare(list(cells.values()), ComparisonSettings(min_seeds=2)).set_index(["metric", "class"])
    row = table.loc["brier", "mass"]
    assert row["lo"] < row["difference"] < row["hi"]
    assert not table["primary"].any()
    assert not set(table["verdict"]) & {"better", "worse", "equivalent", "higher", "lower"}


def test_an_arm_that_repeats_control_differs_by_nothing():
    test, predicted = scene()
    twice = np.concatenate([predicted.logits[:2]] * 2)
    val = np.concatenate([predicted.val_logits[:2]] * 2)
    cells = performance_metrics(test, GRID, Predicted(twice, twice, val, predicted.val_targets))
    for cell in cells:
        if not cell.why_missing:
            np.testing.assert_array_equal(cell.resampled[0], cell.resampled[1])


def test_ranking_metrics_still_are_better_when_higher():
    test, predicted = scene()
    assert {cell.direction for cell in performance_samples(test, GRID, predicted.logits)} == {"higher"}


def test_the_calibration_curve_averages_the_bins_of_the_seeds():
    test, predicted = scene()
    table = calibration_curves(test, GRID, predicted, bins=5)
    assert tuple(table.columns) == CALIBRATION_COLUMNS
    assert set(table["class"]) == {"mass", "nodule"}
    assert set(table["version"]) == {"raw", "prior corrected"}
    chosen = table[(table["class"] == "mass") & (table["arm"] == "focal") & (table["version"] == "raw")]
    assert chosen["bin"].tolist() == [1, 2, 3, 4, 5]
    known = ~np.isnan(test.targets[:, 0])
    assert chosen["n"].sum() == known.sum()
    risks = [np.sort(expit(run[known, 0])) for run in predicted.logits[2:]]
    lowest = np.mean([np.array_split(risk, 5)[0].mean() for risk in risks])
    assert chosen["predicted"].iloc[0] == pytest.approx(lowest)
    assert np.average(chosen["observed"], weights=chosen["n"]) == pytest.approx(np.nanmean(test.targets[:, 0]))


def test_the_decision_curve_stands_beside_treating_all_and_control():
    test, predicted = scene()
    at = (0.1, 0.5)
    table = decision_curves(test, GRID, predicted.logits, ComparisonSettings(), at)
    assert tuple(table.columns) == DECISION_COLUMNS
    assert len(table) == 6 * 2 * 2
    row = table.set_index(["class", "arm", "threshold"]).loc["mass", "focal", 0.1]
    values = net_benefit(predicted.logits[:, :, 0].T, np.repeat(test.targets[:, :1], 4, axis=1), at)[:, 0]
    prevalence = np.nanmean(test.targets[:, 0])
    assert row["net_benefit"] == pytest.approx(values[2:].mean())
    assert row["difference"] == pytest.approx(values[2:].mean() - values[:2].mean())
    assert row["treat_all"] == pytest.approx(prevalence - (1 - prevalence) / 9)
    assert row["lo"] < row["net_benefit"] < row["hi"]
    assert row["difference_lo"] < row["difference"] < row["difference_hi"]


def test_control_has_no_difference_to_itself_and_a_mean_is_over_the_estimable_classes():
    test, predicted = scene()
    table = decision_curves(test, GRID, predicted.logits, ComparisonSettings(), (0.2,)).set_index(["class", "arm"])
    assert np.isnan(table.loc[("mass", "control"), "difference"])
    both = table.loc[["mass", "nodule"]]
    for column in ("net_benefit", "treat_all"):
        expected = both.xs("focal", level="arm")[column].mean()
        assert table.loc[("macro", "focal"), column] == pytest.approx(expected)
    assert np.isnan(table.loc[("hernia", "focal"), "net_benefit"])


def test_names_of_net_benefit_carry_their_threshold():
    assert [net_benefit_name(threshold) for threshold in (0.05, 0.5)] == ["net_benefit_at_0.05", "net_benefit_at_0.5"]


def test_predictions_are_read_by_split_in_the_order_of_the_runs(tmp_path, monkeypatch):
    from tailscope.experiment import predicted as module
    from tailscope.experiment.folder import ExperimentFolder

    folder = ExperimentFolder(tmp_path)
    for number, run in enumerate(GRID.names):
        folder.run(run).mkdir(parents=True)
        rows = [("val", 10.0 + number), ("val", 20.0), ("test", number), ("test", 1.0), ("test", 2.0), ("test", 3.0)]
        pd.DataFrame(rows, columns=["split", "logit"]).to_parquet(folder.run(run) / "predictions.parquet")

    class Doubled:
        why_none = ""

        def __call__(self, logits):
            return 2 * logits

    monkeypatch.setattr(module.PriorCorrection, "of", lambda *_: Doubled())
    monkeypatch.setattr(module, "ExperimentData", object)

    class Data:
        classes = ("mass", "hernia")
        targets = np.array([[1.0, np.nan], [0.0, 0.0], [1.0, 1.0]], dtype=np.float32)

        def rows(self, split):
            return np.array([0]) if split == "val" else np.array([1, 2])

    read = Predicted.read(folder, Data(), GRID)
    assert read.logits[3].tolist() == [[3.0, 1.0], [2.0, 3.0]]
    assert read.val_logits[:, 0, 0].tolist() == [10.0, 11.0, 12.0, 13.0]
    np.testing.assert_array_equal(read.corrected, 2 * read.logits)
    np.testing.assert_array_equal(read.val_targets, [[1.0, np.nan]])
