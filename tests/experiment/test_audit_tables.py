from __future__ import annotations

import pytest
from experiment_content import small_content

from tailscope.core import ClassCounts, write_json
from tailscope.experiment.audit_tables import (
    adjustment_notes,
    audit_table,
    balance_table,
    draw_table,
    gradient_shares,
    trained_with,
)
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.reading import validate_config
from tailscope.experiment.test_set import RunGrid

LOW = "the scale lies at the low end of its range"
GRID = RunGrid(("control", "prior_shift"), (0, 1), ("c0", "c1", "p0", "p1"))


def gradient(factor, share):
    groups = {"tail": {"share": share, "share_control": 0.2, "classes": 3}}
    return {"loss_ratio": factor, "gradient_norm_ratio": 2 * factor, "groups": groups}


def audit(seed):
    checks = [
        {"check": "labels", "verdict": "ok", "sentence": "fine"},
        {"check": "scale", "verdict": "warning", "sentence": "small"},
    ]
    classes = {"mass": {"prevalence": 0.1, "expected": 0.3, "realised": 0.25 + seed, "z": 1.0}}
    sampling = {"images": 9, "images_drawn": 6, "images_drawn_expected": 6.5, "classes": classes}
    return {
        "verdict": "warning", "sentence": "small", "checks": checks, "allowed": False, "sampling": sampling,
        "gradients": {"initial": gradient(1.0, 0.2), "stage from epoch 3": gradient(0.25, 0.4 + 0.2 * seed)},
        "epochs": [gradient(9.0, 0.9), gradient(0.125, 0.6)],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    found = ExperimentFolder(tmp_path)
    for name in GRID.names:
        seed = int(name[1])
        record = {"seed": seed, "lr": 0.003, "selected_epoch": 4}
        record |= {"weights_from": f"c{seed}"} if name.startswith("p") else {}
        write_json(found.run(name) / "run.json", record)
        write_json(found.run(name) / "audit.json", audit(seed))
    return found


def test_a_run_that_adopted_its_weights_names_the_arm_and_not_the_run(folder):
    assert audit_table(folder, GRID)["weights_from"].tolist() == ["", "", "control", "control"]


def test_only_checks_that_did_not_pass_are_handed_over(folder):
    problems = audit_table(folder, GRID)["problems"][0]
    assert problems == [{"check": "scale", "verdict": "warning", "sentence": "small"}]


def test_scales_are_those_of_the_last_stage_and_of_the_last_epoch(folder):
    row = audit_table(folder, GRID).iloc[0]
    assert (row["loss_ratio"], row["gradient_norm_ratio"], row["trained_norm_ratio"]) == (0.25, 0.5, 0.25)


def test_epochs_are_counted_from_one(folder):
    assert set(audit_table(folder, GRID)["selected_epoch"]) == {5}


def test_shares_of_the_gradient_are_means_over_the_seeds(folder):
    table = gradient_shares(folder, GRID).set_index(["arm", "moment", "group"])
    assert table.loc[("control", "start", "tail"), "share"] == pytest.approx(0.5)
    assert table.loc[("control", "end", "tail"), "share"] == pytest.approx(0.6)


def test_draws_are_those_of_the_first_seed_of_every_arm(folder):
    table = draw_table(folder, GRID)
    assert table["arm"].tolist() == ["control", "prior_shift"]
    assert set(table["realised"]) == {0.25}


def test_the_balance_of_a_column_is_told_of_arms_whose_sampler_balances_it(folder):
    assert balance_table(folder, GRID).empty
    shares = {"positives": 0.9, "positives_drawn": 0.5, "negatives": 0.1, "negatives_drawn": 0.5}
    balance = {"column": "chest_tube", "classes": {"mass": {"False": shares, "True": shares}}}
    write_json(folder.run("p0") / "audit.json", {**audit(0), "balance": balance})
    table = balance_table(folder, GRID)
    assert table["group"].tolist() == ["False", "True"]
    assert table.iloc[0].to_dict() == {
        "arm": "prior_shift", "column": "chest_tube", "class": "mass", "group": "False", **shares,
    }  # fmt: skip


def noted(folder, run, *notes):
    adjustment = {"scale": [1.0], "shift": [0.0], "notes": list(notes)}
    write_json(folder.run(run) / "run.json", {"seed": int(run[1]), "adjustment": adjustment})


def config(*treatments):
    return validate_config(small_content(treatments=["control", *treatments], seeds=[0, 1]))


def test_notes_name_the_seeds_that_have_them(folder):
    grid = RunGrid(("control", "temperature"), (0, 1), GRID.names)
    noted(folder, "p0", f"class 'mass': {LOW}", f"class 'effusion': {LOW}")
    noted(folder, "p1", f"class 'mass': {LOW}")
    notes = adjustment_notes(folder, config("temperature"), grid)
    assert notes == {"temperature": (f"class 'mass': {LOW}", f"class 'effusion': {LOW} (seed 0)")}


def test_a_prior_shift_says_for_which_population_it_is_meant(folder):
    settings = {"name": "prior_shift", "label": "prior_shift", "target": 0.02}
    (meant,) = adjustment_notes(folder, config(settings), GRID)["prior_shift"]
    assert meant.startswith("its probabilities are meant for a population in which every class has the prevalence 0.02")
    assert meant.endswith("calibration is measured here at the test split's own prevalences")
    (moved,) = adjustment_notes(folder, config({**settings, "tau": 0.5}), GRID)["prior_shift"]
    assert moved.startswith("its probabilities are moved (by τ = 0.5) towards a population")


def test_an_arm_that_adjusts_a_training_names_it_with_its_settings():
    label = {"name": "temperature", "label": "calibrated", "treatment": {"name": "pos_weighted", "power": 1.0}}
    counts = ClassCounts(("mass", "hernia"), (3, 2), (7, 8))
    assert trained_with(config(label), counts, ("control", "calibrated")) == {"calibrated": "pos_weighted (power=1.0)"}
    with_rate = config({**label, "lr": 0.000282843})
    assert trained_with(with_rate, counts, ("calibrated",))["calibrated"] == "pos_weighted (lr=0.000283, power=1.0)"
