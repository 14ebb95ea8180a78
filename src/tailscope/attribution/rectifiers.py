"""Clip the gradient at every rectifier of a forward pass, without touching the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RECTIFIERS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, functional.relu6),
        *(functional.leaky_relu, functional.leaky_relu_, functional.prelu, torch.prelu, Tensor.prelu),
        *(functional.elu, functional.elu_, functional.celu, functional.selu),
        *(functional.gelu, functional.silu, functional.mish, functional.hardswish, functional.softplus),
    }
)
_BOUNDED: frozenset[Callable[..., Any]] = frozenset(
    {
        *(functional.hardtanh, functional.hardtanh_, torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_),
        *(torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_),
    }
)


class GuidedRectifiers(TorchFunctionMode):
    """A block in which what a rectifier gives lets no negative gradient through, in any later backward pass.

    Seen are torch's functions, so it makes no difference whether the network calls a module, a function or a tensor's
    method, or works in place: ReLU, ReLU6, leaky, parametric and exponential ReLU, GELU, SiLU, Mish, Hardswish,
    softplus, and a clamp or hard tanh from 0. The hook stands in autograd's record, not on the network, and goes with
    it. Not seen are a maximum with 0, activations spelled by other operations, a ReLU in place on a part of a tensor,
    and scripted or compiled code.

    Attributes:
        met: Rectifiers on the recorded path so far.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> with GuidedRectifiers() as guided:
        ...     y = x.relu() * torch.tensor([3.0, -3.0])
        >>> torch.autograd.grad(y.sum(), x)[0].tolist(), guided.met
        ([3.0, 0.0], 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function as it is, and mark its result if it is a rectifier's."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if _rectifies(func, args, kwargs) and isinstance(result, Tensor) and result.grad_fn is not None:
            result.grad_fn.register_prehook(_positive)
            self.met += 1
        return result


def _rectifies(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if func in _RECTIFIERS:
        return True
    if func not in _BOUNDED:
        return False
    lowest = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    return isinstance(lowest, int | float) and lowest == 0


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(one if one is None else one.clamp(min=0) for one in gradients)
