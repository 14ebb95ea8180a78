import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import norm

from tailscope.stats import (
    FINDING_COLUMNS,
    ComparisonSettings,
    MetricSamples,
    compare,
    family_sizes,
    hidden_differences,
    holm,
    positives_needed,
)

SETTINGS = ComparisonSettings()
RNG = np.random.default_rng(6)
OFFSETS = {1: [0.0], 2: [-1.0, 1.0], 3: [-1.0, 0.0, 1.0]}


def cell(metric="auroc", difference=0.0, *, se=0.002, seeds=3, level=0.8, **more):
    """Two arms whose seeds scatter evenly by ``se`` and whose resamples have standard deviation ``se``."""
    spread = se * np.array(OFFSETS[seeds])
    values = np.stack([level + spread, level + difference + spread])
    drawn = np.linspace(-1.7, 1.7, 200) * se
    resampled = np.stack([np.full(200, level), level + difference + drawn])
    fixed = {"lens": "performance" if metric in SETTINGS.performance else "alignment", "metric": metric}
    name = {"class_name": "a", "group": "head", "arms": ("control", "focal")}
    counts = {"n": 900, "patients": 80, "positive_patients": 80, "negative_patients": 700}
    return MetricSamples(**{**fixed, **name, **counts, "values": values, "resampled": resampled, **more})


def only(*cells):
    return compare(cells, SETTINGS).iloc[0]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (cell(difference=0.0005), "equivalent"),
        (cell(difference=0.008, se=0.001), "differs, within the margin"),
        (cell(difference=0.1), "better"),
        (cell(difference=-0.1), "worse"),
        (cell(difference=-0.1, direction="lower"), "better"),
        (cell(difference=0.1, direction=None), "higher"),
        (cell(difference=-0.1, direction=None), "lower"),
        (cell(difference=0.01, se=0.05), "undecided"),
        (cell(difference=0.1, positive_patients=19), "undecided (19 positive patients)"),
        (cell(difference=0.1, negative_patients=19), "undecided (19 negative patients)"),
        (cell(difference=0.1, positive_patients=20), "better"),
        (cell(difference=0.0005, positive_patients=49), "undecided (49 positive patients)"),
        (cell(difference=0.0005, positive_patients=50), "equivalent"),
        (cell(difference=0.008, se=0.001, positive_patients=49), "better"),
        (cell(difference=0.1, seeds=2), "candidate: better"),
        (cell(difference=0.0005, seeds=2), "undecided"),
        (cell(difference=0.1, seeds=1), ""),
        (cell("mass_inside", 0.1), "better"),
        (cell("gradcam.iou", 0.1), ""),
        (cell(difference=0.1, class_name="macro", group="macro"), ""),
        (cell(reason="no positive test image"), ""),
        (cell("average_precision", 0.0005), "equivalent"),
        (cell("average_precision", 0.0155, level=0.03), "better"),
    ],
)
def test_the_verdict_follows_the_rules(samples, expected):
    found = only(samples)
    assert found["verdict"] == expected
    assert expected or found["reason"]


def test_ap_inside_the_margin_is_not_equivalent_where_its_ratio_is_outside():
    found = only(cell("average_precision", 0.01, level=0.02))
    assert (found["lo90"], found["hi90"]) > (-0.02, -0.02)
    assert found["hi90"] < 0.02
    assert found["ratio_hi90"] > 1.25
    assert found["p_equivalence"] > 0.05


def test_a_ratio_that_cannot_be_judged_is_not_equivalent():
    found = only(cell("average_precision", 0.0, level=0.0, se=0.0001))
    assert np.isnan(found["p_equivalence"])


def test_the_table_has_the_columns_in_the_order_of_the_samples():
    found = compare([cell(class_name="b"), cell("gradcam.iou"), cell(class_name="a")], SETTINGS)
    assert tuple(found.columns) == FINDING_COLUMNS
    assert found["class"].tolist() == ["b", "a", "a"]
    assert tuple(compare([], SETTINGS).columns) == FINDING_COLUMNS


def test_holm_runs_over_classes_and_not_over_means_or_other_metrics():
    cells = [cell(difference=d, class_name=f"c{d}") for d in (0.004, 0.006, 0.008)]
    mean = cell(difference=0.006, class_name="macro", group="macro")
    found = compare([*cells, mean, cell("average_precision", 0.1)], SETTINGS)
    np.testing.assert_allclose(found["p_adjusted"][:3], holm(found["p"][:3]))
    assert found["p_adjusted"][3] == found["p"][3]


def test_the_seed_variance_is_floored_at_the_median_over_classes_without_means():
    cells = [cell(se=se, class_name=f"c{se}") for se in (0.001, 0.002, 0.004)]
    found = compare([*cells, cell(se=0.0005, class_name="tail", group="tail")], SETTINGS)
    np.testing.assert_allclose(found["seed_noise"], np.sqrt(2 / 3) * np.array([0.002, 0.002, 0.004, 0.0005]))


def hidden(*cells):
    return hidden_differences(compare(cells, SETTINGS), SETTINGS)


def judges(**more):
    return cell(difference=0.001, **more), cell("average_precision", 0.001, **more)


def test_a_lens_that_differs_under_equal_auroc_and_ap_is_a_hidden_difference():
    found = hidden(*judges(), cell("mass_inside", 0.1)).iloc[0]
    assert (found["kind"], found["metric"], found["arm"]) == ("hidden difference", "mass_inside", "focal")
    assert found["auroc_difference"] == pytest.approx(0.001)
    assert np.isnan(found["positives_needed"])


def test_the_p_of_a_hidden_difference_is_the_largest_of_its_three():
    cells = (*judges(), cell("mass_inside", 0.04))
    table = compare(cells, SETTINGS)
    expected = max(table["p_equivalence"][0], table["p_equivalence"][1], table["p_beyond_margin"][2])
    assert hidden_differences(table, SETTINGS)["p"].iloc[0] == expected


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ((*judges(seeds=2), cell("mass_inside", 0.1, seeds=2)), "2 seeds"),
        ((*judges(positive_patients=30), cell("mass_inside", 0.1)), "30 patients with the rarer label"),
        ((*judges(), cell("mass_inside", 0.1, positive_patients=8)), "8 annotated patients"),
    ],
)
def test_the_same_pattern_with_less_evidence_is_a_candidate(cells, reason):
    found = hidden(*cells).iloc[0]
    assert found["kind"] == "candidate"
    assert found["reason"].startswith(reason)


def test_a_difference_that_does_not_survive_holm_is_a_candidate():
    strong = [*judges(), cell("mass_inside", 0.0292, se=0.004)]
    weak = [
        part for k in range(4) for part in (*judges(class_name=f"c{k}"), cell("mass_inside", 0.0, class_name=f"c{k}"))
    ]
    found = hidden(*strong, *weak)
    assert found["kind"].tolist() == ["candidate"]
    assert found["reason"].tolist() == ["not after Holm's adjustment"]


def test_a_lens_that_differs_while_auroc_is_undecided_is_not_visible():
    unsure = cell(difference=0.001, se=0.02)
    found = hidden(unsure, judges()[1], cell("mass_inside", 0.1)).iloc[0]
    assert found["kind"] == "not visible"
    assert found["reason"] == "auroc undecided"


def test_the_positives_needed_make_the_interval_fit():
    resampled = np.stack([np.full(200, 0.8), 0.8 + np.linspace(-1.7, 1.7, 200) * 0.02])
    unsure = cell(difference=0.001, resampled=resampled)
    table = compare([unsure, judges()[1], cell("mass_inside", 0.1)], SETTINGS)
    needed = hidden_differences(table, SETTINGS)["positives_needed"].iloc[0]
    row = table.iloc[0]
    variance = row["se"] ** 2 * (row["seed_share"] + row["patient_share"] * 80 / needed)
    half = stats.t.ppf(0.95, row["df"]) * np.sqrt(variance)
    assert needed > 80
    assert half + abs(row["difference"]) == pytest.approx(0.02, rel=0.01)


def spread_over_patients(difference, *, level=0.8, se=0.02, metric="average_precision"):
    resampled = np.stack([np.full(200, level), level + difference + np.linspace(-1.7, 1.7, 200) * se])
    return cell(metric, difference, se=0.0001, level=level, resampled=resampled)


def needed_by(samples):
    return positives_needed(compare([samples], SETTINGS).to_dict("records")[0], SETTINGS)


def test_the_ratio_can_need_more_positives_than_the_difference():
    of_ratio = needed_by(spread_over_patients(0.001, level=0.03, se=0.004))
    assert of_ratio > needed_by(spread_over_patients(0.001, level=0.03, se=0.004, metric="auroc"))


def test_outside_the_margin_the_95_percent_interval_must_leave_out_0():
    found = compare([spread_over_patients(0.03, metric="auroc")], SETTINGS).iloc[0]
    needed = needed_by(spread_over_patients(0.03, metric="auroc"))
    half = stats.t.ppf(0.975, found["df"]) * found["se"] * np.sqrt(80 / needed)
    assert half == pytest.approx(0.03, rel=0.01)


def test_at_least_the_minimum_of_the_verdict_is_needed():
    assert needed_by(cell(difference=0.001, positive_patients=30)) == 50
    assert needed_by(cell(difference=0.1, positive_patients=8)) == 20
    assert needed_by(cell(difference=0.0, se=0.0)) == 50


@pytest.mark.parametrize(
    "samples", [cell(difference=0.001, se=0.05), cell("average_precision", 0.015, level=0.02), cell(seeds=1)]
)
def test_where_patients_alone_cannot_decide_the_number_is_missing(samples):
    assert np.isnan(needed_by(samples))


def test_a_visible_difference_is_not_hidden():
    assert hidden(cell(difference=0.1), judges()[1], cell("mass_inside", 0.1)).empty


def test_a_lens_without_difference_or_without_auroc_is_not_listed():
    assert hidden(*judges(), cell("mass_inside", 0.0)).empty
    assert hidden(cell("mass_inside", 0.1)).empty


def null_experiment(random, classes=6, arms=4, seeds=3, patients=40):
    """Arms without any difference; seeds and patients each add noise to a metric that is a mean over patients."""
    found = []
    for number in range(classes):
        scores = random.normal(0.7, 0.1, patients) + random.normal(0, 0.15, (arms, patients))
        seed = random.normal(0, 0.01, (arms, seeds))
        weights = random.multinomial(patients, np.full(patients, 1 / patients), 200) / patients
        values = scores.mean(axis=1, keepdims=True) + seed
        resampled = scores @ weights.T + seed.mean(axis=1, keepdims=True)
        counts = {"n": patients, "patients": patients, "positive_patients": patients, "negative_patients": 400}
        found.append(
            MetricSamples(
                lens="performance",
                metric="auroc",
                class_name=f"c{number}",
                group="head",
                arms=tuple(f"a{arm}" for arm in range(arms)),
                values=values,
                resampled=resampled,
                **counts,
            )
        )
    return found


def test_under_the_null_families_rarely_raise_an_alarm_and_intervals_cover_0():
    random = np.random.default_rng(7)
    alarms, covered = [], []
    for _ in range(60):
        table = compare(null_experiment(random), SETTINGS)
        alarms.append(table["verdict"].isin(["better", "worse"]).any())
        covered.append(((table["lo"] <= 0) & (table["hi"] >= 0)).mean())
    assert np.mean(alarms) <= 0.10  # 5 % and twice the standard error of 60 families
    assert 0.92 <= np.mean(covered) <= 0.99


def test_the_positives_needed_allow_for_the_size_of_the_family():
    row = {
        "metric": "auroc", "difference": 0.05, "se": 0.02, "df": 1e9, "seed_share": 0.0, "positives": 100,
    }  # fmt: skip
    alone, many = positives_needed(row, SETTINGS), positives_needed(row, SETTINGS, family=56)
    # with no seed noise SE² falls as 1/positives: positives · (quantile · SE / d)²
    assert alone == math.ceil(100 * (norm.isf(0.025) * 0.02 / 0.05) ** 2)
    assert many == math.ceil(100 * (norm.isf(0.05 / 112) * 0.02 / 0.05) ** 2)


def test_a_family_is_counted_without_means_and_without_cells_that_have_no_p():
    table = pd.DataFrame(
        {
            "metric": ["auroc"] * 4,
            "class": ["mass", "nodule", "macro", "hernia"],
            "group": ["head", "head", "macro", "tail"],
            "p": [0.1, 0.2, 0.3, np.nan],
            "p_adjusted": [0.2, 0.2, 0.3, np.nan],
        }
    )
    assert family_sizes(table) == {"auroc": 2}
