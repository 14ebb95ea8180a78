"""The head of a network: its last linear layer, one row per class."""

from __future__ import annotations

from torch import nn

from tailscope.core import InputError


def find_head(module: nn.Module, num_classes: int) -> nn.Linear:
    """The last linear layer that gives one value per class.

    Args:
        module: The network.
        num_classes: K.

    Raises:
        InputError: There is none; the last linear layer, if any, is named with its width.

    Example:
        >>> find_head(nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), 3)
        Linear(in_features=8, out_features=3, bias=True)
    """
    linear = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    heads = [layer for _, layer in linear if layer.out_features == num_classes]
    if not heads:
        last = f"the last one, {linear[-1][0]}, gives {linear[-1][1].out_features}" if linear else "it has none"
        raise InputError(
            f"the network's head must be a linear layer with {num_classes} outputs, one per class; {last}: choose "
            "another model, or a treatment that leaves the head alone"
        )
    return heads[-1]
