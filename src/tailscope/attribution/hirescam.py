"""HiResCAM for every class of a batch, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tailscope.attribution.activations import layer_maps, stacked
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("hirescam")
@dataclass(frozen=True)
class HiResCam:
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
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = nn.init.constant_(network[0].weight, 1.0), network[2].weight.data.copy_(torch.tensor([[2.0, -1.0]]))
        >>> image = torch.tensor([[[[1.0, 3.0]]]])
        >>> HiResCam(layer="0", relu=False)(network, image, [0]).tolist(), network(image).item()
        ([[[[2.0, -3.0]]]], -1.0)
    """

    layer: str = "auto"
    relu: bool = True

    shares_passes: ClassVar[bool] = True

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map, or no logit depends on it.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """
        with layer_maps(model, images, classes, self.layer) as seen:
            each = [(seen.gradient(index) * seen.activations).sum(dim=1) for index in classes]
            maps = stacked(each, seen.activations)
        return maps.relu() if self.relu else maps
