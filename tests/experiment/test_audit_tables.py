from __future__ import annotations

import pytest

from tailscope.core import write_json
from tailscope.experiment.audit_tables import audit_table, draw_table, gradient_shares
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid

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
