from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tailscope.core import DataError, ExperimentData, TrainingError
from tailscope.models import MODELS
from tailscope.training import Augmentation, Job, TrainingSettings, fit
from tailscope.training import loop as loop_module
from tailscope.treatments import Part

SETTINGS = TrainingSettings(epochs=3, batch_size=16, lr=1e-2)


def job(data: ExperimentData, treatment: str | dict = "control", seed: int = 0, **settings) -> Job:
    torch.manual_seed(seed)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(2, 1)
    plan = Part.of(treatment, "treatment").build()(data.counts)
    return Job(network, plan, data, replace(SETTINGS, **settings), seed, accelerator="cpu")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_learns_the_square(data, tmp_path):
    state = fit(job(data, epochs=5), tmp_path)
    assert state.best.score > 0.85
    assert [record["epoch"] for record in state.history] == [0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_bits(data, tmp_path):
    one, other = (fit(job(data), tmp_path / name) for name in "ab")
    assert same(one.best_weights, other.best_weights)
    assert one.history == other.history


def test_another_seed_gives_other_weights(data, tmp_path):
    one, other = (fit(job(data, seed=seed), tmp_path / str(seed)) for seed in (0, 1))
    assert not same(one.best_weights, other.best_weights)


@pytest.mark.parametrize(
    "treatment",
    [
        "control",
        "uncertainty",
        "weighted_sampling",
        "balanced_mixup",
        {"name": "drw", "treatment": "uncertainty", "share": 0.5},
        {"name": "decoupled", "share": 0.5},
        {"name": "decoupled", "share": 0.3},
        {"name": "warm_up", "treatment": "auc_margin", "share": 0.6},
    ],
    ids=str,
)
def test_a_stopped_training_goes_on_to_the_same_bits(data, tmp_path, treatment, monkeypatch):
    whole = fit(job(data, treatment), tmp_path / "whole")
    saved = loop_module.save_state

    def stop_after_second(folder: Path, state, parts) -> None:
        saved(folder, state, parts)
        if state.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop_module, "save_state", stop_after_second)
    with pytest.raises(KeyboardInterrupt):
        fit(job(data, treatment), tmp_path / "parts")
    monkeypatch.setattr(loop_module, "save_state", saved)
    resumed = fit(job(data, treatment), tmp_path / "parts")
    assert same(whole.best_weights, resumed.best_weights)
    assert same(whole.best_loss, resumed.best_loss)
    assert whole.history == resumed.history
    assert whole.audit == resumed.audit


def test_the_network_is_left_with_the_selected_epoch(data, tmp_path):
    one = job(data)
    state = fit(one, tmp_path)
    assert same(dict(one.network.module.state_dict()), state.best_weights)
    scores = [record["val_auroc"] for record in state.history]
    assert state.best.epoch == int(np.argmax(scores))


def test_what_the_steps_did_is_audited(data, tmp_path):
    audit = fit(job(data, epochs=1), tmp_path).audit[0]
    assert (audit["steps"], audit["training_steps"], audit["draws"]) == (5, 5, 80)
    assert sum(audit["draw_counts"].values()) == 80
    assert json.dumps(audit)


def test_what_an_inspection_finds_joins_the_audit_and_what_it_raises_ends_the_training(data, tmp_path):
    state = fit(job(data, epochs=1), tmp_path / "a", inspect=lambda epoch, watch: {"seen": int(watch.draws.sum())})
    assert state.audit[0]["seen"] == 80

    def refuse(epoch, watch):
        raise TrainingError(f"epoch {epoch} is wrong")

    with pytest.raises(TrainingError, match="epoch 0 is wrong"):
        fit(job(data), tmp_path / "b", inspect=refuse)


def test_the_treatments_own_parameters_are_trained_without_decay(data, tmp_path):
    state = fit(job(data, "uncertainty"), tmp_path)
    assert state.best_loss
    assert all(tensor.abs().sum() > 0 for tensor in state.best_loss.values())


def test_early_stopping_counts_epochs_without_a_better_score(data, tmp_path):
    state = fit(job(data, epochs=40, early_stop=2), tmp_path)
    assert state.epoch == state.best.epoch + 3 < 40


def test_a_loss_that_is_not_finite_stops_with_a_remedy(data, tmp_path):
    with pytest.raises(TrainingError, match=r"the training loss became (nan|inf) in epoch 0; lower `training.lr`"):
        fit(job(data, lr=1e30), tmp_path)


def test_a_validation_split_without_a_scorable_class_is_refused(data, tmp_path):
    targets = data.targets.copy()
    targets[data.rows("val")] = 0
    with pytest.raises(DataError, match="no class has both a positive and a negative validation image"):
        fit(job(replace(data, targets=targets)), tmp_path)


def test_progress_counts_every_training_image(data, tmp_path):
    counted = []
    fit(job(data, epochs=2), tmp_path, counted.append)
    assert sum(counted) == 160


def test_the_callers_random_state_is_left_as_it_was(data, tmp_path):
    one = job(data, epochs=1)
    before = torch.get_rng_state()
    fit(one, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_bfloat16_trains_as_well(data, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = fit(job(data, epochs=1, precision="bf16-mixed"), tmp_path)
    assert np.isfinite(state.history[0]["train_loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "`epochs` must be 1 or more; got 0"),
        ({"batch_size": 1}, "`batch_size` must be 2 or more; got 1"),
        ({"lr": 0.0}, "`lr` must be above 0; got 0"),
        ({"epochs": 0, "lr": -1.0}, "`epochs` must be 1 or more; got 0; `lr` must be above 0; got -1"),
        ({"warmup_fraction": 1.0}, r"`warmup_fraction` must lie in \[0, 1\); got 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**settings)


def test_an_augmentation_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`augment.translation` must lie in \[0, 0.5\]; got 0.7"):
        Augmentation(translation=0.7)
