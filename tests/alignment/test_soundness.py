"""Verdicts on saliency methods: hand-made values on either side of the limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tailscope.alignment.soundness import SoundnessLimits, method_verdicts, soundness_verdicts, stage_estimates
from tailscope.core import InputError

NAMES = ["class discriminative", "parameters randomised", "labels permuted", "deletion and insertion"]
GOOD = dict(zip(NAMES, (0.3, 0.1, -0.1, 0.4), strict=True))


def measured(check: str, centre: float, *, spread: float = 0.02, arm: str = "control", **changes) -> pd.DataFrame:
    """Six pairs of six patients around ``centre``."""
    values = centre + spread * np.array([-1.5, -1, -0.5, 0.5, 1, 1.5])
    stage = "all weights" if check == "parameters randomised" else ""
    columns = {"method": "gradcam", "arm": arm, "check": check, "stage": stage, "patient": list("abcdef")}
    return pd.DataFrame({**columns, "value": values, "reason": "", **changes})


def whole(**changes: float) -> pd.DataFrame:
    return pd.concat([measured(check, changes.get(check.split()[0], centre)) for check, centre in GOOD.items()])


def verdict(values: pd.DataFrame, check: str) -> pd.Series:
    table = soundness_verdicts(values).set_index("check")
    return table.loc[check]


def test_values_on_the_good_side_are_sound_in_all_four_checks() -> None:
    table = soundness_verdicts(whole())
    assert table["check"].tolist() == NAMES
    assert table["verdict"].tolist() == ["sound"] * 4
    assert table["limit"].tolist() == [0.9, 0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("check", "value"),
    [(NAMES[0], 0.97), (NAMES[1], 0.8), (NAMES[1], -0.8), (NAMES[2], 0.7), (NAMES[2], -0.7), (NAMES[3], -0.3)],
)
def test_values_on_the_bad_side_fail(check, value) -> None:
    assert verdict(measured(check, value), check)["verdict"] == "fails"


@pytest.mark.parametrize(("check", "value"), [(NAMES[0], 0.9), (NAMES[1], 0.5), (NAMES[2], -0.5), (NAMES[3], 0.0)])
def test_an_interval_that_holds_the_limit_is_undecided(check, value) -> None:
    found = verdict(measured(check, value, spread=0.05), check)
    assert found["verdict"] == "undecided"
    assert "too uncertain to tell from the limit of" in found["sentence"]


def test_other_classes_with_opposite_maps_are_no_failure() -> None:
    assert verdict(measured(NAMES[0], -0.97), NAMES[0])["verdict"] == "sound"


def test_the_interval_is_that_of_scipy_over_patient_means() -> None:
    values = measured(NAMES[3], 0.2, spread=0.1, patient=list("aabbcd"))
    means = values.groupby("patient")["value"].mean()
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    found = verdict(values, NAMES[3])
    assert (found["value"], found["lo"], found["hi"]) == pytest.approx((means.mean(), low, high))
    assert (found["n"], found["patients"]) == (6, 4)


def test_one_patient_gives_no_verdict() -> None:
    found = verdict(measured(NAMES[3], 0.4, patient="a"), NAMES[3])
    assert found["verdict"] == "undecided"
    assert "no interval: fewer than 2 patients" in found["sentence"]


def test_what_is_missing_or_undefined_is_not_measured_with_the_reason() -> None:
    table = soundness_verdicts(measured(NAMES[1], 0.1, value=np.nan, reason="constant map")).set_index("check")
    assert table["verdict"].tolist() == ["not measured"] * 4
    assert table.loc[NAMES[1], "sentence"] == "Not measured: constant map."
    assert table.loc[NAMES[1], "undefined"] == 6
    assert table.loc[NAMES[2], "sentence"] == "Not measured: no value."


def test_undefined_pairs_are_told_and_left_out() -> None:
    values = measured(NAMES[3], 0.4)
    values.loc[0, "value"] = np.nan
    found = verdict(values, NAMES[3])
    assert (found["n"], found["undefined"]) == (5, 1)
    assert found["sentence"].endswith("1 of 6 pairs are undefined.")


def test_only_the_stage_with_all_weights_random_decides() -> None:
    values = pd.concat([measured(NAMES[1], 0.99, stage="cascading: fc"), measured(NAMES[1], 0.1)])
    assert verdict(values, NAMES[1])["verdict"] == "sound"
    stages = stage_estimates(values)
    assert stages["stage"].tolist() == ["cascading: fc", "all weights"]
    assert stages["value"].tolist() == pytest.approx([0.99, 0.1])


def test_stages_average_magnitudes() -> None:
    values = measured(NAMES[1], 0.0, value=[-0.5, 0.5, -0.5, 0.5, 0.5, 0.5])
    assert stage_estimates(values)["value"].tolist() == [0.5]


def test_agreement_is_described_and_not_judged() -> None:
    values = pd.concat([whole(), measured("agreement with rise", 0.6)])
    found = soundness_verdicts(values).iloc[-1]
    assert found["verdict"] == ""
    assert found["sentence"] == "Mean rank correlation with the maps of rise: 0.60."
    assert method_verdicts(soundness_verdicts(values))["verdict"].tolist() == ["sound"]


def test_a_method_fails_if_one_check_in_one_arm_fails() -> None:
    values = pd.concat([whole(), whole().assign(arm="focal"), whole().assign(arm="ldam")])
    bad = (values["arm"] == "focal") & (values["check"] == NAMES[2])
    values.loc[bad, "value"] = 0.9
    table = method_verdicts(soundness_verdicts(values))
    assert table.to_dict("records") == [
        {"method": "gradcam", "verdict": "fails", "sentence": "Fails: labels permuted (focal)."}
    ]


def test_a_method_is_sound_only_if_every_check_was_measured_and_sound() -> None:
    values = whole()
    partly = method_verdicts(soundness_verdicts(values[values["check"] != NAMES[2]]))
    assert partly["sentence"].tolist() == ["Not measured: labels permuted."]
    assert method_verdicts(soundness_verdicts(values))["sentence"].tolist() == ["Sound in every check."]


def test_methods_and_arms_keep_their_own_rows() -> None:
    values = pd.concat([whole(), whole().assign(method="rise", arm="focal")])
    table = soundness_verdicts(values)
    assert table.groupby(["method", "arm"], sort=False).size().to_dict() == {
        ("gradcam", "control"): 4,
        ("rise", "focal"): 4,
    }


def test_no_value_gives_an_empty_table() -> None:
    table = soundness_verdicts(measured(NAMES[0], 0.0).iloc[:0])
    assert table.empty
    assert method_verdicts(table).empty


def test_limits_can_be_stated() -> None:
    strict = SoundnessLimits(random_weights=0.05)
    assert soundness_verdicts(measured(NAMES[1], 0.1), strict)["verdict"].iloc[1] == "fails"


@pytest.mark.parametrize("limit", [0, 1, -0.5])
def test_a_limit_out_of_range_is_refused(limit) -> None:
    with pytest.raises(InputError, match="each limit must lie between 0 and 1"):
        SoundnessLimits(other_class=limit)


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(InputError, match="lacks the columns stage"):
        soundness_verdicts(measured(NAMES[0], 0.0).drop(columns="stage"))
