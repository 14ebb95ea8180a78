"""Grad-CAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tailscope.attribution.activations import At, LayerMaps, weighted_sum
from tailscope.attribution.cam import ClassActivationMap
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("gradcam")
@dataclass(frozen=True)
class GradCam(ClassActivationMap):
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
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, 2.0)
        >>> import torch
        >>> GradCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).tolist()
        [[[[1.0, 3.0]]]]
    """

    attribute_to_layer_input: bool = False

    def maps(self, seen: LayerMaps, classes: Sequence[int]) -> Tensor:
        """See :class:`~tailscope.attribution.cam.ClassActivationMap`."""
        return weighted_sum([seen.gradient(index).mean(dim=(2, 3)) for index in classes], seen.activations)

    @property
    def at(self) -> At:
        """The layer's input, where that was asked for."""
        return "input" if self.attribute_to_layer_input else "output"
