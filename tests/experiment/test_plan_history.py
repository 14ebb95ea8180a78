"""The analysis plan is frozen first, and its changes stay on record."""

from __future__ import annotations

import json

import pytest
from experiment_content import small_content

from tailscope.experiment import validate_config
from tailscope.experiment.comparing import comparison_settings
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan_history import freeze_plan
from tailscope.experiment.provenance import analysis_plan


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path)


def frozen(folder, **changes):
    config = validate_config(small_content(**changes))
    freeze_plan(folder, {"analysis_plan": analysis_plan(config, comparison_settings(config.compare))})
    return json.loads(folder.provenance.read_text())


def predict(folder, *runs):
    for run in runs:
        folder.run(run).mkdir(parents=True)
        (folder.run(run) / "predictions.parquet").touch()


def test_the_first_plan_is_on_record_with_its_date_before_any_prediction(folder):
    found = frozen(folder)

    (entry,) = found["plan_history"]
    assert entry["hash"] == found["analysis_plan"]["hash"]
    assert entry["predicted"] == 0
    assert entry["changed"] == []
    assert entry["date"].endswith("+00:00")


def test_the_same_plan_is_not_written_again(folder):
    frozen(folder)
    before = folder.provenance.stat().st_mtime_ns
    predict(folder, "control-s0")
    frozen(folder)

    assert folder.provenance.stat().st_mtime_ns == before


def test_a_change_after_results_says_what_changed_and_how_many_runs_were_predicted(folder):
    first = frozen(folder)
    predict(folder, "control-s0", "focal-s0")
    found = frozen(folder, seeds=[0, 1], compare={"resamples": 100, "equivalence_margin": 0.05})

    old, new = found["plan_history"]
    assert old == first["plan_history"][0]
    assert new["predicted"] == 2
    assert new["changed"] == ["seeds", "compare.equivalence_margin", "statistics.equivalence_margin"]
    assert found["earlier_plans"] == [first["analysis_plan"]]


def test_three_plans_keep_their_order(folder):
    hashes = [frozen(folder, seeds=seeds)["analysis_plan"]["hash"] for seeds in ([0], [0, 1], [0, 1, 2])]
    found = json.loads(folder.provenance.read_text())

    assert [entry["hash"] for entry in found["plan_history"]] == hashes
    assert [plan["hash"] for plan in found["earlier_plans"]] == hashes[:2]


def test_plans_of_a_folder_without_dates_stay_on_record_without_dates(folder):
    old = frozen(folder)
    second = frozen(folder, seeds=[0, 1])
    del second["plan_history"]
    folder.provenance.write_text(json.dumps(second))

    found = frozen(folder, seeds=[0, 1, 2])

    assert [entry["date"] is None for entry in found["plan_history"]] == [True, True, False]
    assert found["plan_history"][0]["hash"] == old["analysis_plan"]["hash"]
    assert [entry["changed"] for entry in found["plan_history"]] == [[], ["seeds"], ["seeds"]]


def test_a_plan_that_an_old_folder_repeats_counts_once(folder):
    old = frozen(folder)
    plan = old["analysis_plan"]
    folder.provenance.write_text(json.dumps({"analysis_plan": plan, "earlier_plans": [plan, plan]}))

    found = frozen(folder, seeds=[0, 1])

    assert found["earlier_plans"] == [plan]
    assert len(found["plan_history"]) == 2


def test_a_second_control_is_part_of_the_plan(folder):
    frozen(folder)
    found = frozen(folder, compare={"resamples": 100, "second_control": True})

    assert found["plan_history"][-1]["changed"] == ["compare.second_control"]
