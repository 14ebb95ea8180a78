"""Read the activations of named layers while the network runs, without touching what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tailscope.core import InputError
from tailscope.models.naming import require_known

Activation = Literal["as is", "pre→post"]
_RELUS = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


@dataclass
class _Capture:
    """One activation: ``value`` as the layer gave it, ``onward`` the tensor with which the network goes on."""

    value: Tensor
    onward: Tensor
    activated: Tensor | None = None
    used_otherwise: bool = False

    @property
    def rectified(self) -> bool:
        return self.activated is not None and not self.used_otherwise

    @property
    def tensor(self) -> Tensor:
        return self.activated if self.activated is not None and self.rectified else self.value


class _ReluWatch(TorchFunctionMode):
    """Sees every torch call, and whether ReLU is all that happens to a captured activation."""

    def __init__(self) -> None:
        super().__init__()
        self.captures: dict[str, _Capture] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not _gives_tensor(result):  # asking for a shape is not using the values
            return result
        touched = [entry for entry in self.captures.values() if _mentions(entry.onward, (*args, *kwargs.values()))]
        for entry in touched:
            result = self._use(entry, func, result)
        return result

    def _use(self, entry: _Capture, func: Callable[..., Any], result: Any) -> Any:
        if func not in _RELUS:
            rectified_in_place = entry.activated is not None and entry.activated is entry.onward
            entry.used_otherwise = entry.used_otherwise or not rectified_in_place
            return result
        if entry.used_otherwise or entry.activated is not None:
            return result
        # The captured tensor stays on the path to the logits and a copy goes on: a later in-place call cannot alter
        # it, and gradients can be taken with respect to it. After `x.relu_()` both names lead through it.
        entry.activated = result
        return result.clone()


def _gives_tensor(result: object) -> bool:
    return isinstance(result, Tensor) or (isinstance(result, tuple | list) and any(map(_gives_tensor, result)))


def _mentions(tensor: Tensor, values: Sequence[Any]) -> bool:
    return any(value is tensor or (isinstance(value, tuple | list) and _mentions(tensor, value)) for value in values)


class Taps(Mapping[str, Tensor]):
    """Layer name to its latest activation (B, C, h, w); holds nothing before the first pass and after the block."""

    def __init__(self, names: tuple[str, ...], captures: Mapping[str, _Capture]) -> None:
        self._names = names
        self._captures = captures

    def __getitem__(self, name: str) -> Tensor:
        return self._capture(name).tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def activation(self, name: str) -> Activation:
        """``"pre→post"`` where the reader gets the values after the ReLU that follows the layer, else ``"as is"``."""
        return "pre→post" if self._capture(name).rectified else "as is"

    def _capture(self, name: str) -> _Capture:
        require_known("tapped layer", name, self._names, f"tapped are: {', '.join(self._names)}")
        if name not in self._captures:
            raise InputError(f"layer {name!r} has no activation; run the network inside the block, and read it there")
        return self._captures[name]


@contextmanager
def tap(
    module: nn.Module,
    names: Sequence[str],
    *,
    at: Literal["output", "input"] = "output",
    cut: bool = False,
    unify: bool = True,
) -> Iterator[Taps]:
    """Read the activations of layers in every forward pass of the block.

    The logits stay bit-identical. Mode, gradient flags and random state are not touched, and the hooks go when the
    block ends, also after an error. Activations are unified to post-activation: where ReLU is all that the network
    does to a layer's output (torchvision's DenseNet, a batch norm before its ReLU), the reader gets the rectified
    values, and gradients with respect to them are those *behind* the ReLU. What is read is a copy that no later
    in-place call of the network can alter, and it lies on the path to the logits when autograd records.
    A layer that runs several times in one pass gives its last activation.

    Args:
        module: The network; run it in the block yourself.
        names: Dotted names of ``module.named_modules()``.
        at: ``"output"`` of the layer, or its (first) ``"input"``, which is read as it is, never unified.
        cut: Let autograd's record begin at the tap: what is read is detached from the layers before it and asks for
            gradients, so that a backward pass ends there.
        unify: False reads every output exactly as the layer gives it.

    Yields:
        Name to activation.

    Raises:
        UnknownNameError: The module has no layer of this name.
        InputError: A layer's output (or input) is not one tensor.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True))
        >>> _ = nn.init.constant_(network[0].weight, -1.0), nn.init.zeros_(network[0].bias)
        >>> with tap(network, ["0"]) as taps:
        ...     _ = network(torch.ones(1, 1, 1, 2))
        ...     taps["0"].tolist(), taps.activation("0")
        ([[[[0.0, 0.0]]]], 'pre→post')
    """
    layers = dict(module.named_modules())
    for name in names:
        require_layer(layers, name)
    watch = _ReluWatch()
    with ExitStack() as stack:
        stack.callback(watch.captures.clear)
        for name in names:
            stack.callback(_attach(layers[name], name, watch, at=at, cut=cut).remove)
        if unify and at == "output":
            stack.enter_context(watch)
        yield Taps(tuple(names), watch.captures)


def require_layer(layers: Mapping[str, nn.Module], name: str) -> None:
    """Pass if the network has the layer.

    Raises:
        UnknownNameError: It has not; near names and the outermost layers are listed.
    """
    outer = ", ".join(layer for layer in layers if layer and "." not in layer)
    require_known("layer", name, (layer for layer in layers if layer), f"the outermost layers are: {outer}")


def _attach(
    layer: nn.Module, name: str, watch: _ReluWatch, *, at: Literal["output", "input"], cut: bool
) -> torch.utils.hooks.RemovableHandle:
    if at == "output":
        return layer.register_forward_hook(lambda _, __, output: _capture(watch, name, output, cut))
    return layer.register_forward_pre_hook(
        lambda _, given: (_capture(watch, name, given[0] if given else None, cut), *given[1:])
    )


def _capture(watch: _ReluWatch, name: str, tensor: object, cut: bool) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise InputError(f"layer {name!r} must give one tensor; got {type(tensor).__name__}: tap a layer inside it")
    # A container hands on the very tensor of its last layer: both names then share one capture.
    shared = next((entry for entry in watch.captures.values() if entry.onward is tensor), None)
    if shared is not None:
        watch.captures[name] = shared
        return tensor
    value = tensor.detach().clone().requires_grad_() if cut else tensor.clone()
    watch.captures[name] = _Capture(value, value.clone())
    return watch.captures[name].onward
