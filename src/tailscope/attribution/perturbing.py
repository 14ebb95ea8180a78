"""What the network answers when parts of an image are covered."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tailscope.attribution.asking import require_logits


def masked_logits(model: nn.Module, images: Tensor, starts: Tensor, masks: Tensor, classes: Sequence[int]) -> Tensor:
    """x_c(I′ + m · (I − I′)) for every image I and every mask m, (B, m, len(classes)) float32.

    Each pass holds one image under all the masks, so that an image's answers are the same bits in any batch. To be
    called inside :func:`~tailscope.attribution.asking.asking`, with a chunk of masks that fits one pass.

    Args:
        model: (B, C, H, W) to logits (B, K).
        images: (B, C, H, W).
        starts: I′, (B, C, H, W), what stands where a mask is 0.
        masks: (m, 1, H, W) in [0, 1]; 1 shows the image.
        classes: Indices in [0, K).

    Raises:
        InputError: The logits are wrong.

    Example:
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> masks = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]).view(3, 1, 1, 2)
        >>> image = torch.tensor([[[[4.0, 2.0]]]])
        >>> masked_logits(network, image, torch.zeros_like(image), masks, [0]).flatten().tolist()
        [3.0, 2.0, 0.0]
    """
    return torch.stack(
        [
            asked_logits(model, torch.lerp(start, image, masks.to(image)), classes)
            for image, start in zip(images, starts, strict=True)
        ]
    )


def asked_logits(model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
    """The logits of the classes asked for, (B, len(classes)) float32.

    Raises:
        InputError: The logits are wrong.
    """
    logits: Tensor = model(images)
    require_logits(logits, classes)
    return logits[:, list(classes)].to(torch.float32)
