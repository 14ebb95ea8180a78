from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.data.phantom_confounders import BASE_RATES
from tailscope.data.phantom_plan import PREVALENCE, SetPlan, Tie, plan_set

SIZES = {"train": 3000, "val": 600, "test": 4000}


def plan(**changes: object) -> pd.DataFrame:
    settings = {
        "sizes": tuple(SIZES.values()),
        "seed": 0,
        "prevalence": PREVALENCE,
        "minimum": 8,
        "per_patient": (1, 3),
    }
    return plan_set(SetPlan(**{**settings, **changes}))


@pytest.fixture(scope="module")
def planned() -> pd.DataFrame:
    return plan()


@pytest.mark.parametrize("name", PREVALENCE)
def test_each_class_has_its_exact_count_in_each_split(planned: pd.DataFrame, name: str) -> None:
    for split, size in SIZES.items():
        assert planned.loc[planned["split"] == split, name].sum() == max(8, round(PREVALENCE[name] * size))


def test_splits_have_their_sizes_in_order(planned: pd.DataFrame) -> None:
    assert planned["split"].tolist() == [split for split, size in SIZES.items() for _ in range(size)]


def test_patients_have_one_to_three_images_in_one_split(planned: pd.DataFrame) -> None:
    sizes = planned.groupby("patient").size()
    assert set(sizes) == {1, 2, 3}
    assert planned.groupby("patient")["split"].nunique().max() == 1
    assert planned.groupby("patient")[["age", "sex"]].nunique().to_numpy().max() == 1


@pytest.mark.parametrize(
    ("first", "second"), [("effusion", "atelectasis"), ("infiltration", "pneumonia"), ("nodule", "mass")]
)
def test_findings_that_belong_together_meet_more_often_than_by_chance(
    planned: pd.DataFrame, first: str, second: str
) -> None:
    expected = planned[first].mean() * planned[second].sum()
    assert (planned[first] & planned[second]).sum() > 1.5 * expected


def test_the_images_of_one_patient_agree_more_often_than_by_chance(planned: pd.DataFrame) -> None:
    same = planned["patient"].to_numpy()[1:] == planned["patient"].to_numpy()[:-1]
    effusion = planned["effusion"].to_numpy()
    both = (effusion[1:] & effusion[:-1])[same].mean()
    assert both > 2 * effusion.mean() ** 2


def test_a_healthy_image_is_common(planned: pd.DataFrame) -> None:
    assert 0.5 < (~planned[list(PREVALENCE)].any(axis=1)).mean() < 0.75


def test_another_seed_is_another_plan(planned: pd.DataFrame) -> None:
    assert not planned["mass"].equals(plan(seed=1)["mass"])
    pd.testing.assert_frame_equal(planned, plan())


def test_leaving_a_class_out_does_not_move_the_others(planned: pd.DataFrame) -> None:
    fewer = plan(prevalence={name: PREVALENCE[name] for name in ("mass", "hernia")})
    pd.testing.assert_series_equal(fewer["mass"], planned["mass"])


@pytest.mark.parametrize("artifact", BASE_RATES)
def test_an_artifact_stands_at_its_base_rate_in_each_split(planned: pd.DataFrame, artifact: str) -> None:
    for split, size in SIZES.items():
        assert planned.loc[planned["split"] == split, artifact].sum() == round(BASE_RATES[artifact] * size)


def counts(table: pd.DataFrame, split: str) -> tuple[int, int, int, int]:
    """Positives, positives with a tube, negatives, negatives with a tube."""
    rows = table[table["split"] == split]
    positive, tube = rows["pneumothorax"].to_numpy(), rows["chest_tube"].to_numpy()
    return tuple(int(np.sum(x)) for x in (positive, positive & tube, ~positive, ~positive & tube))


TIE = Tie("pneumothorax", "chest_tube", 0.9)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_tied_artifact_has_exact_counts_in_training_and_validation(split: str) -> None:
    positives, with_tube, negatives, stray = counts(plan(ties=(TIE,)), split)
    assert with_tube == round(0.9 * positives)
    assert stray == round(0.1 * BASE_RATES["chest_tube"] * negatives)


def test_the_test_split_is_free_of_the_tie_by_default() -> None:
    positives, with_tube, negatives, stray = counts(plan(ties=(TIE,)), "test")
    assert with_tube == round(BASE_RATES["chest_tube"] * positives)
    assert stray == round(BASE_RATES["chest_tube"] * negatives)


def test_the_test_split_keeps_the_tie_on_demand() -> None:
    positives, with_tube, *_ = counts(plan(ties=(TIE,), test_ties="tied"), "test")
    assert with_tube == round(0.9 * positives)


def test_a_tie_does_not_move_labels_or_other_artifacts(planned: pd.DataFrame) -> None:
    others = [name for name in planned.columns if name != "chest_tube"]
    pd.testing.assert_frame_equal(plan(ties=(TIE,))[others], planned[others])
