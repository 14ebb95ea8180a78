"""Grad-CAM++ for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tailscope.attribution.activations import LayerMaps, weighted_sum
from tailscope.attribution.cam import ClassActivationMap
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("gradcam_pp")
@dataclass(frozen=True)
class GradCamPlusPlus(ClassActivationMap):
    """``ReLU(Σ_k w_k · A_k)``, w_k a weighted sum of positive gradients; larger supports the class's logit more.

    ``w_k = Σ_ij α_ij · ReLU(g_ij)`` with g = ∂x_c/∂A_k and, for the score exp(x_c) of the paper,
    ``α_ij = g_ij² / (2 g_ij² + Σ_ab A_ab · g_ij³)``. So a small object counts as much as a large one. Three things are
    said here that the paper leaves open:

    - its weights carry the factor exp(x_c), which overflows and scales a map as a whole: it is left out;
    - only places of positive g count, and there α is computed as ``1 / (2 + Σ_ab A_ab · g_ij)``, the same number
      without the underflow of g³; where g = 0, α is 0/0 and its product with the gradient 0;
    - the derivation wants rectified activations. Where a channel adds up to a negative number (tokens, or a layer
      without ReLU), the denominator could vanish: the sum is then taken as 0.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.

    Source: Chattopadhyay et al., Grad-CAM++, WACV 2018, section 3, on logits. captum has none.

    Example:
        The sum of A is 4 and every gradient 1/2: α = 1 / (2 + 4/2) = 1/4, so that w = 2 · 1/4 · 1/2.

        >>> import torch
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, 1.0)
        >>> GradCamPlusPlus(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).tolist()
        [[[[0.25, 0.75]]]]
    """

    def maps(self, seen: LayerMaps, classes: Sequence[int]) -> Tensor:
        """See :class:`~tailscope.attribution.cam.ClassActivationMap`."""
        return weighted_sum([_weights(seen.gradient(index), seen.activations) for index in classes], seen.activations)


def _weights(gradient: Tensor, activations: Tensor) -> Tensor:
    """The weights (B, C) of one class."""
    total = activations.sum(dim=(2, 3), keepdim=True).relu()
    rising = gradient.relu()
    return (rising / (2 + total * rising)).sum(dim=(2, 3))
