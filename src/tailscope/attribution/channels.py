"""One value per pixel from one value per pixel and input channel."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from tailscope.core import check_choice

Channels = Literal["sum", "absolute", "largest"]


def require_channels(channels: str) -> None:
    """Pass if ``channels`` is a rule of :func:`over_channels`.

    Raises:
        InputError: It is not.
    """
    check_choice("channels", channels, get_args(Channels))


def over_channels(values: Tensor, channels: Channels) -> Tensor:
    """Reduce (..., C, H, W) to (..., H, W) float32.

    Args:
        values: Signed evidence per channel.
        channels: ``"sum"`` keeps the sign, and evidence of opposite sign cancels; ``"absolute"`` sums the absolute
            values; ``"largest"`` takes the largest absolute value.

    Source: ``"largest"``: Simonyan, Vedaldi, Zisserman, Deep inside convolutional networks, 2014, section 3.1.

    Example:
        >>> pixel = torch.tensor([3.0, -4.0]).view(2, 1, 1)
        >>> [over_channels(pixel, rule).item() for rule in ("sum", "absolute", "largest")]
        [-1.0, 7.0, 4.0]
    """
    if channels == "sum":
        return values.sum(dim=-3).to(torch.float32)
    if channels == "absolute":
        return values.abs().sum(dim=-3).to(torch.float32)
    return values.abs().amax(dim=-3).to(torch.float32)
