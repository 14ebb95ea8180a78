"""Negative gradients stop at a rectifier, however the network calls it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.rectifiers import GuidedRectifiers


def in_place(rectify: Callable[[Tensor], object]) -> Callable[[Tensor], Tensor]:
    """Go on with the tensor itself, not with what the call returned."""

    def apply(x: Tensor) -> Tensor:
        rectify(x)
        return x

    return apply


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": functional.relu,
    "functional in place": in_place(lambda x: functional.relu(x, inplace=True)),
    "torch": torch.relu,
    "torch in place": in_place(torch.relu_),
    "method": lambda x: x.relu(),
    "method in place": in_place(lambda x: x.relu_()),
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": in_place(lambda x: x.clamp_(0)),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "relu6 module": nn.ReLU6(),
    "relu6": functional.relu6,
    "hardtanh from 0": nn.Hardtanh(0, 9, inplace=True),
    "prelu": nn.PReLU(init=0.0),
}
OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    name: getattr(nn, name)() for name in ("LeakyReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Hardswish")
} | {"Softplus": nn.Softplus(), "GELU tanh": nn.GELU(approximate="tanh"), "SiLU in place": nn.SiLU(inplace=True)}


def gradient(rectify: Callable[[Tensor], Tensor], guided: bool = True) -> Tensor:
    x = torch.tensor([1.0, 2.0, -1.0, -2.0], requires_grad=True)
    onward = torch.tensor([3.0, -3.0, 3.0, -3.0])
    if not guided:
        return torch.autograd.grad((rectify(x * 1) * onward).sum(), x)[0]
    with GuidedRectifiers() as block:
        y = rectify(x * 1) * onward
    assert block.met == 1
    return torch.autograd.grad(y.sum(), x)[0]


@pytest.mark.parametrize("name", RELUS)
def test_a_relu_passes_positive_gradients_of_positive_values_alone(name: str) -> None:
    assert gradient(RELUS[name]).tolist() == [3.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", OTHERS)
def test_another_rectifier_applies_its_derivative_to_what_is_positive(name: str) -> None:
    plain = gradient(OTHERS[name], guided=False)
    expected = torch.where(torch.tensor([True, False, True, False]), plain, 0.0)
    assert torch.equal(gradient(OTHERS[name]), expected)


@pytest.mark.parametrize(
    "other",
    [nn.Tanh(), nn.Hardtanh(), nn.Sigmoid(), lambda x: x.clamp(-3, 3)],
    ids=["tanh", "hardtanh", "sigmoid", "clamp"],
)
def test_what_is_no_rectifier_passes_every_gradient(other: Callable[[Tensor], Tensor]) -> None:
    x = torch.tensor([0.3, 0.2], requires_grad=True)
    with GuidedRectifiers() as block:
        y = other(x) * torch.tensor([1.0, -1.0])
    assert block.met == 0
    assert torch.autograd.grad(y.sum(), x)[0][1] < 0


def test_what_comes_back_from_several_branches_is_summed_before_the_clip() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    with GuidedRectifiers():
        y = x.relu()
        total = 5 * y - 2 * y
    assert torch.autograd.grad(total, x)[0].tolist() == [3.0]


def test_where_no_gradient_comes_back_none_goes_on() -> None:
    class Stop(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, *gradients: Tensor) -> None:
            return None

    x = torch.tensor([1.0], requires_grad=True)
    with GuidedRectifiers():
        y = Stop.apply(x.relu()).sum() + 2 * x.sum()
    assert torch.autograd.grad(y, x)[0].tolist() == [2.0]


def test_values_are_the_same_bits_in_the_block() -> None:
    x = torch.randn(50)
    for rectify in (*RELUS.values(), *OTHERS.values()):
        expected = rectify(x.clone())
        with GuidedRectifiers():
            assert torch.equal(rectify(x.clone()), expected)


def test_nothing_is_clipped_after_the_block() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    with GuidedRectifiers() as block:
        pass
    assert torch.autograd.grad(-x.relu(), x)[0].tolist() == [-1.0]
    assert block.met == 0
