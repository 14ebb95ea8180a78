from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_scene import COUNTS, Pooled, made_data, made_network, write_run
from torch import nn

from tailscope.core import InputError
from tailscope.experiment import features
from tailscope.experiment.features import features_path, head_path, read_features, read_head, why_no_features
from tailscope.experiment.folder import ExperimentFolder
from tailscope.training import predict

DATA = made_data()


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path)


@pytest.mark.parametrize("split", list(COUNTS))
def test_the_head_on_the_features_gives_the_logits_of_the_network(folder, split):
    network = made_network()
    write_run(folder, "control-s0", network, DATA)
    found = read_features(folder, "control-s0", split, DATA)
    assert found.features.shape == (COUNTS[split], 3)
    expected = predict(network, DATA.pixels, DATA.rows(split))
    np.testing.assert_allclose(read_head(folder, "control-s0").logits(found.features), expected, atol=1e-5)
    np.testing.assert_array_equal(found.targets, DATA.targets[DATA.rows(split)])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_is_not_seen(folder, batch_size):
    network = made_network()
    write_run(folder, "a-s0", network, DATA, batch_size=16)
    write_run(folder, "b-s0", network, DATA, batch_size=batch_size)
    one, other = (read_features(folder, run, "train", DATA).features for run in ("a-s0", "b-s0"))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_features_lie_on_a_memory_map(folder):
    write_run(folder, "control-s0", made_network(), DATA)
    assert isinstance(read_features(folder, "control-s0", "train", DATA).features, np.memmap)


def test_a_pass_that_was_stopped_goes_on_and_ends_the_same(folder, monkeypatch):
    network = made_network()
    write_run(folder, "whole-s0", network, DATA)
    asked, plain = [], features.image_batches

    def stopping(network, pixels, rows, batch_size):
        asked.append(rows)
        if len(asked) == 4:  # one look at the head, two batches, then the kill
            raise KeyboardInterrupt
        return plain(network, pixels, rows, batch_size)

    monkeypatch.setattr(features, "image_batches", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_run(folder, "cut-s0", network, DATA)
    assert not head_path(folder, "cut-s0").exists()
    write_run(folder, "cut-s0", network, DATA)
    seen = np.concatenate(asked[5:7])
    np.testing.assert_array_equal(seen, DATA.rows("train")[32:])  # the first two batches are not asked again
    for split in COUNTS:
        np.testing.assert_array_equal(
            np.load(features_path(folder, "cut-s0", split)), np.load(features_path(folder, "whole-s0", split))
        )


def test_a_head_without_bias_has_a_bias_of_zero(folder):
    write_run(folder, "control-s0", made_network(head=nn.Linear(3, 2, bias=False)), DATA)
    assert read_head(folder, "control-s0").bias.tolist() == [0.0, 0.0]


class OnGrid(Pooled):
    def forward(self, images):
        return self.head(images.permute(0, 2, 3, 1))[:, 0, 0]


class Scaled(Pooled):
    def forward(self, images):
        return 2 * super().forward(images) + 1


def changed(kind, head):
    network = made_network(head=head)
    network.module.__class__ = kind
    return network


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (
            made_network(head=nn.Sequential(nn.Unflatten(1, (3, 1, 1)), nn.Conv2d(3, 2, 1), nn.Flatten())),
            "linear layer",
        ),
        (changed(OnGrid, nn.Linear(3, 2)), "one vector per image"),
        (changed(Scaled, nn.Linear(3, 2)), "changes them behind it"),
    ],
)
def test_a_network_without_one_vector_before_its_head_is_not_measured_and_says_why(folder, network, reason):
    write_run(folder, "control-s0", network, DATA)
    assert reason in why_no_features(folder, "control-s0")
    assert not features_path(folder, "control-s0", "train").exists()


def test_a_run_with_features_has_no_reason(folder):
    write_run(folder, "control-s0", made_network(), DATA)
    assert why_no_features(folder, "control-s0") == ""


def test_features_that_are_not_finite_are_refused(folder):
    network = made_network(mixing=torch.eye(3))
    with torch.no_grad():
        network.module.mixing[0, 0] = torch.nan
    with pytest.raises(InputError, match="must be finite"):
        write_run(folder, "control-s0", network, DATA)
