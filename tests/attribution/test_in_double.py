"""A network in double precision computes the same and stays what it is."""

from __future__ import annotations

import copy

import timm
import torch

from tailscope.attribution.in_double import in_double


def test_it_computes_what_the_network_cast_to_double_computes():
    network = timm.create_model("test_resnet", num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = copy.deepcopy(network).double()(images)
        torch.testing.assert_close(in_double(network)(images), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(network(images.float()), expected.float(), rtol=1e-3, atol=1e-5)


def test_the_network_keeps_its_numbers():
    network = timm.create_model("test_resnet", num_classes=3).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        in_double(network)(torch.randn(1, 3, 64, 64, dtype=torch.float64))
    after = network.state_dict()
    assert all(value.dtype == after[name].dtype and torch.equal(value, after[name]) for name, value in before.items())


def test_weights_that_two_layers_share_stay_shared():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    second.weight = first.weight
    images = torch.randn(1, 2, dtype=torch.float64)
    network = torch.nn.Sequential(first, second)
    expected = copy.deepcopy(network).double()(images)
    torch.testing.assert_close(in_double(network)(images), expected)
