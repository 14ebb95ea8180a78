"""A module is left as it was found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tailscope.models import frozen_eval


def mixed() -> nn.Sequential:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    module.train()
    module[1].eval()
    module[2].bias.requires_grad_(False)
    return module


def flags(module: nn.Module) -> list[bool]:
    modes = [part.training for part in module.modules()]
    return modes + [parameter.requires_grad for parameter in module.parameters()]


def test_inside_nothing_trains() -> None:
    module = mixed()
    with frozen_eval(module):
        assert not any(flags(module))
        assert not module(torch.zeros(1, 2)).requires_grad


def test_mixed_flags_are_as_before_after_success_and_after_an_error() -> None:
    module = mixed()
    before = flags(module)
    with frozen_eval(module):
        pass
    assert flags(module) == before
    with pytest.raises(RuntimeError, match="shapes"), frozen_eval(module):
        module(torch.zeros(1, 3))
    assert flags(module) == before


def test_gradients_are_kept() -> None:
    module = mixed()
    module[0].weight.grad = torch.ones(2, 2)
    with frozen_eval(module):
        pass
    assert torch.equal(module[0].weight.grad, torch.ones(2, 2))
