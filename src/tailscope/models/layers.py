"""Find the layer to look at: by name, or the last one whose maps still reach the logits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tailscope.core import InputError
from tailscope.models.forms import Grid, Layer, form_of, is_shrunk
from tailscope.models.state import frozen_eval
from tailscope.models.tapping import require_layer, tap

_POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d)
_COARSE = 8


class CoarseGridWarning(UserWarning):
    """The map of a layer has so few cells that it hardly says where."""


@dataclass(frozen=True)
class _Output:
    name: str
    tensor: Tensor
    is_map: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)


def find_layer(
    module: nn.Module, example: Tensor | tuple[int, ...], layer: str = "auto", *, coarse: int = _COARSE
) -> Layer:
    """The layer called ``layer``, or the last one whose maps reach the logits.

    ``auto`` is the outermost layer that gives the last map of more than one cell, channels first or last, pooling and
    identity layers left out. Where the network goes on with tokens (a vision transformer), it is the last layer of the
    full width whose patch tokens the logits depend on: the last block of a network with a class token hands on its
    patch tokens to nobody, so that for those it is the norm before the last attention. Grid and number of prefix
    tokens are derived from the patch embedding's map. One forward pass in eval mode finds the layer (two, and a
    backward pass, for tokens); the module and torch's random state are left as they were.

    Args:
        module: The network.
        example: Images (B, C, H, W), of which the first is used, or the shape (C, H, W) of one, for which zeros serve.
        layer: A dotted name, or ``"auto"``.
        coarse: Warn of a grid with fewer rows or columns than this; 0 never warns.

    Raises:
        UnknownNameError: The network has no layer of this name.
        InputError: The layer gives neither maps nor tokens of the patches, does not run, or ``auto`` finds none.

    Warns:
        CoarseGridWarning: Fewer than ``coarse`` rows or columns.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> find_layer(network, (1, 32, 16))
        Layer(name='0', channels=5, grid=(16, 8), form='maps', prefix=0)
    """
    layers = dict(module.named_modules())
    if layer != "auto":
        require_layer(layers, layer)
    images = _as_batch(module, example)
    image = (int(images.shape[2]), int(images.shape[3]))
    outputs = _run(module, layers, images)
    found = _last(module, outputs, images) if layer == "auto" else _named(outputs, layer, image)
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
    of_tokens: list[str] = []
    image = (int(images.shape[2]), int(images.shape[3]))

    def record(name: str, part: nn.Module, given: tuple[object, ...], output: object) -> None:
        if not isinstance(output, Tensor):
            return
        passed_on = any(output is value for value in given) or isinstance(part, _POOLING)
        outputs.append(_Output(name, output, not passed_on and _is_spatial(name, tuple(output.shape), image)))
        if output.ndim == 3 and any(isinstance(value, Tensor) and value.ndim == 3 for value in given):
            of_tokens.append(f"{name}.")

    with ExitStack() as stack:
        for name, part in layers.items():
            hook = part.register_forward_hook(lambda part, given, output, name=name: record(name, part, given, output))
            stack.callback(hook.remove)
        stack.enter_context(_same_random_state(images.device))
        stack.enter_context(frozen_eval(module))
        stack.enter_context(torch.no_grad())
        module(images)
    # What has four dimensions between tokens and tokens is attention, (B, heads, N, N), and no map of the image.
    inside = tuple(of_tokens)
    return [replace(output, is_map=output.is_map and not output.name.startswith(inside)) for output in outputs]


def _is_spatial(name: str, shape: tuple[int, ...], image: Grid) -> bool:
    if len(shape) != 4 or shape[0] != 1:
        return False
    rows, columns = form_of(name, shape, image, None).grid
    return rows * columns > 1


def _is_tokens(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] == 1 and shape[1] > 1


@contextmanager
def _same_random_state(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _last(module: nn.Module, outputs: list[_Output], images: Tensor) -> Layer:
    image = (int(images.shape[2]), int(images.shape[3]))
    maps = [place for place, output in enumerate(outputs) if output.is_map and output.name]
    # The heads of an attention layer give (B, heads, N, d), which is a map of no image.
    fitting = [place for place in maps if is_shrunk(image, form_of("", outputs[place].shape, image, None).grid)]
    last = max(fitting or maps, default=None)
    if last is None:
        raise InputError("the network gives no map (B, C, h, w) of more than one cell; use larger images")
    grid = form_of("", outputs[last].shape, image, None).grid
    tokens = [output for output in outputs[last + 1 :] if output.name and _is_tokens(output.shape)]
    if not tokens:
        return form_of(outputs[last].name, outputs[last].shape, image, None)
    # The outermost layers have the width of the network; inside attention there are wider and narrower tokens.
    depth = min(output.name.count(".") for output in tokens)
    width = [output.shape[2] for output in tokens if output.name.count(".") == depth][-1]
    wide = [output for output in tokens if output.shape[2] == width]
    full = [output for output in wide if output.shape[1] >= grid[0] * grid[1]] or tokens[-1:]
    forms = {output.name: form_of(output.name, output.shape, image, grid) for output in full}
    return forms[_last_in_use(module, list(forms), images, grid)]


def _last_in_use(module: nn.Module, names: list[str], images: Tensor, grid: Grid) -> str:
    """The last of some token layers on whose patch tokens the logits depend.

    The test looks at the input of the head, the last linear layer without tokens, because a head may start at zero,
    and weighs its values unequally, because those of a layer norm always add up to the same.
    """
    given: list[Tensor] = []
    heads = [part for part in module.modules() if isinstance(part, nn.Linear)]
    with ExitStack() as stack:
        for head in heads:
            hook = head.register_forward_pre_hook(lambda _, args: given.append(args[0]))
            stack.callback(hook.remove)
        stack.enter_context(_same_random_state(images.device))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(frozen_eval(module))
        taps = stack.enter_context(tap(module, names, unify=False))
        logits = module(images.detach().clone().requires_grad_())
        features = next((value for value in reversed(given) if value.ndim == 2), logits)
        tensors = [taps[name] for name in names]
        if not features.requires_grad:
            raise InputError("autograd cannot see which layer the logits depend on; name a layer")
        weights = torch.linspace(1.0, 2.0, features.numel(), dtype=features.dtype, device=features.device).cos()
        gradients = torch.autograd.grad((features.flatten() * weights).sum(), tensors, allow_unused=True)
    patches = grid[0] * grid[1]
    used = [
        name
        for name, gradient in zip(names, gradients, strict=True)
        if gradient is not None and bool(gradient[:, -patches:].abs().sum() > 0)
    ]
    if not used:
        raise InputError("the logits depend on no layer of patch tokens; name a layer")
    return used[-1]


def _named(outputs: list[_Output], name: str, image: Grid) -> Layer:
    mine = [place for place, output in enumerate(outputs) if output.name == name]
    if not mine:
        raise InputError(f"layer {name!r} gives no tensor in a forward pass; choose a layer that runs and gives one")
    if outputs[mine[-1]].shape[0] != 1:
        raise InputError(
            f"layer {name!r} must give one row for each image; got the shape {outputs[mine[-1]].shape} for one image: "
            "choose a layer outside windows of attention"
        )
    before = [output.shape for output in outputs[: mine[-1]] if output.is_map]
    grids = [grid for shape in before if is_shrunk(image, grid := form_of("", shape, image, None).grid)]
    return form_of(name, outputs[mine[-1]].shape, image, grids[-1] if grids else None)
