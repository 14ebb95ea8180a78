"""The record that a model source hands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from tailscope.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Network:
    """A classifier with its preprocessing and its origin.

    Args:
        module: (B, channels, H, W) float32 to logits (B, K).
        preprocessing: Pixels to the module's input.
        source: How it was made, as JSON values: ``source`` (registered name), its settings, ``num_classes``,
            ``channels`` (of the images, which may be fewer than the module's), and what the library resolved.
        missing: Parameters that loaded weights did not hold (empty unless asked to tolerate them).
        unexpected: Names in loaded weights that the module does not have (likewise).
    """

    module: nn.Module
    preprocessing: Preprocessing
    source: dict[str, Any]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
