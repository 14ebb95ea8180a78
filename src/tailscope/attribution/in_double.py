"""Run a network in double precision without changing it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from torch import Tensor, nn
from torch.func import functional_call


def in_double(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network as a function of float64 images, with float64 copies of its parameters and buffers.

    For long searches, in which what one pass rounds off grows from step to step: single precision would let the batch
    size or the number of threads decide where they end.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> in_double(layer)(layer.weight.double()).dtype, layer.weight.dtype
        (torch.float64, torch.float32)
    """
    tensors = chain(model.named_parameters(), model.named_buffers())
    copies = {name: value.detach().double() if value.is_floating_point() else value for name, value in tensors}

    def run(images: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, copies, (images,))
        return logits

    return run
