"""The model sources, by name."""

from __future__ import annotations

from typing import Protocol

from tailscope.core import Registry
from tailscope.models.network import Network


class ModelSource(Protocol):
    """One place that networks come from: a registered frozen dataclass with this one call.

    Contract:
        - logits are (B, K), finite for a finite input, and the same twice in eval mode;
        - the same state of torch's generator gives the same initial weights: the caller seeds (``torch.manual_seed``);
        - ``module.named_modules`` resolves layer names, and at least one layer yields a map (B, C, h, w);
        - the preprocessing takes images of ``channels`` channels;
        - ``source`` of the result can be written as JSON;
        - a name that does not exist, or settings that the library refuses, is an ``InputError``.
    """

    def __call__(self, num_classes: int, channels: int) -> Network:
        """Make the network.

        Args:
            num_classes: Logits, K ≥ 1.
            channels: Channels of the images, 1 or more.
        """
        ...


MODELS: Registry[ModelSource] = Registry("model")
"""``timm``, ``torchvision``, ``truncated_densenet``, ``checkpoint``; others through the group ``tailscope.model``."""
