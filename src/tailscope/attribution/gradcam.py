"""Grad-CAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.core import InputError
from tailscope.models import find_layer, frozen_eval, tap


@ATTRIBUTIONS.register("gradcam")
@dataclass(frozen=True)
class GradCam:
    """``ReLU(Σ_k mean_uv(∂x_c/∂A_k) · A_k)`` on the grid of one layer; larger supports the class's logit more.

    A is the layer's activation, read after the ReLU that follows it where there is one. The forward pass runs once;
    autograd's record begins at the layer, so that the backward pass of a class never enters the layers before it, and
    since the images of a batch are independent in eval mode, one backward pass serves all of them. Where the head is a
    global mean and a linear layer W, the map is exactly ``ReLU(Σ_k W_ck A_k) / (h·w)``.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.
        attribute_to_layer_input: Take A as the layer's input instead, as it comes.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, eq. 1 and 2, on logits.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, 2.0)
        >>> GradCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).tolist()
        [[[[1.0, 3.0]]]]
    """

    layer: str = "auto"
    relu: bool = True
    attribute_to_layer_input: bool = False

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map, or no logit depends on it.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """
        if images.ndim != 4 or not len(images):
            raise InputError(f"images must be (B, C, H, W), B at least 1; got {tuple(images.shape)}")
        name = find_layer(model, images[:1]).name if self.layer == "auto" else self.layer
        at: Literal["output", "input"] = "input" if self.attribute_to_layer_input else "output"
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(frozen_eval(model))
            taps = stack.enter_context(tap(model, [name], at=at, cut=True))
            logits = model(images.detach())
            activations = taps[name]
            weights = _weights(logits, activations, classes, name)
            maps = _weighted_sum(weights, activations.detach())
        return maps.relu() if self.relu else maps


def _weights(logits: Tensor, activations: Tensor, classes: Sequence[int], name: str) -> Tensor:
    """(B, len(classes), C): the mean gradient of each class's logit over each unit's map."""
    if activations.ndim != 4:
        raise InputError(f"layer {name!r} must give maps (B, C, h, w); got the shape {tuple(activations.shape)}")
    if logits.ndim != 2:
        raise InputError(f"the model must give logits (B, K); got the shape {tuple(logits.shape)}")
    if stray := [index for index in classes if not 0 <= index < logits.shape[1]]:
        raise InputError(f"`classes` must lie in 0 … {logits.shape[1] - 1}; got {stray}")
    if not logits.requires_grad:
        raise InputError(f"no logit depends on layer {name!r}; choose a layer on the way to the logits")
    weights = [_mean_gradient(logits[:, index].sum(), activations, name) for index in classes]
    return torch.stack(weights, dim=1) if weights else activations.new_zeros(len(activations), 0, activations.shape[1])


def _mean_gradient(logit: Tensor, activations: Tensor, name: str) -> Tensor:
    (gradient,) = torch.autograd.grad(logit, activations, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise InputError(f"no logit depends on what layer {name!r} gave last; choose another layer")
    return gradient.mean(dim=(2, 3))


def _weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """(B, K, C) and (B, C, h, w) to (B, K, h, w) float32."""
    return torch.einsum("bkc,bchw->bkhw", weights, activations).to(torch.float32)
