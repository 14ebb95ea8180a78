from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from experiment_content import small_content
from typer.testing import CliRunner

from tailscope.cli import app
from tailscope.core import ConfigurationError, InputError, MismatchError, SilentProgress, TrainingError
from tailscope.experiment import dry_run, load_config, rewrite_report, run, trial_runs, validate_config
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.preparing import prepare_experiment
from tailscope.experiment.trial_runs import TrialRun
from tailscope.experiment.trials import TRIALS
from tailscope.experiment.tuning import COLUMNS, Search
from tailscope.experiment.twins import finished_twin
from tailscope.training import TrainingState, fit
from tailscope.training.selection import Best

ARGS = {"train": 64, "val": 40, "test": 40, "size": 64, "prevalence": {"mass": 0.3}, "minimum_positives": 6}
LENSES = {"alignment": None, "dissection": None}


def content(**changes):
    data = {"source": "phantom", "image_size": 64, "args": ARGS}
    return small_content(**{"data": data, "treatments": ["control", "focal"], "lenses": LENSES, **changes})


@dataclass(frozen=True)
class Tuned:
    path: Path
    output: str


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Tuned:
    """What a new user types, and gets; tests must not change the folder."""
    place = tmp_path_factory.mktemp("tuned")
    (place / "small.yaml").write_text(yaml.safe_dump(content()))
    result = CliRunner().invoke(
        app, ["run", str(place / "small.yaml"), "--out", str(place / "small"), "--tune", "--set", "tune.lr_range=2"]
    )
    assert result.exit_code == 0, result.output
    return Tuned(place / "small", result.output)


@pytest.fixture
def copy(tuned, tmp_path) -> Path:
    """A copy of the searched experiment that a test may change."""
    return shutil.copytree(tuned.path, tmp_path / "copy")


@pytest.fixture
def no_training(monkeypatch):
    """Any training fails the test."""

    def refuse(*_, **__):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(trial_runs, "fit", refuse)
    monkeypatch.setattr("tailscope.experiment.fitting.fit", refuse)


def search_of(tuned, folder, **changes) -> Search:
    """A search on the images of the module's experiment."""
    data = {"source": "phantom", "image_size": 64, "args": ARGS, "cache": str(tuned.path / "cache")}
    config = validate_config(content(**{"tune": {}, "data": data, **changes}))
    prepared = prepare_experiment(config, ExperimentFolder(folder), SilentProgress())
    return Search(config, prepared.data, ExperimentFolder(folder))


def scored(monkeypatch, score):
    """Trials that cost nothing: ``score`` of the job, or what it raises."""
    jobs = []

    def fake(job, _):
        jobs.append(job)
        return TrainingState(epoch=1, best=Best(0, score(job)))

    monkeypatch.setattr(trial_runs, "fit", fake)
    return jobs


# what a new user gets


def test_every_arm_has_the_same_number_of_trials_on_record(tuned):
    table = pd.read_parquet(tuned.path / "tuning.parquet")
    assert tuple(table.columns) == COLUMNS
    assert table.groupby("arm").size().to_dict() == {"control": TRIALS, "focal": TRIALS}
    assert table.groupby("arm")["selected"].sum().to_dict() == {"control": 1, "focal": 1}
    assert (table["at_edge"] == "").where(~table["selected"], True).all()


def test_an_override_of_the_range_reaches_the_trials(tuned):
    table = pd.read_parquet(tuned.path / "tuning.parquet")
    assert table.groupby("arm")["lr"].min().tolist() == [1.5e-3] * 2
    assert table.groupby("arm")["lr"].max().tolist() == [6e-3] * 2


def test_the_chosen_trial_has_the_highest_score(tuned):
    table = pd.read_parquet(tuned.path / "tuning.parquet")
    for _, rows in table.groupby("arm"):
        assert rows.loc[rows["selected"], "score"].item() == rows["score"].max()


def test_runs_are_trained_with_what_was_chosen_and_keep_the_arms_names(tuned):
    table = pd.read_parquet(tuned.path / "tuning.parquet")
    chosen = table[table["selected"]].set_index("arm")
    records = [json.loads(path.read_text()) for path in tuned.path.glob("runs/*/run.json")]
    assert {record["arm"] for record in records} == {"control", "focal"}
    for record in records:
        assert record["lr"] == chosen.loc[record["arm"], "lr"]
    focal = next(record for record in records if record["arm"] == "focal")
    assert focal["treatment"]["settings"] == {"gamma": chosen.loc["focal", "value"]}


def test_the_hash_of_a_run_covers_what_was_chosen(tuned, tmp_path):
    plain = search_of(tuned, tmp_path, tune=None)
    untuned = {one.name for one in planned_runs(plain.config, plain.data)}
    assert not untuned & {path.name for path in (tuned.path / "runs").iterdir()}


def test_the_command_says_what_was_chosen_and_what_lies_at_an_edge(tuned):
    table = pd.read_parquet(tuned.path / "tuning.parquet")
    for arm in ("control", "focal"):
        assert f"search: {arm}: learning rate " in tuned.output
    told = "search: at the edge of its range" in tuned.output
    assert told == (table["at_edge"] != "").any()


def test_the_configuration_keeps_what_was_asked_and_the_plan_was_frozen_with_it(tuned):
    asked = yaml.safe_load((tuned.path / "experiment.yaml").read_text())
    assert asked["tune"] == {"epochs": None, "seed": 1000, "lr_range": 2.0}
    assert [arm["lr"] for arm in asked["treatments"]] == [None, None]
    plan = json.loads((tuned.path / "provenance.json").read_text())["analysis_plan"]
    assert plan["tune"] == asked["tune"]


def test_run_again_nothing_is_trained_and_the_same_is_found(copy, no_training):
    before = pd.read_parquet(copy / "findings.parquet")
    again = run(copy / "experiment.yaml", copy)
    pd.testing.assert_frame_equal(again.findings, before)
    assert len(list((copy / "runs").iterdir())) == 2


def test_a_report_reads_the_recorded_trials(copy, no_training):
    table = pd.read_parquet(copy / "tuning.parquet")
    (copy / "tuning.parquet").unlink()
    rewrite_report(copy)
    pd.testing.assert_frame_equal(pd.read_parquet(copy / "tuning.parquet"), table)


def test_a_report_never_searches(copy, no_training):
    (copy / "tuning" / "focal" / "3.json").unlink()
    with pytest.raises(InputError, match=r"1 of 18 trials of the search are not finished; finish them: tailscope run"):
        rewrite_report(copy)


def test_a_folder_is_searched_in_one_way_or_not_at_all(copy, no_training):
    asked = yaml.safe_load((copy / "experiment.yaml").read_text())
    with pytest.raises(MismatchError, match="holds an experiment whose arms are searched; go on with --tune"):
        run({**asked, "tune": None}, copy)
    with pytest.raises(MismatchError, match="holds an experiment with other tune"):
        run({**asked, "tune": {"lr_range": 3}}, copy)


def test_a_dry_run_counts_the_trainings_of_the_search(tmp_path, tuned):
    search = search_of(tuned, tmp_path)
    plan = dry_run(search.config, tmp_path, SilentProgress())
    told = dict(plan.needs)["trainings of the search"]
    assert told == "18 (9 trials × 2 arms), 18 to do; epochs each: 1"
    assert set(plan.runs["run"]) == {"named by the search"}


def test_a_dry_run_after_the_search_names_the_runs(copy):
    plan = dry_run(load_config(copy / "experiment.yaml"), copy, SilentProgress())
    assert dict(plan.needs)["trainings of the search"] == "18 (9 trials × 2 arms), 0 to do; epochs each: 1"
    assert set(plan.runs["run"]) == {path.name for path in (copy / "runs").iterdir()}
    assert set(plan.runs["state"]) == {"done"}


# resuming


def test_finished_trials_are_not_done_again_and_the_outcome_is_the_same(copy, monkeypatch):
    before = pd.read_parquet(copy / "tuning.parquet")
    for record in ("control/4.json", "focal/9.json"):
        (copy / "tuning" / record).unlink()
    trained = []
    monkeypatch.setattr(trial_runs, "fit", lambda job, state: trained.append(job.settings.lr) or fit(job, state))
    run(copy / "experiment.yaml", copy)
    assert len(trained) == 2
    pd.testing.assert_frame_equal(pd.read_parquet(copy / "tuning.parquet"), before)


def test_a_trial_that_was_killed_goes_on_where_it_was_left(tuned, tmp_path, monkeypatch):
    one, other = (search_of(tuned, tmp_path / name, tune={"epochs": 2}) for name in ("whole", "killed"))
    trial = one.trials("control")[8]
    whole = TrialRun(one.config, one.data, one.folder, "control", trial).make()

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_runs, "fit", lambda job, state: fit(job, state, tell=stop))
    killed = TrialRun(other.config, other.data, other.folder, "control", trial)
    with pytest.raises(KeyboardInterrupt):
        killed.make()
    assert killed.recorded() is None
    told = []
    monkeypatch.setattr(trial_runs, "fit", lambda job, state: fit(job, state, tell=told.append))
    assert killed.make() == whole
    assert len(told) == 1  # the second epoch alone
    assert [path.name for path in (tmp_path / "killed" / "tuning" / "control").iterdir()] == ["9.json"]


def test_a_record_of_another_trial_does_not_count(tuned, tmp_path, monkeypatch):
    scored(monkeypatch, lambda _: 0.6)
    before = search_of(tuned, tmp_path)
    before.conduct(SilentProgress())
    assert before.missing() == 0
    after = search_of(tuned, tmp_path, tune={"lr_range": 2})
    assert after.missing() == 8 + 6  # the middle learning rate is the same


# validation data only


class Guarded:
    """Pixels whose test images nobody may touch."""

    def __init__(self, pixels, forbidden):
        self.pixels, self.forbidden, self.shape = pixels, set(forbidden.tolist()), pixels.shape

    def __getitem__(self, rows):
        assert not self.forbidden & set(np.arange(len(self.pixels))[rows].ravel().tolist())
        return self.pixels[rows]


def test_a_trial_reads_no_pixel_and_no_label_of_the_test_split(tuned, tmp_path):
    search = search_of(tuned, tmp_path)
    data, trial = search.data, search.trials("focal")[4]
    test = data.rows("test")
    poisoned = data.targets.copy()
    poisoned[test] = 1 - poisoned[test]
    guarded = replace(data, pixels=Guarded(data.pixels, test), targets=poisoned)
    with pytest.raises(AssertionError):
        guarded.pixels[test[:1]]
    seen = TrialRun(search.config, data, ExperimentFolder(tmp_path / "seen"), "focal", trial).make()
    unseen = TrialRun(search.config, guarded, ExperimentFolder(tmp_path / "unseen"), "focal", trial).make()
    assert unseen == seen
    assert seen["score"] > 0


def test_all_trials_train_with_the_seed_of_the_search_and_without_a_test_split(tuned, tmp_path, monkeypatch):
    jobs = scored(monkeypatch, lambda _: 0.6)
    search_of(tuned, tmp_path, tune={"seed": 77, "epochs": 3}).conduct(SilentProgress())
    assert len(jobs) == 2 * TRIALS
    assert {(job.seed, job.settings.epochs) for job in jobs} == {(77, 3)}
    assert all(job.data.rows("test").size == 0 for job in jobs)


# what cannot be scored


def test_a_trial_whose_loss_is_not_finite_is_on_record_and_never_chosen(tuned, tmp_path, monkeypatch):
    def score(job):
        if job.settings.lr > 3e-3:
            raise TrainingError("the training loss became nan in epoch 0; lower `training.lr`")
        return job.settings.lr

    scored(monkeypatch, score)
    search = search_of(tuned, tmp_path)
    table = search.table(search.conduct(SilentProgress()))
    failed = table[table["lr"] > 3e-3]
    assert len(failed) == 4 + 3
    assert failed["score"].isna().all()
    assert failed["epoch"].isna().all()
    assert set(failed["reason"]) == {"the training loss became nan in epoch 0"}
    assert table.loc[table["selected"], "lr"].tolist() == [3e-3, 3e-3]


def test_a_loss_that_explodes_gives_no_score(tuned, tmp_path):
    training = {"epochs": 1, "batch_size": 32, "lr": 1e30, "optimizer": "sgd", "warmup_fraction": 0.0}
    search = search_of(tuned, tmp_path, training=training)
    record = TrialRun(search.config, search.data, search.folder, "control", search.trials("control")[8]).make()
    assert record["score"] is None
    assert "loss became" in record["reason"] or "no epoch gave finite" in record["reason"]


def test_an_arm_all_of_whose_trials_fail_is_an_error(tuned, tmp_path, monkeypatch):
    def score(_):
        raise TrainingError("the training loss became inf in epoch 0; lower `training.lr`")

    scored(monkeypatch, score)
    search = search_of(tuned, tmp_path)
    with pytest.raises(TrainingError, match=r"arm 'control': none of the 9 trials .* became inf in epoch 0; lower"):
        search.conduct(SilentProgress())


def test_a_trial_that_the_budget_forbids_is_on_record_with_the_reason(tuned, tmp_path, monkeypatch):
    scored(monkeypatch, lambda job: 0.6)
    training = {"epochs": 5, "batch_size": 32, "lr": 3e-3}
    search = search_of(tuned, tmp_path, treatments=["control", "drw"], training=training)
    table = search.table(search.conduct(SilentProgress()))
    late = table[table["value"] == 0.9]
    assert len(late) == 3
    assert late["score"].isna().all()
    assert late["reason"].str.contains("leaves it none of 5 epochs").all()


def test_an_arm_without_a_possible_trial_is_refused_before_any_training(tuned, tmp_path, no_training):
    training = {"epochs": 10, "batch_size": 32, "lr": 3e-3}
    with pytest.raises(InputError, match=r"arm 'drw': none of its 9 trials can be trained: .* none of 1 epochs"):
        search_of(tuned, tmp_path, treatments=["control", "drw"], training=training, tune={"epochs": 1})


# arms that rest on others


def test_arms_that_rest_on_another_are_not_searched_and_take_what_it_got(tuned, tmp_path, monkeypatch):
    scored(monkeypatch, lambda job: job.settings.lr + float(getattr(job.plan.loss, "gamma", 0.0)))
    shifted = {"name": "prior_shift", "treatment": "focal", "tau": 0.5}
    arms = ["control", shifted, "focal", {"name": "ensemble", "of": shifted, "label": "all"}, {"name": "ensemble"}]
    search = search_of(tuned, tmp_path, treatments=arms, seeds=[0, 1])
    assert search.arms == ("control", "focal")
    sections = search.treatments(search.conduct(SilentProgress()))
    after = search.config.model_copy(update={"treatments": sections})
    chosen = after.treatment("focal")
    assert (chosen.settings, chosen.lr) == ({"gamma": 4.0}, 0.012)
    follower = after.treatment("prior_shift (tau=0.5, treatment=focal)")
    assert [section.arm for section in sections] == [section.arm for section in search.config.treatments]
    assert follower.settings == {"treatment": {"name": "focal", **chosen.settings}, "tau": 0.5}
    assert after.training_of(follower.arm) == after.training_of("focal")
    assert after.ensembles == search.config.ensembles == {"all": follower.arm, "ensemble": "control"}
    plan = follower.build()(search.data.counts)
    runs = planned_runs(after, search.data)
    base = next(one for one in runs if one.arm == "focal")
    (tmp_path / "runs" / base.name).mkdir(parents=True)
    (tmp_path / "runs" / base.name / "run.json").write_text("{}")
    mine = next(one for one in runs if one.arm == follower.arm)
    assert finished_twin(search.folder, after, search.data, mine, plan) == base


def test_an_ensemble_follows_its_arm_where_two_arms_end_with_the_same_settings(tuned, tmp_path, monkeypatch):
    scored(monkeypatch, lambda job: job.settings.lr)
    arms = [
        "control",
        {"name": "focal", "gamma": 2.0, "lr": 0.1, "label": "fast"},
        "focal",
        {"name": "ensemble", "of": "focal"},
    ]
    search = search_of(tuned, tmp_path, treatments=arms, seeds=[0, 1])
    after = search.config.model_copy(update={"treatments": search.treatments(search.conduct(SilentProgress()))})
    assert after.treatment("fast").settings == after.treatment("focal").settings
    assert after.ensembles == {"ensemble (of=focal)": "focal"}


@pytest.mark.parametrize("settings", [{"treatment": "focal"}, {"lr": 0.1}])
def test_a_step_after_a_training_that_is_no_arm_is_searched_itself(tuned, tmp_path, settings):
    search = search_of(tuned, tmp_path, treatments=["control", {"name": "prior_shift", "label": "mine", **settings}])
    assert search.arms == ("control", "mine")


def test_a_run_with_another_learning_rate_is_no_twin(tuned, tmp_path):
    search = search_of(tuned, tmp_path, treatments=["control", {"name": "prior_shift", "lr": 0.1}])
    control, shifted = planned_runs(search.config, search.data)
    (tmp_path / "runs" / control.name).mkdir(parents=True)
    (tmp_path / "runs" / control.name / "run.json").write_text("{}")
    plan = search.config.treatment(shifted.arm).build()(search.data.counts)
    assert finished_twin(search.folder, search.config, search.data, shifted, plan) is None


def test_the_range_of_an_arm_lies_around_its_own_learning_rate(tuned, tmp_path):
    search = search_of(tuned, tmp_path, treatments=["control", {"name": "focal", "lr": 0.1}])
    assert {trial.lr for trial in search.trials("focal (lr=0.1)")} == {0.025, 0.1, 0.4}
    assert search.trials("control")[4].lr == 3e-3


# configuration


@pytest.mark.parametrize(
    ("tune", "expected"),
    [(None, (4.0, 1000)), ({"seed": 5}, (4.0, 5)), ({"lr_range": 8}, (8.0, 1000))],
)
def test_the_flag_keeps_a_section_that_is_there(tmp_path, tune, expected):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content(tune=tune)))
    section = load_config(tmp_path / "a.yaml", tune=True).require_tune()
    assert (section.lr_range, section.seed) == expected
    assert load_config(tmp_path / "a.yaml").tune == (None if tune is None else section)


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"seed": 0}, "`tune.seed` is 0, which is among `seeds`; choose another"),
        ({"lr_range": 1}, "`tune.lr_range`: input should be greater than 1; got 1"),
        ({"epochs": 0}, "`tune.epochs`: input should be greater than or equal to 1; got 0"),
        ({"trials": 20}, "`tune.trials` is no setting. Known: epochs, seed, lr_range"),
        (True, "`tune`: expected keys of its own, such as `key: value`; got True"),
    ],
)
def test_a_wrong_section_is_refused(tune, message):
    with pytest.raises(ConfigurationError) as error:
        validate_config(content(tune=tune))
    assert message in str(error.value)
