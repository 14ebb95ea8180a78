"""The gradient of a logit with respect to the pixels, and its product with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tailscope.attribution.activations import stacked
from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.channels import Channels, over_channels, require_channels
from tailscope.attribution.input_gradients import class_gradients
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("input_gradient")
@dataclass(frozen=True)
class InputGradient:
    """``|∂x_c/∂I|`` on the input's grid: how fast the logit changes with a pixel; larger is more sensitive.

    It says where a small change would matter, not what speaks for the class. One forward pass serves all classes of
    a batch, then each class takes one backward pass through the whole network.

    Args:
        channels: How the input's channels become one value; ``"sum"`` keeps the sign of the gradient.

    Raises:
        InputError: ``channels`` is unknown.

    Source: Simonyan, Vedaldi, Zisserman, Deep inside convolutional networks, 2014, section 3.1. Written by hand,
    because captum's ``Saliency`` runs one forward pass per class.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[2.0, -3.0]]))
        >>> InputGradient()(network, torch.tensor([[[[5.0, 1.0]]]]), [0]).tolist()
        [[[[2.0, 3.0]]]]
    """

    channels: Channels = "largest"

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_channels(self.channels)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, or the logits do not depend on the images.
        """
        require_images(images)
        with asking(model, gradients=True):
            gradients = class_gradients(model, images, classes)
            return stacked([over_channels(one, self.channels) for one in gradients], images)


@ATTRIBUTIONS.register("gradient_x_input")
@dataclass(frozen=True)
class GradientXInput:
    """``Σ_channels I · ∂x_c/∂I`` on the input's grid: the pixel's share of the logit to first order, signed.

    Of a network that is linear from pixel to logit, without bias, the map sums to the logit. The zero of the
    preprocessed image counts as no evidence, so a mid-grey pixel always gets 0. The passes are those of
    :class:`InputGradient`.

    Args:
        channels: How the input's channels become one value.

    Raises:
        InputError: ``channels`` is unknown.

    Source: Shrikumar, Greenside, Shcherbina, Kundaje, Not just a black box, 2016, section 2. Written by hand,
    because captum's ``InputXGradient`` runs one forward pass per class.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[2.0, -3.0]]))
        >>> GradientXInput()(network, torch.tensor([[[[5.0, 1.0]]]]), [0]).tolist()
        [[[[10.0, -3.0]]]]
    """

    channels: Channels = "sum"

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_channels(self.channels)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, or the logits do not depend on the images.
        """
        require_images(images)
        with asking(model, gradients=True):
            gradients = class_gradients(model, images, classes)
            return stacked([over_channels(one * images.detach(), self.channels) for one in gradients], images)
