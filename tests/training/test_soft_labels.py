"""Training on labels that are a probability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tailscope.models import MODELS
from tailscope.training import Job, TrainingSettings, fit
from tailscope.treatments import Part


def doubtful(data, value):
    """The data in which every fourth label of the training images is soft, with this probability."""
    chosen = (np.arange(data.targets.size).reshape(data.targets.shape) % 4 == 0) & (data.split == "train")[:, None]
    unknown = np.float32(np.nan)
    soft = np.where(chosen, np.float32(value), unknown)
    return replace(data, targets=np.where(chosen, unknown, data.targets), soft=soft), chosen


def trained(data, folder, treatment="control"):
    torch.manual_seed(0)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(2, 1)
    plan = Part.of(treatment, "treatment").build()(data.counts)
    return fit(Job(network, plan, data, TrainingSettings(epochs=1, batch_size=16, lr=1e-3), 0, "cpu"), folder)


def test_a_probability_of_nearly_1_trains_as_a_positive(data, tmp_path):
    soft, chosen = doubtful(data, 1 - 1e-6)
    hard = replace(data, targets=np.where(chosen, np.float32(1), data.targets))
    one, other = trained(soft, tmp_path / "soft"), trained(hard, tmp_path / "hard")
    close = [np.allclose(one.best_weights[name], other.best_weights[name], atol=1e-3) for name in other.best_weights]
    assert all(close)
    ignored = trained(replace(soft, soft=None), tmp_path / "ignored")
    name = next(name for name in other.best_weights if name.endswith("fc.bias"))
    assert not np.allclose(ignored.best_weights[name], other.best_weights[name], atol=1e-4)


def test_the_audit_holds_control_against_cross_entropy_with_the_same_probabilities(data, tmp_path):
    record = trained(doubtful(data, 0.3)[0], tmp_path).audit[0]
    assert abs(record["loss_ratio"] - 1) < 1e-5
    assert abs(record["gradient_norm_ratio"] - 1) < 1e-5
    assert all(abs(pulls["positives_to_control"] - 1) < 1e-4 for pulls in record["classes"].values())


def test_a_mixup_mixes_the_probabilities_of_both_sides(data, tmp_path):
    state = trained(doubtful(data, 0.3)[0], tmp_path, "balanced_mixup")
    assert np.isfinite(state.history[0]["train_loss"])
    assert state.audit[0]["pairs"] == 80
