"""Random views of a batch of training images, in one batched resampling."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tailscope.core import uniforms
from tailscope.training.settings import Augmentation

_DRAWS = 8  # rotation, scale, shift x, shift y, brightness, contrast, horizontal flip, vertical flip


def draw_views(settings: Augmentation, seed: int, rows: NDArray[np.int64], flips_allowed: bool) -> NDArray[np.float32]:
    """Draw the numbers of one view per image; they depend on (seed, image row) alone, not on the batch.

    Args:
        settings: The limits.
        seed: One per (run seed, epoch).
        rows: (B,) image rows.
        flips_allowed: What the data set says, for ``flips="auto"``.

    Returns:
        (B, 8) float32: rotation in radians, scale factor, shift x and y as shares, brightness, contrast factor, and
        the two flips as ±1.
    """
    share = uniforms(seed, rows, _DRAWS)
    signed = 2 * share - 1
    both = settings.flips == "both" or (settings.flips == "auto" and flips_allowed)
    horizontal = both or settings.flips == "horizontal"
    columns = [
        signed[:, 0] * math.radians(settings.rotation_deg),
        1 + signed[:, 1] * settings.scale,
        signed[:, 2] * settings.translation,
        signed[:, 3] * settings.translation,
        signed[:, 4] * settings.brightness,
        1 + signed[:, 5] * settings.contrast,
        np.where(horizontal & (share[:, 6] < 0.5), -1.0, 1.0),
        np.where(both & (share[:, 7] < 0.5), -1.0, 1.0),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def apply_views(images: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
    """Apply drawn views.

    Args:
        images: (B, C, H, W) float, normalised.
        views: (B, 8) from :func:`draw_views`.

    Returns:
        (B, C, H, W); what comes from outside the image repeats its border.
    """
    angle, scale, shift_x, shift_y, brightness, contrast, flip_x, flip_y = views.unbind(1)
    aspect = images.shape[-1] / images.shape[-2]
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    # affine_grid maps output to input positions in [-1, 1]; the aspect keeps a rotation from shearing a wide image.
    matrix = torch.stack(
        [
            torch.stack([cosine * flip_x, -sine / aspect * flip_y, 2 * shift_x], dim=1),
            torch.stack([sine * aspect * flip_x, cosine * flip_y, 2 * shift_y], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False).to(images.dtype)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.mul_(contrast[:, None, None, None]).add_(brightness[:, None, None, None])  # of our own: in place
