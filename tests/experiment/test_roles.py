"""Arms that rank as another by construction, and ensembles."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from experiment_content import small_content
from scipy.special import expit

from tailscope.core import ClassCounts, ConfigurationError, InputError
from tailscope.experiment import run, validate_config
from tailscope.experiment.roles import roles_of
from tailscope.performance import auroc

COUNTS = ClassCounts(("effusion", "mass"), (30, 20), (66, 76))
TREATMENTS = [
    "control",
    "focal",
    "logit_adjusted",
    {"name": "prior_shift", "treatment": "focal"},
    "temperature",
    {"name": "ensemble", "of": "focal"},
]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(small_content(treatments=TREATMENTS, seeds=[0, 1]), tmp_path_factory.mktemp("roles"))


def test_arms_are_sorted_by_what_is_compared_of_them():
    roles = roles_of(validate_config(small_content(treatments=TREATMENTS, seeds=[0, 1])), COUNTS)

    assert roles.compared == ("control", "focal", "logit_adjusted")
    assert list(roles.outside) == ["logit_adjusted"]
    assert list(roles.monotone) == ["prior_shift (treatment=focal)", "temperature"]
    assert roles.ensembles == {"ensemble (of=focal)": "focal"}


def test_a_control_that_rests_on_another_arm_is_refused():
    config = validate_config(small_content(treatments=["control", "temperature"], compare={"control": "temperature"}))

    with pytest.raises(InputError, match=r"`compare.control` is 'temperature', which is no treatment of its own"):
        roles_of(config, COUNTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0]}, r"arm 'ensemble \(of=focal\)' averages over seeds; state two or more `seeds`"),
        ({"treatments": ["control", {"name": "ensemble", "of": "focal"}]}, "an arm that is not among `treatments`"),
        ({"compare": {"control": "ensemble (of=focal)"}}, "which is no trained arm"),
        ({"audit": {"allow": ["fcoal"]}}, "`audit.allow` names 'fcoal', which is no arm"),
    ],
)
def test_ensembles_and_permissions_need_their_arms(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        validate_config(small_content(**{"treatments": TREATMENTS, "seeds": [0, 1], **changes}))


def records(result):
    found = [json.loads(path.read_text()) for path in result.path.glob("runs/*/run.json")]
    return {record["run"]: record for record in found}


def test_an_adjusted_arm_takes_the_weights_of_the_run_that_it_rests_on(result):
    found = records(result)
    adjusted = [record for record in found.values() if "prior_shift" in record["arm"]]

    assert len(adjusted) == 2
    for record in adjusted:
        twin = found[record["weights_from"]]
        assert (twin["arm"], twin["seed"]) == ("focal", record["seed"])
        runs = result.path / "runs"
        own, its = ((runs / name / "weights.safetensors").read_bytes() for name in (record["run"], twin["run"]))
        assert own == its


def test_an_adjustment_moves_the_predictions_and_no_ranking(result):
    predictions = result.table("predictions")
    found = records(result)
    for record in found.values():
        if "weights_from" not in record:
            continue
        own, twin = (
            predictions[(predictions["run"] == name) & (predictions["split"] == "test")]
            for name in (record["run"], record["weights_from"])
        )
        scale, shift = np.array(record["adjustment"]["scale"]), np.array(record["adjustment"]["shift"])
        raw, moved = (part["logit"].to_numpy().reshape(-1, 2) for part in (twin, own))
        assert moved == pytest.approx(raw * scale + shift, rel=1e-5)
        labels = own["target"].to_numpy().reshape(-1, 2)
        assert auroc(moved, labels) == pytest.approx(auroc(raw, labels), abs=1e-9)


def test_adjusted_arms_are_judged_by_calibration_only(result):
    estimates = result.table("estimates")
    adjusted = estimates[estimates["arm"].str.contains("prior_shift|temperature")]

    assert {"brier", "log_loss"} <= set(adjusted["metric"])
    assert not set(adjusted["metric"]) & {"auroc", "average_precision", "mass_inside", "best_iou_matched"}
    assert not result.findings["arm"].str.contains("prior_shift|temperature").any()
    for lens in ("alignment", "dissection"):
        assert not list(result.path.glob(f"evidence/{lens}/*prior_shift*"))


def test_logit_adjustment_is_shown_outside_the_families(result):
    findings = result.findings
    mine = findings[findings["arm"] == "logit_adjusted"]
    others = findings[findings["arm"] == "focal"]

    assert set(mine["verdict"]) == {"identical by construction"}
    assert mine["p_adjusted"].isna().all()
    assert len(mine) == len(others)
    assert not mine["primary"].any()


def test_an_ensemble_is_the_mean_probability_over_seeds(result):
    table = pd.read_parquet(result.path / "ensembles.parquet")
    predictions = result.table("predictions")
    found = records(result)
    parts = []
    for record in found.values():
        if record["arm"] == "focal":
            mine = predictions[(predictions["run"] == record["run"]) & (predictions["split"] == "test")]
            parts.append(expit(mine["logit"].to_numpy(dtype=float).reshape(-1, 2)))
            labels = mine["target"].to_numpy().reshape(-1, 2)
    wanted = auroc(np.mean(parts, axis=0), labels)

    mine = table[(table["arm"] == "ensemble (of=focal)") & (table["metric"] == "auroc")].set_index("class")["value"]

    assert mine[["effusion", "mass"]].to_numpy() == pytest.approx(wanted)
    control = table[table["arm"] == "ensemble of control"]
    assert control["difference"].isna().all()
    assert (table["lo"] <= table["value"]).all()
    assert (table["value"] <= table["hi"]).all()
    others = table[table["arm"] != "ensemble of control"]
    assert (others["difference_lo"] < others["difference_hi"]).all()
    assert result.table("ensembles").equals(table)


def test_a_second_run_changes_nothing(result):
    before = {path: path.stat().st_mtime_ns for path in result.path.glob("runs/*/*")}
    again = run(small_content(treatments=TREATMENTS, seeds=[0, 1]), result.path)

    assert {path: path.stat().st_mtime_ns for path in result.path.glob("runs/*/*")} == before
    pd.testing.assert_frame_equal(again.findings, result.findings)


def test_an_adjusted_arm_without_its_base_among_the_arms_is_trained(tmp_path):
    result = run(
        small_content(
            treatments=["control", {"name": "temperature", "treatment": "focal"}],
            lenses={"alignment": None, "dissection": None},
        ),
        tmp_path,
    )
    adjusted = next(record for record in records(result).values() if "temperature" in record["arm"])

    assert "weights_from" not in adjusted
    assert len(adjusted["adjustment"]["scale"]) == 2


def test_an_adjusted_arm_that_stands_before_its_base_waits_for_it(tmp_path):
    arms = ["control", {"name": "temperature", "treatment": "focal"}, "focal"]
    result = run(small_content(treatments=arms, lenses={"alignment": None, "dissection": None}), tmp_path)

    adjusted = next(record for record in records(result).values() if "temperature" in record["arm"])
    assert adjusted["weights_from"].startswith("focal")
