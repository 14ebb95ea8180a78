"""Guided backpropagation against captum, a slow version, and networks that captum misses."""

from __future__ import annotations

import captum.attr
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.guided_backprop import GuidedBackprop, InsensitiveMethodWarning
from tailscope.attribution.input_gradient import InputGradient
from tailscope.core import InputError

pytestmark = pytest.mark.filterwarnings("ignore::tailscope.attribution.guided_backprop.InsensitiveMethodWarning")


def images(count: int = 2, size: int = 32) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


class Modules(nn.Module):
    """ReLU modules."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)
        self.relu, self.other = nn.ReLU(inplace=inplace), nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        return self.head(self.other(self.second(x) - 0.1 * x).mean(dim=(2, 3)))


class Functions(Modules):
    """The same network, its first ReLU in place and called as a function, its second as a method."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        functional.relu(x, inplace=True)
        return self.head((self.second(x) - 0.1 * x).relu().mean(dim=(2, 3)))


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
@pytest.mark.parametrize("name", ["modules", "resnet"])
def test_with_relu_modules_captum_gives_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    network = Modules() if name == "modules" else timm.create_model("test_resnet", num_classes=4).eval()
    oracle = captum.attr.GuidedBackprop(network)
    expected = [oracle.attribute(images().requires_grad_(), target=one) for one in (3, 0)]
    for rule, reduced in (("sum", lambda one: one.sum(dim=2)), ("largest", lambda one: one.abs().amax(dim=2))):
        found = GuidedBackprop(channels=rule)(network, images(), [3, 0])
        torch.testing.assert_close(found, reduced(torch.stack(expected, dim=1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", [Functions(), Modules(inplace=True)], ids=["functions", "in place"])
def test_it_makes_no_difference_how_the_network_calls_its_rectifiers(network: nn.Module) -> None:
    found = GuidedBackprop()(network, images(), range(4))
    torch.testing.assert_close(found, GuidedBackprop()(Modules(), images(), range(4)))


def test_a_slow_version_with_its_own_backward_pass_gives_the_same_maps() -> None:
    network = Modules()
    first = network.first(images()).detach()
    second = (network.second(first.relu()) - 0.1 * first.relu()).detach()
    area = second.shape[2] * second.shape[3]
    back = (network.head.weight[2] / area).view(1, -1, 1, 1).expand_as(second)
    back = back.clamp(min=0) * (second > 0)
    back = nn.grad.conv2d_input(first.shape, network.second.weight, back, padding=1) - 0.1 * back
    back = back.clamp(min=0) * (first > 0)
    expected = nn.grad.conv2d_input(images().shape, network.first.weight, back).detach()
    found = GuidedBackprop(channels="sum")(network, images(), [2])
    torch.testing.assert_close(found[:, 0], expected.sum(dim=1), rtol=1e-4, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations")
def test_the_functional_relu_that_captum_misses_is_seen_in_densenet() -> None:
    network = torchvision.models.densenet121(num_classes=3).eval()
    head = network.classifier.weight
    with torch.no_grad():
        head[0].fill_(-1.0)  # with a head that is negative everywhere, the last ReLU lets nothing pass
    assert not GuidedBackprop()(network, images(1), [0]).any()
    assert captum.attr.GuidedBackprop(network).attribute(images(1).requires_grad_(), target=0).any()


def test_negative_evidence_is_dropped() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    with torch.no_grad():
        network[3].weight[1] = -network[3].weight[0].abs()
    assert not GuidedBackprop()(network, images(), [1]).any()
    assert InputGradient()(network, images(), [1]).any()


def test_each_call_warns() -> None:
    with pytest.warns(InsensitiveMethodWarning, match=r"hardly depends on what the network learned \(Adebayo"):
        GuidedBackprop()(Modules(), images(), [0])


def test_a_network_without_rectifier_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2), nn.Tanh())
    with pytest.raises(InputError, match=r"no rectifier lies between the images and the logits .* use input_gradient"):
        GuidedBackprop()(network, images(), [0])


def test_no_class_gives_no_map() -> None:
    assert GuidedBackprop()(Modules(), images(), []).shape == (2, 0, 32, 32)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("guided_backprop", channels="sum") == GuidedBackprop(channels="sum")


def test_an_unknown_rule_for_channels_is_refused() -> None:
    with pytest.raises(InputError, match="`channels` must be one of"):
        GuidedBackprop(channels="mean")
