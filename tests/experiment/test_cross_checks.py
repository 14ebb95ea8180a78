from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tailscope.experiment.cross_checks import CROSS_CHECK_COLUMNS, cross_checks
from tailscope.experiment.performance_samples import performance_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import (
    ComparisonSettings,
    clustered_auroc_covariance,
    compare,
    delong_covariance,
    paired_difference,
)

IMAGES, RESAMPLES = 240, 400
CLASSES = ("mass", "hernia", "absent")
SETTINGS = ComparisonSettings()


def grid_of(*arms, seeds=3):
    return RunGrid(arms, tuple(range(seeds)), tuple(f"{arm}-s{seed}" for arm in arms for seed in range(seeds)))


GRID = grid_of("control", "better", "stretched")


def scene(images_per_patient=1, grid=GRID):
    """``better`` ranks mass better; ``stretched`` is control with other logits and the same ranks."""
    random = np.random.default_rng(11)
    targets = np.stack([random.random(IMAGES) < share for share in (0.4, 0.15, 0.0)], axis=1).astype(np.float32)
    targets[random.random(targets.shape) < 0.05] = np.nan
    ids = np.array([f"i{number:03d}" for number in range(IMAGES)])
    patients = np.array([f"p{number // images_per_patient:03d}" for number in range(IMAGES)])
    test = TestSet(CLASSES, ("head", "medium", "tail"), ids, patients, targets, RESAMPLES, seed=0)
    signal = 1.2 * np.nan_to_num(targets) + random.normal(size=targets.shape)
    seeds = signal + 0.4 * random.normal(size=(len(grid.seeds), *targets.shape))
    of_arm = {"control": seeds, "better": seeds + 1.5 * np.nan_to_num(targets), "stretched": 0.1 * seeds + 7}
    return test, np.concatenate([of_arm[arm] for arm in grid.arms])


def checked(test, logits, grid=GRID, swaps=99, edit=lambda findings: findings):
    samples = list(performance_samples(test, grid, logits))
    findings = edit(compare(samples, SETTINGS))
    return cross_checks(test, grid, logits, samples, findings, swaps=swaps).set_index(["class", "arm"]), samples


@pytest.fixture(scope="module")
def plain():
    test, logits = scene()
    table, samples = checked(test, logits)
    return test, logits, table, samples


def test_there_is_a_row_for_every_class_and_treatment_and_none_for_means(plain):
    _, _, table, _ = plain
    assert list(table.index) == [(name, arm) for name in CLASSES for arm in ("better", "stretched")]
    assert set(table.reset_index().columns) == set(CROSS_CHECK_COLUMNS)


def test_the_bootstrap_is_that_of_the_main_test_with_the_seeds_fixed(plain):
    _, _, table, samples = plain
    cell = next(cell for cell in samples if (cell.metric, cell.class_name) == ("auroc", "hernia"))
    found = paired_difference(cell, 1)
    row = table.loc["hernia", "better"]
    assert row["difference"] == found.difference
    assert row["bootstrap_se"] == np.sqrt(found.patient_part)
    assert (row["percentile_lo"], row["percentile_hi"]) == found.percentile


@pytest.mark.parametrize("images_per_patient", [1, 3])
def test_the_formula_is_of_the_same_difference_averaged_over_seeds(images_per_patient):
    test, logits = scene(images_per_patient)
    row = checked(test, logits)[0].loc["mass", "better"]
    labels, scores = test.targets[:, 0], logits[:, :, 0]
    if images_per_patient == 1:
        areas, covariance = delong_covariance(scores, labels)
    else:
        areas, covariance = clustered_auroc_covariance(scores, labels, test.patients)
    contrast = np.array([-1, -1, -1, 1, 1, 1, 0, 0, 0]) / 3
    assert row["formula"] == {1: "DeLong", 3: "Obuchowski"}[images_per_patient]
    assert row["difference"] == pytest.approx(contrast @ areas, abs=1e-12)
    assert row["formula_se"] == pytest.approx(np.sqrt(contrast @ covariance @ contrast), rel=1e-9)


@pytest.mark.parametrize("images_per_patient", [1, 3])
def test_bootstrap_and_formula_agree(images_per_patient):
    # 400 resamples know a standard error to 1/√800 = 3.5 %
    ratios = checked(*scene(images_per_patient))[0].loc[["mass", "hernia"], "se_ratio"].dropna()
    assert len(ratios) == 2
    np.testing.assert_allclose(ratios, 1.0, atol=0.12)


def test_the_permutation_test_is_that_of_ranks_exchanged_patient_by_patient():
    test, logits = scene(images_per_patient=40)  # 6 patients: all 64 exchanges are tried
    labels = test.targets[:, 0]
    known = ~np.isnan(labels)
    ranks = np.argsort(np.argsort(logits[:, known, 0], axis=1), axis=1)
    patients, labels = test.patients[known], labels[known]
    found = []
    for code in range(64):
        swapped = np.isin(patients, [f"p{bit:03d}" for bit in range(6) if code >> bit & 1])
        pairs = [(ranks[3 + seed], ranks[seed]) for seed in range(3)]
        found.append(
            np.mean([
                roc_auc_score(labels, np.where(swapped, theirs, ours))
                - roc_auc_score(labels, np.where(swapped, ours, theirs))
                for ours, theirs in pairs
            ])
        )  # fmt: skip
    expected = (np.abs(found) >= abs(found[0]) - 1e-12).mean()
    assert checked(test, logits)[0].loc["mass", "better"]["permutation_p"] == expected


def test_a_clear_difference_is_clear_by_all_methods(plain):
    row = plain[2].loc["mass", "better"]
    assert row["verdict"] == "better"
    assert row["permutation_p"] == 1 / 100
    assert row["percentile_lo"] > 0
    assert row["p"] <= row["p_bh"] <= row["p_adjusted"] < 0.05


def test_an_arm_that_ranks_as_control_has_nothing_to_compare(plain):
    row = plain[2].loc["mass", "stretched"]
    assert (row["difference"], row["bootstrap_se"], row["formula_se"], row["permutation_p"]) == (0, 0, 0, 1)
    assert np.isnan(row["se_ratio"])
    assert row["reason"].startswith("no patient could move the difference")


def test_a_class_that_cannot_be_ranked_stays_with_its_reason(plain):
    row = plain[2].loc["absent", "better"]
    assert row["reason"] == "no positive test image"
    assert row[["difference", "bootstrap_se", "formula_se", "permutation_p", "p", "p_bh"]].isna().all()


def test_arms_outside_the_family_are_no_members_of_benjamini_and_hochbergs(plain):
    test, logits, table, _ = plain

    def outside(findings):
        return findings.assign(p_adjusted=findings["p_adjusted"].where(findings["arm"] != "stretched"))

    found = checked(test, logits, edit=outside)[0]
    assert found.xs("stretched", level="arm")["p_bh"].isna().all()
    assert found.loc["mass", "better"]["p_bh"] == pytest.approx(table.loc["mass", "better"]["p"] * 2)


def test_one_seed_leaves_the_standard_errors_and_says_why_there_is_no_p():
    grid = grid_of("control", "better", seeds=1)
    row = checked(*scene(grid=grid), grid)[0].loc["mass", "better"]
    assert row["se_ratio"] == pytest.approx(1.0, abs=0.12)
    assert np.isnan(row["p"])
    assert row["reason"] == "one seed per arm: seed noise is unknown"


def test_a_class_with_one_positive_patient_has_no_formula():
    test, logits = scene()
    targets = test.targets.copy()
    targets[:, 1] = np.where(np.arange(IMAGES) == 5, 1, 0)
    row = checked(replace(test, targets=targets, _drawn={}), logits)[0].loc["hernia", "better"]
    assert np.isnan(row["formula_se"])
    assert row["reason"].startswith("fewer than 2 patients have a positive")


def test_neither_the_order_of_the_images_nor_the_scale_of_logits_changes_a_number(plain):
    test, logits, table, _ = plain
    order = np.random.default_rng(1).permutation(IMAGES)
    shuffled = TestSet(
        CLASSES, test.groups, test.image_ids[order], test.patients[order], test.targets[order], RESAMPLES, seed=0
    )
    scale = np.arange(1, 10)[:, None, None]
    found = checked(shuffled, scale * logits[:, order] - scale)[0]
    pd.testing.assert_frame_equal(found, table, rtol=1e-9)


def test_without_auroc_there_are_no_rows():
    test, logits = scene()
    findings = compare(list(performance_samples(test, GRID, logits)), SETTINGS)
    found = cross_checks(test, GRID, logits, [], findings)
    assert found.empty
    assert list(found.columns) == list(CROSS_CHECK_COLUMNS)
