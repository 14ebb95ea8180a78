"""Leave a module as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen_eval(module: nn.Module) -> Iterator[nn.Module]:
    """Eval mode and no parameter gradients inside the block; every flag as before after it, also after an error.

    With no parameter asking for gradients, autograd records nothing but what starts at an input that asks for them.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> with frozen_eval(layer):
        ...     layer.training, layer.weight.requires_grad
        (False, False)
        >>> layer.training, layer.weight.requires_grad
        (True, True)
    """
    modes = [(part, part.training) for part in module.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.eval()
        module.requires_grad_(False)
        yield module
    finally:
        for part, training in modes:
            part.training = training
        for parameter, requires_grad in flags:
            parameter.requires_grad_(requires_grad)
