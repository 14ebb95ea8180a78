"""Gradients as maps, against captum and by hand."""

from __future__ import annotations

import pytest
import timm
import torch
from captum.attr import InputXGradient, Saliency
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.input_gradient import GradientXInput, InputGradient
from tailscope.core import InputError


def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def captums(method: type, **settings: bool) -> Tensor:
    oracle = method(network())
    asked = images().requires_grad_()
    return torch.stack([oracle.attribute(asked, target=one, **settings) for one in (2, 0)], dim=1).detach()


def test_the_gradient_is_captums_saliency() -> None:
    found = InputGradient()(network(), images(), [2, 0])
    torch.testing.assert_close(found, captums(Saliency).amax(dim=2), rtol=1e-4, atol=1e-7)


def test_the_signed_gradient_is_captums_without_its_absolute_value() -> None:
    found = InputGradient(channels="sum")(network(), images(), [2, 0])
    torch.testing.assert_close(found, captums(Saliency, abs=False).sum(dim=2), rtol=1e-4, atol=1e-6)


def test_gradient_times_input_is_captums() -> None:
    found = GradientXInput()(network(), images(), [2, 0])
    torch.testing.assert_close(found, captums(InputXGradient).sum(dim=2), rtol=1e-4, atol=1e-6)


def test_gradient_times_input_of_a_linear_network_sums_to_its_logit() -> None:
    linear = nn.Sequential(nn.Conv2d(3, 2, 3, bias=False), nn.Flatten(), nn.Linear(2 * 30 * 30, 3, bias=False))
    maps = GradientXInput()(linear, images(), range(3))
    torch.testing.assert_close(maps.sum(dim=(2, 3)), linear(images()).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [InputGradient(), GradientXInput()])
def test_no_class_gives_no_map_on_the_inputs_grid(method: InputGradient | GradientXInput) -> None:
    assert method(network(), images(), []).shape == (2, 0, 32, 32)


@pytest.mark.parametrize(("name", "method"), [("input_gradient", InputGradient), ("gradient_x_input", GradientXInput)])
def test_it_is_registered_under_its_name(name: str, method: type) -> None:
    assert ATTRIBUTIONS.build(name, channels="absolute") == method(channels="absolute")


@pytest.mark.parametrize("method", [InputGradient, GradientXInput])
def test_an_unknown_rule_for_channels_is_refused(method: type) -> None:
    with pytest.raises(InputError, match="`channels` must be one of"):
        method(channels="mean")


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"images must be floating \(B, C, H, W\)"):
        InputGradient()(network(), images()[0], [0])
