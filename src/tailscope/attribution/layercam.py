"""LayerCAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tailscope.attribution.activations import LayerMaps, stacked
from tailscope.attribution.cam import ClassActivationMap
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("layercam")
@dataclass(frozen=True)
class LayerCam(ClassActivationMap):
    """``ReLU(Σ_k ReLU(∂x_c/∂A_k) ⊙ A_k)``: positive gradients weigh each place; larger supports the logit more.

    Made for early, fine layers as well as the last. Where activations are rectified the outer ReLU changes nothing.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0; the ReLU of the gradients is the method and always there.

    Source: Jiang et al., LayerCAM, IEEE Transactions on Image Processing 30, 2021, section III, on logits.

    Example:
        The gradient of the second place is negative and counts as 0.

        >>> import torch
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = nn.init.constant_(network[0].weight, 1.0), network[2].weight.data.copy_(torch.tensor([[2.0, -1.0]]))
        >>> LayerCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).tolist()
        [[[[2.0, 0.0]]]]
    """

    def maps(self, seen: LayerMaps, classes: Sequence[int]) -> Tensor:
        """See :class:`~tailscope.attribution.cam.ClassActivationMap`."""
        each = [(seen.gradient(index).relu() * seen.activations).sum(dim=1) for index in classes]
        return stacked(each, seen.activations)
