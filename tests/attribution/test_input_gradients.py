"""Gradients of the logits with respect to the pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution.input_gradients import class_gradients, weighted_gradients
from tailscope.core import InputError


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    return nn.Sequential(*parts).double().requires_grad_(False)


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_gradients_are_finite_differences() -> None:
    step = 1e-5 * torch.randn(3, 3, 8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    change = network()(images() + step) - network()(images() - step)
    for index, gradient in zip([2, 0], class_gradients(network(), images(), [2, 0]), strict=True):
        torch.testing.assert_close((gradient * step).sum(dim=(1, 2, 3)) * 2, change[:, index], rtol=1e-6, atol=1e-12)


def test_all_classes_come_from_one_forward_pass() -> None:
    passes = []
    counted = network()
    counted.register_forward_hook(lambda *_: passes.append(1))
    assert len(list(class_gradients(counted, images(), [0, 1, 2, 3, 0]))) == 5
    assert len(passes) == 1


def test_a_network_that_writes_to_its_input_is_read_and_the_images_stay() -> None:
    given = images()
    writing = nn.Sequential(nn.ReLU(inplace=True), network())
    (found,) = class_gradients(writing, given, [1])
    (expected,) = class_gradients(nn.Sequential(nn.ReLU(), network()), given, [1])
    assert torch.equal(found, expected)
    assert torch.equal(given, images())


def test_weighted_gradients_are_the_sum_over_all_chunks() -> None:
    weights = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    gradients = torch.stack(list(class_gradients(network(), images(), [3, 1])))
    for size in (1, 2, 3):
        points = zip(images().split(size), weights.split(size), strict=True)
        found = weighted_gradients(network(), points, [3, 1])
        torch.testing.assert_close(found, torch.einsum("m,kmchw->kchw", weights, gradients))


def test_squares_are_taken_before_the_sum() -> None:
    points = [(images(), torch.full((3,), 1 / 3, dtype=torch.float64))]
    (gradient,) = class_gradients(network(), images(), [2])
    found = weighted_gradients(network(), points, [2], squared=True)
    torch.testing.assert_close(found[0], gradient.square().mean(dim=0))


def test_no_point_is_refused() -> None:
    with pytest.raises(InputError, match="`points` must hold at least one chunk"):
        weighted_gradients(network(), [], [0])


def test_a_network_without_gradients_is_refused() -> None:
    with pytest.raises(InputError, match="no logit depends on the input as far as autograd can see"):
        list(class_gradients(lambda given: network()(given.detach()), images(), [0]))


def test_a_network_whose_gradients_lead_elsewhere_is_refused() -> None:
    elsewhere = torch.ones(4, dtype=torch.float64, requires_grad=True)
    with pytest.raises(InputError, match="no logit depends on the input"):
        list(class_gradients(lambda given: network()(given.detach()) * elsewhere, images(), [0]))


def test_a_class_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"`classes` must lie in 0 … 3; got \[4\]"):
        list(class_gradients(network(), images(), [0, 4]))
