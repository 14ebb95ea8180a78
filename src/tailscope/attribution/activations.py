"""The maps of one layer and how the logits follow from them: what the whole CAM family reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_gradients, require_images, require_logits
from tailscope.core import InputError
from tailscope.models import Layer, find_layer, form_of, tap

At = Literal["output", "input"]


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """One forward pass, read at one layer.

    Args:
        layer: Name, grid and form of what was read.
        activations: (B, C, h, w), detached; after the ReLU that follows the layer, where there is one.
        output: What was read as the network handed it on, a leaf of autograd's record.
        logits: (B, K), attached to ``output``.
    """

    layer: Layer
    activations: Tensor
    output: Tensor
    logits: Tensor

    def gradient(self, index: int) -> Tensor:
        """∂x_index/∂A of every image, (B, C, h, w): images are independent in eval mode, so one pass serves all.

        Raises:
            InputError: The logit does not depend on the layer.
        """
        (gradient,) = torch.autograd.grad(
            self.logits[:, index].sum(), self.output, retain_graph=True, allow_unused=True
        )
        if gradient is None:
            raise InputError(f"no logit depends on what layer {self.layer.name!r} gave last; choose another layer")
        return self.layer.maps(gradient)


@contextmanager
def layer_maps(
    model: nn.Module, images: Tensor, classes: Sequence[int], layer: str, at: At = "output", *, gradients: bool = True
) -> Iterator[LayerMaps]:
    """Run the network once on a batch and read one layer; autograd's record begins there.

    So a backward pass never enters the layers before it. For tokens, ``activations`` are those of the patches alone.

    Args:
        model: The network; it is left as it was.
        images: (B, C, H, W).
        classes: The question, for the checks.
        layer: Dotted name, or ``"auto"``, found anew by a pass of the first image alone.
        at: The layer's output, or its input.
        gradients: False records nothing, for methods that need the activations and the logits alone.

    Raises:
        UnknownNameError: The model has no such layer.
        InputError: Images, classes or logits are wrong, the layer gives no map, or, with gradients, no logit depends
            on it.
    """
    require_images(images)
    images = images.detach()
    found = find_layer(model, images[:1]) if layer == "auto" else None
    name = found.name if found else layer
    with asking(model, gradients=gradients):
        with tap(model, [name], at=at, cut=gradients) as taps:
            logits = model(images)
            output = taps[name]
        require_logits(logits, classes)
        if gradients:
            require_gradients(logits, f"layer {name!r}")
        if found is None or at == "input":
            found = _read(model, images, name, output)
        yield LayerMaps(found, found.maps(output.detach()), output, logits)


def _read(model: nn.Module, images: Tensor, name: str, output: Tensor) -> Layer:
    """The form of what was read; only what is no map of each image by itself needs a pass of the first image."""
    image = (int(images.shape[2]), int(images.shape[3]))
    if output.ndim == 4 and len(output) == len(images):
        return form_of(name, tuple(output.shape), image, None)
    return form_of(name, tuple(output.shape), image, find_layer(model, images[:1], name, coarse=0).grid)


def weighted_sum(weights: Sequence[Tensor], activations: Tensor) -> Tensor:
    """One weight (B, C) per class, and activations (B, C, h, w), to maps (B, K, h, w) float32."""
    empty = activations.new_zeros(len(activations), 0, activations.shape[1])
    whole = torch.stack(tuple(weights), dim=1) if weights else empty
    return torch.einsum("bkc,bchw->bkhw", whole, activations).to(torch.float32)


def image_by_image(
    model: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    layer: str,
    weigh: Callable[[Tensor, LayerMaps], Tensor],
) -> Tensor:
    """``Σ_k w_k · A_k``, (B, K, h, w) float32, for weights that take many passes of each image and no gradient.

    Every pass holds one image, so that its map is the same bits in any batch: differences of logits that lie close
    together would show what the size of a batch does to rounding. The sum is taken in float64 for the same reason.

    Args:
        model: The network; it is left as it was.
        images: (B, C, H, W).
        classes: The question.
        layer: Dotted name, or ``"auto"``.
        weigh: One image (1, C, H, W) and its maps to weights (C, K); not called for no class.

    Raises:
        UnknownNameError: The model has no such layer.
        InputError: Images, classes or logits are wrong, or the layer gives no map.
    """
    require_images(images)
    maps = []
    for image in torch.split(images.detach(), 1):
        with layer_maps(model, image, classes, layer, gradients=False) as seen:
            pass
        layer = seen.layer.name
        weights = weigh(image, seen) if len(classes) else image.new_zeros(seen.activations.shape[1], 0)
        maps.append(torch.einsum("ck,bchw->bkhw", weights.to(torch.float64), seen.activations.to(torch.float64)))
    return torch.cat(maps).to(torch.float32)


def stacked(maps: Sequence[Tensor], like: Tensor) -> Tensor:
    """One (B, h, w) per class to (B, K, h, w) float32; with no class, (B, 0, h, w) on the grid of ``like``."""
    if not maps:
        return like.new_zeros(len(like), 0, *like.shape[-2:], dtype=torch.float32)
    return torch.stack([one.to(torch.float32) for one in maps], dim=1)
