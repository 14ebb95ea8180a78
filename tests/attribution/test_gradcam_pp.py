"""Grad-CAM++ against the derivatives of its paper, a case by hand and its limits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution.gradcam_pp import GradCamPlusPlus
from tailscope.attribution.registry import ATTRIBUTIONS

from .cam_cases import K, PooledNet, SignedNet, SmallNet, close, images, one_by_one, small


def from_the_paper(activation: Tensor, gradient: Tensor) -> Tensor:
    """Each weight from the powers of the gradient, one place at a time."""
    result = torch.zeros(activation.shape[1:], dtype=torch.float64)
    for maps, slopes in zip(activation.double(), gradient.double(), strict=True):
        weight = 0.0
        for slope in slopes.flatten():
            denominator = 2 * slope**2 + maps.sum() * slope**3
            alpha = slope**2 / denominator if denominator != 0 else 0.0
            weight += alpha * max(slope, 0.0)
        result += weight * maps
    return result.relu().float()


def test_the_formula_of_the_paper_place_by_place_gives_the_same_maps() -> None:
    network = small()
    close(GradCamPlusPlus("second")(network, images(), [3, 0]), one_by_one(network, from_the_paper, [3, 0]))


def test_alpha_is_that_of_the_exponential_score_by_automatic_differentiation() -> None:
    """Y = exp(S), S linear in A: α = Y″ / (2 Y″ + Σ A · Y‴), and w / Y = Σ α · ReLU(S′)."""
    torch.manual_seed(0)
    activations = torch.rand(1, 2, 2, 3, dtype=torch.float64)
    slopes = torch.randn(2, 2, 3, dtype=torch.float64)
    weights = torch.zeros(2, dtype=torch.float64)
    for channel in range(2):
        for place in range(6):

            def score(value: Tensor, channel: int = channel, place: int = place) -> Tensor:
                changed = activations[0].flatten(1).clone()
                changed[channel, place] = value
                return (changed * slopes.flatten(1)).sum().exp()

            at = activations[0].flatten(1)[channel, place].clone().requires_grad_()
            derivatives = [score(at)]
            for _ in range(3):
                (nth,) = torch.autograd.grad(derivatives[-1], at, create_graph=True)
                derivatives.append(nth)
            value, first, second, third = derivatives
            alpha = second / (2 * second + activations[0, channel].sum() * third)
            weights[channel] += (alpha * first.relu() / value).detach()
    head = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.Flatten(), nn.Linear(12, 1, bias=False)).double()
    head[0].weight.data.copy_(torch.eye(2).reshape(2, 2, 1, 1))
    head[2].weight.data.copy_(slopes.flatten()[None])
    expected = torch.einsum("c,chw->hw", weights, activations[0])[None, None]
    close(GradCamPlusPlus("0")(head, activations, [0]), expected.float())


def test_a_global_mean_and_a_linear_head_give_the_closed_form() -> None:
    network = small(PooledNet)
    activations = network.before(images()).detach()
    slopes = network.head[2].weight.detach().relu() / 16
    weights = 16 * slopes / (2 + activations.sum(dim=(2, 3))[:, None] * slopes)
    expected = torch.einsum("bkc,bchw->bkhw", weights, activations)
    close(GradCamPlusPlus("second")(network, images(), range(K)), expected)


def test_weights_stay_bounded_where_activations_are_negative() -> None:
    """2 + ΣA·g would be −2 here: the sum counts as 0, so that α = 1/2 and w = 2 · 1/2 · 1."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
    nn.init.constant_(network[0].weight, 1.0)
    nn.init.constant_(network[2].weight, 1.0)
    image = torch.tensor([[[[-5.0, 1.0]]]])
    assert GradCamPlusPlus("0", relu=False)(network, image, [0]).tolist() == [[[[-5.0, 1.0]]]]


def test_negative_values_stay_without_relu() -> None:
    network = small(SignedNet)
    signed = GradCamPlusPlus("second", relu=False)(network, images(), [1])
    assert bool((signed < 0).any())
    assert torch.equal(GradCamPlusPlus("second")(network, images(), [1]), signed.relu())


def test_tiny_gradients_do_not_underflow() -> None:
    """At a slope of 1e-20 its cube is 0 in float32, and the weight is still half of the sum of slopes."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
    nn.init.constant_(network[0].weight, 1.0)
    nn.init.constant_(network[2].weight, 1e-20)
    maps = GradCamPlusPlus("0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0])
    assert maps.flatten().tolist() == pytest.approx([1e-20, 3e-20], rel=1e-6)


def test_no_class_gives_no_map() -> None:
    assert GradCamPlusPlus("second")(small(SmallNet), images(), []).shape == (3, 0, 4, 4)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("gradcam_pp", relu=False) == GradCamPlusPlus(relu=False)
