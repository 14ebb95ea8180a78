"""Grad-CAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tailscope.attribution.activations import At, layer_maps, weighted_sum
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("gradcam")
@dataclass(frozen=True)
class GradCam:
    """``ReLU(Σ_k mean_uv(∂x_c/∂A_k) · A_k)`` on the grid of one layer; larger supports the class's logit more.

    A is the layer's activation, read after the ReLU that follows it where there is one. The forward pass runs once;
    autograd's record begins at the layer, so that the backward pass of a class never enters the layers before it, and
    since the images of a batch are independent in eval mode, one backward pass serves all of them. Where the head is a
    global mean and a linear layer W, the map is exactly ``ReLU(Σ_k W_ck A_k) / (h·w)``. Of a vision transformer, A is
    the patch tokens on their grid; prefix tokens are left out.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.
        attribute_to_layer_input: Take A as the layer's input instead, as it comes.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017, eq. 1 and 2, on logits. Written by hand, because captum takes one
    class a call.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, 2.0)
        >>> import torch
        >>> GradCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).tolist()
        [[[[1.0, 3.0]]]]
    """

    layer: str = "auto"
    relu: bool = True
    attribute_to_layer_input: bool = False

    shares_passes: ClassVar[bool] = True

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map, or no logit depends on it.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """
        at: At = "input" if self.attribute_to_layer_input else "output"
        with layer_maps(model, images, classes, self.layer, at) as seen:
            weights = [seen.gradient(index).mean(dim=(2, 3)) for index in classes]
            maps = weighted_sum(weights, seen.activations)
        return maps.relu() if self.relu else maps
