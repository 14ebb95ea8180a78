"""The weights after chosen epochs are kept, through kills and phases, and change no training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tailscope.core import InputError, MismatchError
from tailscope.models import MODELS, read_weights
from tailscope.training import Job, TrainingSettings, fit, remove_state
from tailscope.training import loop as loop_module
from tailscope.training.kept import checkpoint_path, due_epochs, kept_epochs, require_epoch
from tailscope.treatments import Part

SETTINGS = TrainingSettings(epochs=4, batch_size=16, lr=1e-2)


def job(data, treatment="control", **settings) -> Job:
    torch.manual_seed(0)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(2, 1)
    plan = Part.of(treatment, "treatment").build()(data.counts)
    return Job(network, plan, data, replace(SETTINGS, **settings), 0, accelerator="cpu")


def weights_after_epochs(one: Job, folder, monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The network's state after each epoch, taken where the loop saves its own."""
    states, saved = [], loop_module.save_state

    def watch(place, state, parts):
        states.append({name: tensor.clone() for name, tensor in parts["network"].state_dict().items()})
        saved(place, state, parts)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "save_state", watch)
        fit(one, folder)
    return states


def stop_at(epoch: int, monkeypatch, *, after_state: bool = True):
    """Kill the training after an epoch: once its state is saved, or just before."""
    saved = loop_module.save_state

    def stop(place, state, parts):
        if state.epoch != epoch or after_state:
            saved(place, state, parts)
        if state.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop_module, "save_state", stop)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def kept(folder) -> dict[int, dict[str, torch.Tensor]]:
    return {epoch: read_weights(checkpoint_path(folder, epoch))[0] for epoch in kept_epochs(folder)}


@pytest.mark.parametrize("treatment", ["control", {"name": "decoupled", "share": 0.5}], ids=["control", "phases"])
def test_the_kept_weights_are_those_after_the_epochs_that_were_named(data, tmp_path, monkeypatch, treatment):
    one = job(data, treatment, keep_checkpoints=(1, 3, "last"))
    states = weights_after_epochs(one, tmp_path, monkeypatch)
    found = kept(tmp_path)
    assert sorted(found) == [1, 3, 4]
    for epoch, weights in found.items():
        assert same(weights, states[epoch - 1])
    assert not same(found[1], found[3])


def test_keeping_epochs_changes_no_training(data, tmp_path):
    plain, keeping = (fit(job(data, keep_checkpoints=keep), tmp_path / str(keep)) for keep in ((), (1, 2, "last")))
    assert same(plain.best_weights, keeping.best_weights)
    assert plain.history == keeping.history
    assert kept_epochs(tmp_path / "()") == ()


@pytest.mark.parametrize("after_state", [True, False], ids=["after the state", "before the state"])
def test_a_training_killed_in_the_middle_keeps_the_same_bytes(data, tmp_path, monkeypatch, after_state):
    keep = (1, 2, "last")
    fit(job(data, keep_checkpoints=keep), tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(2, patch, after_state=after_state)
        with pytest.raises(KeyboardInterrupt):
            fit(job(data, keep_checkpoints=keep), tmp_path / "parts")
    assert kept_epochs(tmp_path / "parts") == (1, 2)
    fit(job(data, keep_checkpoints=keep), tmp_path / "parts")
    for epoch in (1, 2, 4):
        one, other = (checkpoint_path(tmp_path / name, epoch).read_bytes() for name in ("whole", "parts"))
        assert one == other
    assert kept_epochs(tmp_path / "parts") == (1, 2, 4)


def test_a_training_killed_before_its_last_weights_were_kept_keeps_them_when_it_goes_on(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(4, patch)
        with pytest.raises(KeyboardInterrupt):
            fit(job(data, keep_checkpoints=("last",)), tmp_path / "parts")
    assert kept_epochs(tmp_path / "parts") == ()
    states = weights_after_epochs(job(data), tmp_path / "whole", monkeypatch)
    fit(job(data, keep_checkpoints=("last",)), tmp_path / "parts")
    assert same(kept(tmp_path / "parts")[4], states[-1])


def test_the_last_epoch_is_the_one_at_which_the_training_stopped(data, tmp_path):
    state = fit(job(data, epochs=40, early_stop=1, keep_checkpoints=("last", 40)), tmp_path)
    assert kept_epochs(tmp_path) == (state.epoch,)
    assert state.epoch < 40


def test_the_state_is_removed_and_the_kept_epochs_stay(data, tmp_path):
    fit(job(data, epochs=2, keep_checkpoints=(1,)), tmp_path)
    (tmp_path / ".epoch-002.safetensors.x.partial").write_bytes(b"")  # as a kill amid a write leaves it
    remove_state(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-001.safetensors"]


def test_a_folder_without_kept_epochs_goes_with_the_state(data, tmp_path):
    fit(job(data, epochs=1), tmp_path / "state")
    remove_state(tmp_path / "state")
    remove_state(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_an_epoch_that_is_asked_for_too_late_is_refused(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(2, patch)
        with pytest.raises(KeyboardInterrupt):
            fit(job(data, keep_checkpoints=(2,)), tmp_path / "state")
    with pytest.raises(MismatchError) as caught:
        fit(job(data, keep_checkpoints=(1, 2, 3)), tmp_path / "state")
    message = str(caught.value)
    assert "asks for the weights after epoch 1;" in message
    assert "has trained 2 epochs and kept 2" in message
    assert f"delete {tmp_path / 'state'} to train this anew" in message
    fit(job(data, keep_checkpoints=(2, 3)), tmp_path / "state")
    assert kept_epochs(tmp_path / "state") == (2, 3)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ((5,), "`keep_checkpoints` names epoch 5, and `epochs` is 4; name epochs from 1 to 4, or raise `epochs`"),
        ((0,), "`keep_checkpoints` must hold epochs from 1 on, or 'last'; got 0"),
        (("final",), "`keep_checkpoints` must hold epochs from 1 on, or 'last'; got 'final'"),
        ((2, 2), "`keep_checkpoints` holds 2 twice; name each epoch once"),
    ],
)
def test_epochs_that_cannot_be_kept_are_refused(keep, message):
    with pytest.raises(InputError) as caught:
        replace(SETTINGS, keep_checkpoints=keep)
    assert str(caught.value) == message


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError, match=r"`lr` must be above 0; got 0; .* 'last'; got .x.; .* names epoch 9,"):
        replace(SETTINGS, lr=0.0, keep_checkpoints=(9, "x", "last"))


def test_last_is_due_only_when_the_training_is_over():
    assert due_epochs((1, "last"), 3, is_over=False) == (1,)
    assert due_epochs((1, 3, "last"), 3, is_over=True) == (1, 3)


def test_an_epoch_that_was_not_kept_is_named_with_those_that_were(tmp_path):
    checkpoint_path(tmp_path, 2).write_bytes(b"")
    assert require_epoch(tmp_path, 2) == tmp_path / "epoch-002.safetensors"
    with pytest.raises(InputError, match=r"`epoch` must be one of the kept epochs, 2; got 1: .*keep_checkpoints"):
        require_epoch(tmp_path, 1)
