"""Find the layer to look at: by name, or the last map before the network pools it away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tailscope.core import InputError
from tailscope.models.state import frozen_eval
from tailscope.models.tapping import require_layer

_POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d)
_COARSE = 8


class CoarseGridWarning(UserWarning):
    """The map of a layer has so few cells that it hardly says where."""


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a stack of maps.

    Args:
        name: Dotted name in ``module.named_modules()``.
        channels: Units, C.
        grid: (h, w) of each map for the example's size.
    """

    name: str
    channels: int
    grid: tuple[int, int]


@dataclass(frozen=True)
class _Output:
    name: str
    tensor: Tensor
    is_map: bool


def find_layer(
    module: nn.Module, example: Tensor | tuple[int, ...], layer: str = "auto", *, coarse: int = _COARSE
) -> Layer:
    """The layer called ``layer``, or the network's last spatial map.

    ``auto`` is the outermost layer that gives the last output (B, C, h, w) with more than one cell, pooling and
    identity layers left out. One forward pass in eval mode finds it; the module and torch's random state are left as
    they were.

    Args:
        module: The network.
        example: Images (B, C, H, W), of which the first is used, or the shape (C, H, W) of one, for which zeros serve.
        layer: A dotted name, or ``"auto"``.
        coarse: Warn of a grid with fewer rows or columns than this; 0 never warns.

    Raises:
        UnknownNameError: The network has no layer of this name.
        InputError: The layer gives no map (tokens, a vector, channels last), does not run, or ``auto`` finds none.

    Warns:
        CoarseGridWarning: Fewer than ``coarse`` rows or columns.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> find_layer(network, (1, 32, 16))
        Layer(name='0', channels=5, grid=(16, 8))
    """
    layers = dict(module.named_modules())
    if layer != "auto":
        require_layer(layers, layer)
    outputs = _run(module, layers, _as_batch(module, example))
    output = _last_map(outputs) if layer == "auto" else _named(outputs, layer)
    _refuse_channels_last(module, output)
    _, channels, *grid = output.tensor.shape
    found = Layer(output.name, channels, (grid[0], grid[1]))
    if min(found.grid) < coarse:
        message = (
            f"the grid of layer {found.name!r} is {found.grid[0]} × {found.grid[1]}, coarser than {coarse} × {coarse}: "
            "use larger images, an earlier layer or a smaller output stride (e.g. model.args.output_stride: 8)"
        )
        warnings.warn(message, CoarseGridWarning, stacklevel=2)
    return found


def _as_batch(module: nn.Module, example: Tensor | tuple[int, ...]) -> Tensor:
    if isinstance(example, Tensor):
        images = example[:1]
    else:
        weight = next(iter(module.parameters()), torch.empty(0))
        images = torch.zeros(example if len(example) == 4 else (1, *example), dtype=weight.dtype, device=weight.device)
    if images.ndim != 4:
        raise InputError(f"the example must be images (B, C, H, W) or the shape (C, H, W); got {tuple(images.shape)}")
    return images


def _run(module: nn.Module, layers: dict[str, nn.Module], images: Tensor) -> list[_Output]:
    """Every tensor that a layer gave, in order of completion."""
    outputs: list[_Output] = []

    def record(name: str, part: nn.Module, given: tuple[object, ...], output: object) -> None:
        if isinstance(output, Tensor):
            passed_on = any(output is value for value in given) or isinstance(part, _POOLING)
            spatial = output.ndim == 4 and output.shape[2] * output.shape[3] > 1
            outputs.append(_Output(name, output, spatial and not passed_on))

    with ExitStack() as stack:
        for name, part in layers.items():
            hook = part.register_forward_hook(lambda part, given, output, name=name: record(name, part, given, output))
            stack.callback(hook.remove)
        stack.enter_context(_same_random_state(images.device))
        stack.enter_context(frozen_eval(module))
        stack.enter_context(torch.no_grad())
        module(images)
    return outputs


@contextmanager
def _same_random_state(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _last_map(outputs: list[_Output]) -> _Output:
    last = max((place for place, output in enumerate(outputs) if output.is_map and output.name), default=None)
    if last is None:
        raise InputError("the network gives no map (B, C, h, w) of more than one cell; use larger images")
    tokens = [output.name for output in outputs[last + 1 :] if output.tensor.ndim == 3 and output.tensor.shape[1] > 1]
    if tokens:
        raise InputError(
            f"the network goes on with tokens after its last map ({tokens[-1]!r} gives (B, tokens, C)), which is not "
            "supported; name a layer that gives maps (B, C, h, w), or choose a convolutional network"
        )
    return outputs[last]


def _named(outputs: list[_Output], name: str) -> _Output:
    mine = [output for output in outputs if output.name == name]
    if not mine:
        raise InputError(f"layer {name!r} gives no tensor in a forward pass; choose a layer that runs and gives one")
    if mine[-1].tensor.ndim != 4:
        raise InputError(
            f"layer {name!r} must give maps (B, C, h, w); got the shape {tuple(mine[-1].tensor.shape)}: "
            "choose a layer before pooling or flattening (tokens are not supported)"
        )
    return mine[-1]


def _refuse_channels_last(module: nn.Module, output: _Output) -> None:
    """Timm states the width of the last map; found on the last axis only, the maps are (B, h, w, C)."""
    width = getattr(module, "num_features", None)
    if width == output.tensor.shape[-1] != output.tensor.shape[1]:
        raise InputError(
            f"layer {output.name!r} must give maps (B, C, h, w); got {tuple(output.tensor.shape)} with the channels "
            "last, which is not supported: choose another network"
        )
