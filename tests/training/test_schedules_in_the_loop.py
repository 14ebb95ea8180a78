"""Phases, mix-ups, fresh heads and soft-max heads, as training runs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tailscope.models import MODELS, find_head
from tailscope.training import EpochWatch, Job, TrainingSettings, fit
from tailscope.training import loop as loop_module
from tailscope.treatments import Part

SETTINGS = TrainingSettings(epochs=4, batch_size=16, lr=1e-2)


def job(data, treatment, **settings) -> Job:
    torch.manual_seed(0)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(2, 1)
    plan = Part.of(treatment, "treatment").build()(data.counts)
    return Job(network, plan, data, replace(SETTINGS, **settings), 0, accelerator="cpu")


def states_after_epochs(one, folder, monkeypatch):
    """The network's state after each epoch."""
    states, saved = [], loop_module.save_state

    def watch(place, state, parts):
        states.append({name: tensor.clone() for name, tensor in parts["network"].state_dict().items()})
        saved(place, state, parts)

    monkeypatch.setattr(loop_module, "save_state", watch)
    return fit(one, folder), states


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_fresh_head_leaves_the_rest_of_the_network_bit_for_bit_alone(data, tmp_path, monkeypatch):
    one = job(data, {"name": "decoupled", "share": 0.5})
    head = find_head(one.network.module, 2)
    names = {name for name, module in one.network.module.named_modules() if module is head}

    _, states = states_after_epochs(one, tmp_path, monkeypatch)

    of_head = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    assert changed(states[1], states[2]) == of_head
    assert changed(states[2], states[3]) == of_head
    assert len(changed(states[0], states[1])) > len(of_head)


def test_the_first_stage_of_decoupled_training_is_control_with_a_schedule_of_its_own(data, tmp_path, monkeypatch):
    _, states = states_after_epochs(job(data, {"name": "decoupled", "share": 0.5}), tmp_path / "a", monkeypatch)
    monkeypatch.undo()
    _, control = states_after_epochs(job(data, "control", epochs=2), tmp_path / "b", monkeypatch)

    assert changed(states[1], control[1]) == set()


def test_training_leaves_gradients_and_modes_open_as_it_found_them(data, tmp_path):
    one = job(data, {"name": "decoupled", "share": 0.5})
    frozen = next(iter(dict(one.network.module.named_parameters())))
    dict(one.network.module.named_parameters())[frozen].requires_grad_(False)
    before = {name: part.requires_grad for name, part in one.network.module.named_parameters()}

    fit(one, tmp_path)

    assert {name: part.requires_grad for name, part in one.network.module.named_parameters()} == before


@pytest.mark.parametrize("treatment", [{"name": "decoupled", "share": 0.5}, {"name": "drw", "share": 0.75}])
def test_only_an_epoch_of_the_last_phase_is_selected(data, tmp_path, treatment, monkeypatch):
    scores = iter([0.99, 0.98, 0.6, 0.7])
    monkeypatch.setattr(loop_module, "validation_score", lambda logits, targets: next(scores))

    assert fit(job(data, treatment), tmp_path).best.epoch == 3


def test_early_stopping_waits_for_the_last_phase(data, tmp_path, monkeypatch):
    scores = iter([0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr(loop_module, "validation_score", lambda logits, targets: next(scores))

    state = fit(job(data, {"name": "drw", "share": 0.5}, early_stop=1), tmp_path)

    assert (state.epoch, state.best.epoch) == (4, 2)


def test_a_mix_up_without_a_share_for_the_partner_is_control_bit_for_bit(data, tmp_path):
    mixed = fit(job(data, {"name": "balanced_mixup", "alpha": 0.0}), tmp_path / "a")
    control = fit(job(data, "control"), tmp_path / "b")

    assert changed(mixed.best_weights, control.best_weights) == set()


def test_partners_are_drawn_apart_from_the_images(data):
    draws = job(data, "balanced_mixup").draws(0)

    assert sorted(draws.images.tolist()) == list(range(80))
    assert np.mean(draws.images == draws.partners) < 0.1
    assert not np.array_equal(draws.partners, job(data, "balanced_mixup").draws(1).partners)


def test_the_loss_of_a_mixed_batch_is_the_mean_of_both_losses_by_their_shares(data, tmp_path, monkeypatch):
    seen = []

    class Watch(EpochWatch):
        def step(self, **done):
            seen.append(done)
            super().step(**done)

    monkeypatch.setattr(loop_module, "EpochWatch", Watch)
    one = job(data, {"name": "balanced_mixup", "alpha": 1.0}, epochs=1)
    targets = data.targets[data.rows("train")]
    loss = one.plan.loss
    fit(one, tmp_path)

    for step in seen:
        mine, others = (loss(step["logits"], torch.from_numpy(targets[step[who]])) for who in ("rows", "partners"))
        assert 0 < step["share"] < 1
        expected = (1 - step["share"]) * mine + step["share"] * others
        assert step["loss"] == pytest.approx(expected.item(), rel=1e-5)
        larger = step["partners"] if step["share"] > 0.5 else step["rows"]
        assert np.array_equal(step["targets"].numpy(), targets[larger], equal_nan=True)


def test_a_batch_transform_sees_every_batch_and_draws_from_its_own_generator(data, tmp_path):
    drawn = []

    def darken(images, targets, generator):
        drawn.append(generator.random())
        return images * 0, targets

    one = job(data, "control", epochs=1)
    one = replace(one, plan=replace(one.plan, batch_transform=darken))
    fit(one, tmp_path / "a")
    first, drawn[:] = list(drawn), []
    fit(one, tmp_path / "b")

    assert len(set(first)) == 5
    assert first == drawn


def test_a_sampler_reads_the_attributes_of_the_training_images(data):
    one = job(data, {"name": "group_balanced_sampling", "column": "view", "classes": ["square"]})
    targets, views = data.targets[:80, 0] == 1, data.attributes["view"][:80] == "PA"

    weights = one.draw_weights(one.plan)

    mass = [weights[targets & views].sum(), weights[targets & ~views].sum(), weights[~targets & views].sum(),
            weights[~targets & ~views].sum()]  # fmt: skip
    assert mass == pytest.approx([mass[0]] * 4)


def test_losses_with_parameters_train_them_at_their_own_rate(data, tmp_path):
    slow, fast = (
        fit(job(data, {"name": "auc_margin", "parameter_lr": rate}, epochs=1), tmp_path / str(rate)).best_loss
        for rate in (1e-4, 0.1)
    )

    moved = [sum(float(tensor.abs().sum()) for tensor in loss.values()) for loss in (slow, fast)]
    assert moved[1] != moved[0]


def test_logits_of_a_soft_max_are_read_as_log_odds_in_validation(data, tmp_path, monkeypatch):
    one_label = data.targets.copy()
    one_label[:, 1] = 1 - one_label[:, 0]
    single = replace(data, targets=one_label)
    seen, scored = [], loop_module.validation_score
    monkeypatch.setattr(
        loop_module, "validation_score", lambda logits, targets: (seen.append(logits), scored(logits, targets))[1]
    )

    fit(job(single, {"name": "control", "form": "softmax"}, epochs=1), tmp_path)

    probability = 1 / (1 + np.exp(-seen[0]))
    assert probability.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-5)


def test_the_order_has_a_digest_that_tells_draws_and_partners_apart(data):
    digests = {
        str(treatment): job(data, treatment).order_digest()
        for treatment in (
            "control",
            "focal",
            "weighted_sampling",
            "balanced_mixup",
            {"name": "decoupled", "share": 0.5},
        )
    }

    assert digests["control"] == digests["focal"]
    assert len(set(digests.values())) == 4
