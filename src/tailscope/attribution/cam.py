"""What class activation maps share: one layer, one forward pass, and a ReLU at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tailscope.attribution.activations import At, LayerMaps, layer_maps


@dataclass(frozen=True)
class ClassActivationMap(ABC):
    """A map of one layer's activations, weighted for each class by gradients; each method adds how.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.
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
        with layer_maps(model, images, classes, self.layer, self.at) as seen:
            maps = self.maps(seen, classes)
        return maps.relu() if self.relu else maps

    @abstractmethod
    def maps(self, seen: LayerMaps, classes: Sequence[int]) -> Tensor:
        """(B, len(classes), h, w) float32 before the ReLU at the end."""

    @property
    def at(self) -> At:
        """Whether the layer's output is read, or its input."""
        return "output"
