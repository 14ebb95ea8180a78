"""Logits of a network for images of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.models import Network, frozen_eval
from tailscope.treatments import TreatmentPlan


def image_batches(
    network: Network, pixels: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
    """Preprocessed images, batch by batch, on the network's device.

    Yields:
        (b,) positions in ``rows`` and (b, C, H, W) float32 images.
    """
    device = next(network.module.parameters()).device
    for start in range(0, rows.size, batch_size):
        positions = np.arange(start, min(start + batch_size, rows.size))
        images = network.preprocessing(pixels[rows[positions]]).to(device)
        yield positions, images.contiguous(memory_format=torch.channels_last)


def predict(
    network: Network,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    batch_size: int = 128,
    advance: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits of some images, in evaluation mode; the network is left as it was.

    Args:
        network: The classifier.
        pixels: (N, H, W, C) uint8.
        rows: (M,) rows of ``pixels``.
        batch_size: Images per forward pass.
        advance: Called with the number of images done.

    Returns:
        (M, K) float32 logits.
    """
    parts = []
    with torch.no_grad(), frozen_eval(network.module):
        for positions, images in image_batches(network, pixels, rows, batch_size):
            parts.append(network.module(images).float().cpu().numpy())
            if advance is not None:
                advance(positions.size)
    return np.concatenate(parts)


def predict_adjusted(
    network: Network, plan: TreatmentPlan, pixels: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 128
) -> NDArray[np.float32]:
    """As :func:`predict`, read as log-odds: through the plan's ``adjust_logits``, where it has one.

    Args:
        network: The classifier.
        plan: The treatment's plan.
        pixels: (N, H, W, C) uint8.
        rows: (M,) rows of ``pixels``.
        batch_size: Images per forward pass.

    Returns:
        (M, K) float32.
    """
    logits = predict(network, pixels, rows, batch_size)
    if plan.adjust_logits is None:
        return logits
    return np.asarray(plan.adjust_logits(torch.from_numpy(logits)).numpy())
