"""From blurred to sharp in levels, and an image whose sharpness a mask chooses at every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Border = Literal["reflect", "zeros"]


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Every image at every level.

    Args:
        levels: (B, L, C, H, W), detached; level 0 is the most perturbed one and level L − 1 the image itself.
    """

    levels: Tensor

    def mixed(self, rows: Tensor, masks: Tensor) -> Tensor:
        """Images that are whole where the mask is 1 and perturbed most where it is 0, (P, C, H, W).

        Between two neighbouring levels the mask interpolates linearly: m stands for level m·(L − 1). Autograd follows
        the mask.

        Args:
            rows: (P,) the image to which each mask belongs, in [0, B).
            masks: (P, H, W) in [0, 1].

        Example:
            >>> pyramid = faded(torch.full((1, 1, 1, 3), 8.0), levels=5)
            >>> pyramid.mixed(torch.tensor([0]), torch.tensor([[[0.0, 0.25, 1.0]]])).tolist()
            [[[[0.0, 2.0, 8.0]]]]
        """
        count, channels, height, width = self.levels.shape[1:]
        depth = masks * (count - 1)
        below = depth.detach().floor().clamp(0, count - 2).to(torch.int64)
        pixel = torch.arange(height * width, device=masks.device).reshape(height, width)
        index = (rows.reshape(-1, 1, 1) * count + below) * (height * width) + pixel
        colours = self.levels.movedim(2, -1).reshape(-1, channels)
        lower, upper = colours[index], colours[index + height * width]
        share = (depth - below).unsqueeze(-1).to(lower.dtype)
        return (lower + share * (upper - lower)).movedim(-1, 1).contiguous()


def blurred(images: Tensor, sigma: float, levels: int, border: Border = "reflect") -> Pyramid:
    """Gaussian blur of ``sigma``·(1 − l/(L − 1)) pixels at level l.

    Args:
        images: (B, C, H, W).
        sigma: Of level 0, in pixels.
        levels: L, 2 at least.
        border: What lies outside the image: its mirror image, edge pixel first, or zeros, which darken the rim (or
            brighten it, since 0 is the mean of preprocessed images).

    Source: Fong, Patrick & Vedaldi, Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV
    2019, section 4; the eight levels are those of the published code, TorchRay.
    """
    sigmas = [sigma * (1 - level / (levels - 1)) for level in range(levels)]
    return Pyramid(torch.stack([blur(images.detach(), each, border) for each in sigmas], dim=1))


def faded(images: Tensor, levels: int) -> Pyramid:
    """The image times l/(L − 1) at level l: it fades to 0, the mean colour of preprocessed images."""
    shares = torch.linspace(0.0, 1.0, levels, dtype=images.dtype, device=images.device)
    return Pyramid(images.detach().unsqueeze(1) * shares.reshape(-1, 1, 1, 1))


def blur(images: Tensor, sigma: float, border: Border = "reflect") -> Tensor:
    """Gaussian blur, cut off at ⌈4σ⌉ pixels and normalised; (…, H, W) of the same shape.

    Args:
        images: (…, H, W).
        sigma: In pixels; 0 changes nothing.
        border: See :func:`blurred`.

    Example:
        >>> blur(torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]], dtype=torch.float64), 1.0).round(decimals=2).tolist()
        [[0.06, 0.24, 0.4, 0.24, 0.06]]
        >>> bool(torch.allclose(blur(torch.ones(5, 5), 20.0), torch.ones(5, 5)))
        True
    """
    if sigma <= 0:
        return images
    down, along = (_matrix(size, sigma, border, images) for size in images.shape[-2:])
    return down @ images @ along.T


def _matrix(size: int, sigma: float, border: Border, like: Tensor) -> Tensor:
    """(size, size): row i weighs what a blurred pixel i is made of, with what lies outside folded in."""
    reach = torch.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    weights = torch.exp(-(reach.to(torch.float64) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).expand(size, -1)
    places = torch.arange(size).unsqueeze(1) + reach
    if border == "zeros":
        weights = torch.where((places >= 0) & (places < size), weights, 0.0)
    folded = places.remainder(2 * size)
    folded = torch.minimum(folded, 2 * size - 1 - folded)
    matrix = torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, folded, weights)
    return matrix.to(device=like.device, dtype=like.dtype)
