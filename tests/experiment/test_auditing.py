"""Faults planted in a training are caught by its audit; sound arms pass."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from experiment_content import small_content

from tailscope.core import InputError, SilentProgress, TrainingError
from tailscope.experiment import preview_audits, run, validate_config
from tailscope.experiment.auditing import RunAudit
from tailscope.experiment.fitting import fresh_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.preparing import prepare_experiment
from tailscope.training import EpochDraws, Job, fit
from tailscope.training import loop as loop_module
from tailscope.treatments import Control, Labels, WeightedSampling

ONE_LENS = {"alignment": None, "dissection": None}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = validate_config(small_content())
    return prepare_experiment(config, ExperimentFolder(tmp_path_factory.mktemp("audits")), SilentProgress()).data


def audited(data, treatment, allow=(), kind=Job):
    """The audit of one run, as an experiment makes it."""
    treatments = ["control"] if treatment == "control" else ["control", treatment]
    config = validate_config(small_content(treatments=treatments, audit={"allow": list(allow)}))
    arm = config.arms[-1]
    one = next(each for each in planned_runs(config, data) if each.arm == arm)
    plan = config.treatment(arm).build()(data.counts)
    job = kind(fresh_network(config, data, 0), plan, data, config.training, 0, accelerator="cpu")
    return RunAudit(job, config, one, SilentProgress())


@pytest.mark.parametrize(
    "treatment", ["control", "weighted_sampling", "balanced_mixup", "uncertainty", {"name": "focal", "gamma": 1.0}]
)
def test_a_sound_arm_passes_before_and_in_training(data, tmp_path, treatment):
    audit = audited(data, treatment)

    planned = audit.before_training()
    state = fit(audit.job, tmp_path, inspect=audit.after_epoch)
    content = audit.content(planned, state.audit)

    assert content["verdict"] in {"ok", "warning"}
    assert len(content["epochs"]) == 1
    assert len(json.dumps(content)) < 200_000


def test_a_network_left_in_eval_mode_is_caught_in_the_first_epoch(data, tmp_path, monkeypatch):
    audit = audited(data, "control")
    monkeypatch.setattr(loop_module, "open_for_training", lambda module, *rest: module.eval())

    with pytest.raises(TrainingError, match=r"audit of arm 'control' failed: .*evaluation mode in 3 of 3 steps"):
        fit(audit.job, tmp_path, inspect=audit.after_epoch)


def test_a_mix_up_of_each_batch_with_itself_is_caught(data, tmp_path):
    class WithItself(Job):
        def draws(self, epoch):
            images = super().draws(epoch).images
            return EpochDraws(images, images)

    audit = audited(data, "balanced_mixup", kind=WithItself)

    with pytest.raises(TrainingError, match=r"audit of arm 'balanced_mixup' failed: .*mixed with themselves"):
        fit(audit.job, tmp_path, inspect=audit.after_epoch)
    with pytest.raises(TrainingError, match=r"mixed with themselves"):
        audit.before_training()


def test_draws_by_the_weights_of_other_rows_are_caught(data, tmp_path):
    class OtherRows(Job):
        def draw_weights(self, plan):
            return np.roll(super().draw_weights(plan), 7)

    audit = audited(data, "weighted_sampling", kind=OtherRows)

    with pytest.raises(TrainingError, match=r"audit of arm 'weighted_sampling' failed: .*weights"):
        audit.before_training()


def test_labels_of_other_images_are_caught(data, tmp_path, monkeypatch):
    plain = loop_module._Loop._batch

    def shifted(self, positions, epoch, views_name):
        images, labels = plain(self, positions, epoch, views_name)
        return images, Labels(labels.targets.roll(1, dims=0))

    monkeypatch.setattr(loop_module._Loop, "_batch", shifted)
    audit = audited(data, "control")

    with pytest.raises(
        TrainingError, match=r"audit of arm 'control' failed: .*that the loss was fed belong to other images"
    ):
        fit(audit.job, tmp_path, inspect=audit.after_epoch)


def test_an_epoch_on_fifteen_images_is_caught(data, tmp_path):
    class Few(Job):
        def draws(self, epoch):
            return EpochDraws(super().draws(epoch).images % 15)

    audit = audited(data, "weighted_sampling", kind=Few)

    with pytest.raises(TrainingError, match="different images were drawn; expected about"):
        fit(audit.job, tmp_path, inspect=audit.after_epoch)


def test_counts_of_other_rows_are_caught(data):
    audit = audited(data, {"name": "intra_weighted", "cap": 50})
    counts = replace(data.counts, positives=data.counts.positives[::-1], negatives=data.counts.negatives[::-1])
    plan = audit.config.treatment(audit.run.arm).build()(counts)
    wrong = replace(audit, job=replace(audit.job, plan=plan))

    with pytest.raises(TrainingError, match=r"audit of arm 'intra_weighted \(cap=50\)' failed"):
        wrong.before_training()


def test_an_arm_that_is_allowed_by_name_goes_on_and_its_record_says_so(tmp_path):
    arm = {"name": "weighted_sampling", "variant": "as_published"}
    result = run(small_content(treatments=["control", arm], lenses=ONE_LENS), tmp_path)

    audit = json.loads(next(result.path.glob("runs/weighted*/audit.json")).read_text())

    assert (audit["verdict"], audit["allowed"]) == ("failed", True)
    assert "draw weight 0" in audit["sentence"]


def test_allow_lets_a_failing_arm_through(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "open_for_training", lambda module, *rest: module.eval())
    audit = audited(data, "focal", allow=["focal"])

    state = fit(audit.job, tmp_path, inspect=audit.after_epoch)

    assert state.epoch == 1


def test_the_preview_judges_every_arm_and_trains_nothing(tmp_path):
    config = validate_config(small_content(treatments=["control", "two_way", "temperature"]))

    audits = preview_audits(config, tmp_path, SilentProgress())

    assert [one.arm for one in audits] == ["control", "two_way", "temperature"]
    assert [one.audit["verdict"] for one in audits] == ["ok", "warning", "ok"]
    assert "function of the batch" in audits[1].audit["sentence"]
    assert not (tmp_path / "runs").exists()


def test_the_planned_audit_of_a_schedule_looks_at_its_last_stage(data):
    planned = audited(data, {"name": "decoupled", "share": 0.0}).before_training()

    assert planned["sampling"]["largest_ratio"]["ratio"] > 0
    assert any(abs(row["inflation"] - 1) > 0.01 for row in planned["sampling"]["classes"].values())


def test_a_loss_that_ignores_positives_is_caught(data):
    @dataclass(frozen=True)
    class Blind:
        def __call__(self, counts):
            plan = Control()(counts)
            return replace(plan, loss=_NegativesOnly())

    class _NegativesOnly(torch.nn.Module):
        def forward(self, logits, targets):
            return torch.nn.functional.softplus(logits).where(targets == 0, 0).mean()

    audit = audited(data, "control")
    wrong = replace(audit, job=replace(audit.job, plan=Blind()(data.counts)))

    with pytest.raises(TrainingError, match="its positives have no gradient"):
        wrong.before_training()


def test_class_length_weights_are_caught_whoever_hands_them_over(data):
    def class_length(targets):
        weights = np.zeros(len(targets))
        weights[: targets.shape[1]] = 1 / np.array(data.counts.positives)
        return weights

    audit = audited(data, "weighted_sampling")
    plan = replace(WeightedSampling()(data.counts), sample_weights=class_length)
    wrong = replace(audit, job=replace(audit.job, plan=plan))

    with pytest.raises(TrainingError, match="94 of 96 images have draw weight 0: they are never seen"):
        wrong.before_training()


@pytest.mark.parametrize("treatment", ["weighted_sampling", "balanced_mixup", "prior_shift"])
def test_counts_of_other_rows_inside_draws_and_shifts_are_caught(data, treatment):
    audit = audited(data, treatment)
    counts = replace(data.counts, positives=tuple(3 * count for count in data.counts.positives[::-1]))
    plan = audit.config.treatment(audit.run.arm).build()(counts)
    wrong = replace(audit, job=replace(audit.job, plan=plan))

    with pytest.raises(TrainingError, match="that the treatment gives for the training images"):
        wrong.before_training()


@pytest.mark.parametrize("schedule", ["decoupled", "balanced_mixup"])
def test_images_left_out_on_purpose_by_a_schedules_sampler_stop_nothing(data, schedule):
    sampler = {"name": "class_aware_sampling", "without_positive": "left_out"}
    extra = {"share": 0.0} if schedule == "decoupled" else {}

    assert audited(data, {"name": schedule, "sampler": sampler, **extra}).before_training()


def test_a_sampler_that_balances_a_column_shows_what_becomes_of_the_column(data):
    planned = audited(data, {"name": "group_balanced_sampling", "column": "chest_tube"}).before_training()

    assert planned["balance"]["column"] == "chest_tube"
    assert set(planned["balance"]["classes"]) == set(data.classes)


def test_all_arms_are_audited_before_the_first_is_trained(tmp_path):
    arms = ["control", {"name": "focal", "alpha": 0.0}, {"name": "focal", "alpha": 0.0, "gamma": 1.0}]

    with pytest.raises(TrainingError, match=r"(?s)'focal \(alpha=0.0\)'.*\n.*'focal \(alpha=0.0, gamma=1.0\)'"):
        run(small_content(treatments=arms, lenses=ONE_LENS), tmp_path)

    assert not (tmp_path / "runs").exists()


def test_a_published_form_is_excused_for_its_known_defects_only(data, monkeypatch, tmp_path):
    monkeypatch.setattr(loop_module, "open_for_training", lambda module, *rest: module.eval())
    audit = audited(data, {"name": "weighted_sampling", "variant": "as_published"})
    audit.before_training()

    with pytest.raises(TrainingError, match="evaluation mode"):
        fit(audit.job, tmp_path, inspect=audit.after_epoch)


def test_a_head_that_is_needed_and_missing_is_told_before_training(tmp_path):
    config = validate_config(
        small_content(
            model={"source": "torchvision", "name": "squeezenet1_1"},
            treatments=["control", {"name": "decoupled", "method": "tau_normalized"}],
            lenses=ONE_LENS,
        )
    )

    with pytest.raises(InputError, match="the network's head must be a linear layer with 2 outputs"):
        prepare_experiment(config, ExperimentFolder(tmp_path), SilentProgress())
