"""The input gradient with negative gradients dropped at every rectifier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tailscope.attribution.activations import stacked
from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.channels import Channels, over_channels, require_channels
from tailscope.attribution.input_gradients import Forward, class_gradients
from tailscope.attribution.rectifiers import GuidedRectifiers
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.core import InputError


class InsensitiveMethodWarning(UserWarning):
    """A method whose maps hardly depend on what the network learned."""


@ATTRIBUTIONS.register("guided_backprop")
@dataclass(frozen=True)
class GuidedBackprop:
    """The input gradient, where each rectifier lets only positive gradients pass; larger is more excited.

    Its maps are sharp, but much like an edge detector's: they stay nearly the same when the upper layers are set to
    random weights, and differ little between classes. So it says little about what a network learned, and each call
    warns. It is here to be compared with, and as a case that a sanity check must catch.

    At a ReLU this is the published rule. Other rectifiers (GELU, SiLU, …) have none; there the negative part of what
    comes back is dropped, then the activation's own derivative is applied, which for ReLU is the same.

    Args:
        channels: How the input's channels become one value.

    Raises:
        InputError: ``channels`` is unknown.

    Source: Springenberg, Dosovitskiy, Brox, Riedmiller, Striving for simplicity, 2015, section 3.4; the warning:
    Adebayo et al., Sanity checks for saliency maps, 2018, section 4. Written by hand, because captum's
    ``GuidedBackprop`` sees only ``nn.ReLU`` modules, not the functions that torchvision's DenseNet calls.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(2, 1, bias=False))
        >>> _ = network[2].weight.data.copy_(torch.tensor([[2.0, -3.0]]))
        >>> with warnings.catch_warnings(action="ignore"):
        ...     GuidedBackprop()(network, torch.tensor([[[[5.0, 1.0]]]]), [0]).tolist()
        [[[[2.0, 0.0]]]]
    """

    channels: Channels = "largest"

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_channels(self.channels)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, the logits do not depend on the images, or no rectifier was met:
                the map would be the plain gradient.

        Warns:
            InsensitiveMethodWarning: Always.
        """
        require_images(images)
        warnings.warn(
            "guided_backprop hardly depends on what the network learned (Adebayo et al. 2018); do not draw conclusions "
            "about a model from it",
            InsensitiveMethodWarning,
            stacklevel=2,
        )
        with asking(model, gradients=True):
            maps = [over_channels(one, self.channels) for one in class_gradients(_guided(model), images, classes)]
            return stacked(maps, images)


def _guided(model: nn.Module) -> Forward:
    def forward(images: Tensor) -> Tensor:
        with GuidedRectifiers() as rectifiers:
            logits: Tensor = model(images)
        if not rectifiers.met:
            raise InputError(
                "no rectifier lies between the images and the logits as far as autograd can see, so the map would be "
                "the plain gradient; use input_gradient"
            )
        return logits

    return forward
