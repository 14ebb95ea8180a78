"""The second control (A/A): its runs, its place outside the families, and what is said of it."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from experiment_content import small_content

from tailscope.core import ClassCounts, ConfigurationError
from tailscope.experiment import run, validate_config
from tailscope.experiment.config import seed_again
from tailscope.experiment.false_alarms import FALSE_ALARM_COLUMNS, false_alarm_table
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.roles import roles_of
from tailscope.experiment.test_set import Grids
from tailscope.stats import ComparisonSettings, MetricSamples

AGAIN = "control again (A/A)"
COUNTS = ClassCounts(("effusion", "mass"), (30, 20), (66, 76))
DATA = SimpleNamespace(counts=COUNTS, fingerprint="f", trained_on="")
ON = {"resamples": 100, "second_control": True}
SETTINGS = ComparisonSettings()


def configured(**changes):
    return validate_config(small_content(**{"seeds": [0, 1, 2], "compare": ON, **changes}))


def test_the_second_control_is_the_last_run_of_each_seed_and_has_its_own():
    runs = planned_runs(configured(treatments=["control", "focal", "temperature"]), DATA)

    assert [(one.arm, one.seed) for one in runs[:4]] == [
        ("control", 0), ("focal", 0), ("temperature", 0), (AGAIN, 10_000),
    ]  # fmt: skip
    assert [one.seed for one in runs if one.arm == AGAIN] == [10_000, 10_001, 10_002]
    assert len({one.name for one in runs}) == len(runs)


def test_the_other_runs_keep_their_names():
    with_it, without = (planned_runs(configured(compare=section), DATA) for section in (ON, {"resamples": 100}))

    assert tuple(one for one in with_it if one.arm != AGAIN) == without


def test_an_added_seed_leaves_the_seeds_of_finished_runs():
    few, many = (planned_runs(configured(seeds=seeds), DATA) for seeds in ([0, 1], [0, 7, 1]))

    assert set(few) < set(many)


def test_it_is_trained_as_control_is_with_its_learning_rate():
    arms = [{"name": "control", "label": "plain", "lr": 1e-4}, "focal"]
    config = configured(treatments=arms, compare={**ON, "control": "plain"})

    assert config.second_control == "plain again (A/A)"
    assert config.treatment("plain again (A/A)") == config.treatment("plain")
    assert config.training_of("plain again (A/A)").lr == 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 10_000]}, r"`compare.second_control` trains with 10000 \+ each of `seeds`, and 10000 is taken"),
        ({"tune": {"seed": 10_001}}, "and 10001 is taken"),
        ({"treatments": ["control", {"name": "focal", "label": "control-again A/A"}]}, "has the name of the second"),
    ],
)
def test_seeds_and_names_of_the_second_control_are_its_own(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        configured(**changes)


def test_every_seed_of_a_run_is_named_once():
    assert configured().every_seed == (0, 1, 2, 10_000, 10_001, 10_002)
    assert configured(compare={}).every_seed == (0, 1, 2)
    assert seed_again(5) not in configured().seeds


def test_the_grids_of_the_treatments_do_not_know_it():
    config = configured(treatments=["control", "focal", "temperature"])
    runs, roles = planned_runs(config, DATA), roles_of(config, COUNTS)
    plain = configured(treatments=["control", "focal", "temperature"], compare={})

    grids = Grids.of(runs, roles, config.seeds)
    without = Grids.of(planned_runs(plain, DATA), roles_of(plain, COUNTS), plain.seeds)

    assert roles.compared == ("control", "focal", AGAIN)
    assert (grids.every, grids.compared, grids.outside) == (without.every, without.compared, without.outside)
    assert without.again is None


def test_the_seeds_of_both_controls_are_paired_by_their_place():
    config = configured()
    runs = planned_runs(config, DATA)
    again = Grids.of(runs, roles_of(config, COUNTS), config.seeds).again

    by_name = {one.name: one for one in runs}
    found = [(by_name[name].arm, by_name[name].seed) for name in again.names]
    assert found == [("control", seed) for seed in (0, 1, 2)] + [(AGAIN, 10_000 + seed) for seed in (0, 1, 2)]
    assert again.arms == ("control", AGAIN)


def cells(rng, metric, lens="performance", *, count=1, apart=0.0, noise=0.01, patient=0.01):
    for number in range(count):
        values = 0.8 + np.array([[0.0], [apart]]) + rng.normal(0, noise, (2, 3))
        drawn = values.mean(axis=1, keepdims=True) + rng.normal(0, patient, (2, 200))
        yield MetricSamples(
            lens, metric, f"class {number}", "head", ("control", AGAIN), values, drawn, 900, 90, 90, 800
        )


def test_seeds_alone_raise_few_false_alarms():
    rng = np.random.default_rng(0)
    table = false_alarm_table(list(cells(rng, "auroc", count=300, patient=0.001)), SETTINGS)

    assert 0.0 < (table["p"] < 0.05).mean() < 0.08
    assert not table["verdict"].isin(["better", "worse"]).any()


def test_a_second_control_that_truly_differs_is_not_hushed():
    rng = np.random.default_rng(1)
    same = [cell for metric in SETTINGS.performance for cell in cells(rng, metric, noise=0.001, patient=0.001)]
    other = list(cells(rng, "mass_inside", "alignment", apart=0.2, noise=0.001, patient=0.001))

    table = false_alarm_table(same + other, SETTINGS).set_index("metric")

    assert table["verdict"].to_dict() == {
        "auroc": "equivalent", "average_precision": "equivalent", "mass_inside": "better",
    }  # fmt: skip
    assert table["kind"].to_dict() == {"auroc": "", "average_precision": "", "mass_inside": "hidden difference"}
    hushed = false_alarm_table(same + other, SETTINGS, {"mass_inside": "the method fails a check"})
    assert set(hushed["kind"]) == {"", "not counted"}


def test_without_a_second_control_the_table_is_empty_and_has_its_columns():
    table = false_alarm_table([], SETTINGS)

    assert table.empty
    assert tuple(table.columns) == FALSE_ALARM_COLUMNS


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory):
    """The finished experiment, taken further with a second control."""
    copy = tmp_path_factory.mktemp("again") / "copy"
    shutil.copytree(finished.path, copy)
    return run(small_content(compare=ON), copy)


def test_a_second_control_extends_a_folder_and_moves_no_other_number(finished, extended):
    names = [path.name for path in (extended.path / "runs").iterdir() if "again" in path.name]

    assert len(names) == 1
    assert names[0].startswith("control-again-A-A-s10000-")
    for table in ("findings", "estimates", "hidden_differences"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(extended.path / f"{table}.parquet"), pd.read_parquet(finished.path / f"{table}.parquet")
        )


def test_every_lens_looks_at_the_second_control(extended):
    table = pd.read_parquet(extended.path / "false_alarms.parquet")

    assert {"auroc", "average_precision", "mass_inside", "best_iou_matched", "probe_auroc"} <= set(table["metric"])
    assert set(table["arm"]) == {AGAIN}
    assert table.loc[table["metric"] == "auroc", "difference"].ne(0).any()


def test_a_second_control_that_is_taken_out_leaves_an_empty_table(finished, extended, tmp_path):
    copy = shutil.copytree(extended.path, tmp_path / "copy")
    result = run(small_content(), copy)

    assert pd.read_parquet(copy / "false_alarms.parquet").empty
    pd.testing.assert_frame_equal(result.findings, finished.findings)
