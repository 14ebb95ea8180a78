"""HiResCAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tailscope.attribution.activations import LayerMaps, stacked
from tailscope.attribution.cam import ClassActivationMap
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("hirescam")
@dataclass(frozen=True)
class HiResCam(ClassActivationMap):
    """``ReLU(Σ_k ∂x_c/∂A_k ⊙ A_k)``: the gradient at each place, not its mean; larger supports the logit more.

    A place can be marked only if the logit depends on it. Where all that follows the layer is linear, the map without
    ReLU and the bias of the head add up to the logit. Where that is a global mean and a linear layer, the map is
    Grad-CAM's.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0, as Grad-CAM does; the paper defines the map without it.

    Source: Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks, 2020 (arXiv 2011.08891).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = nn.init.constant_(network[0].weight, 1.0), network[2].weight.data.copy_(torch.tensor([[2.0, -1.0]]))
        >>> image = torch.tensor([[[[1.0, 3.0]]]])
        >>> HiResCam(layer="0", relu=False)(network, image, [0]).tolist(), network(image).item()
        ([[[[2.0, -3.0]]]], -1.0)
    """

    def maps(self, seen: LayerMaps, classes: Sequence[int]) -> Tensor:
        """See :class:`~tailscope.attribution.cam.ClassActivationMap`."""
        each = [(seen.gradient(index) * seen.activations).sum(dim=1) for index in classes]
        return stacked(each, seen.activations)
