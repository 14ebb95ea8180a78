"""How the logits of each class change with the pixels, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from tailscope.attribution.asking import require_gradients, require_logits
from tailscope.core import InputError

Forward = Callable[[Tensor], Tensor]


def class_gradients(forward: Forward, images: Tensor, classes: Sequence[int]) -> Iterator[Tensor]:
    """∂x_c/∂image of every image, (B, C, H, W), for one class after the other.

    One forward pass, and one backward pass per class, which serves all images, since they are independent in eval
    mode. To be called inside :func:`~tailscope.attribution.asking.asking` with gradients; ``images`` stay as they are,
    also where the network writes to its input.

    Args:
        forward: (B, C, H, W) to logits (B, K).
        images: (B, C, H, W).
        classes: Indices in [0, K).

    Raises:
        InputError: The logits are wrong, or do not depend on the images as far as autograd can see.
    """
    leaf = images.detach().clone().requires_grad_()
    logits = forward(leaf.clone())
    require_logits(logits, classes)
    require_gradients(logits, "the input")
    for index in classes:
        (gradient,) = torch.autograd.grad(logits[:, index].sum(), leaf, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise InputError("no logit depends on the input as far as autograd can see; choose occlusion or rise")
        yield gradient


def weighted_gradients(
    forward: Forward, points: Iterable[tuple[Tensor, Tensor]], classes: Sequence[int], *, squared: bool = False
) -> Tensor:
    """``Σ_i w_i ∂x_c/∂image`` at the points i of one image, (len(classes), C, H, W).

    All classes come from the same forward passes, and no more than one chunk of points is in memory.

    Args:
        forward: (B, C, H, W) to logits (B, K).
        points: Chunks, at least one, of images (m, C, H, W) and their weights (m,).
        classes: Indices in [0, K).
        squared: Sum the squares of the gradients instead.

    Raises:
        InputError: As :func:`class_gradients`.
    """
    total: Tensor | None = None
    for chunk, weights in points:
        if total is None:
            total = chunk.new_zeros(len(classes), *chunk.shape[1:])
        for row, gradient in enumerate(class_gradients(forward, chunk, classes)):
            total[row] += torch.einsum("m,mchw->chw", weights, gradient.square() if squared else gradient)
    if total is None:
        raise InputError("`points` must hold at least one chunk; got none")
    return total
