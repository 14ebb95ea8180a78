"""Smooth masks: every parameter of a coarse grid spreads over its surroundings, and the largest share wins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

COLDNESS = 20.0
"""Of the soft maximum, in the published code (TorchRay)."""


def bell(distance: Tensor) -> Tensor:
    """How much of a parameter arrives at a distance in units of σ: ``exp(−2·max(d − ½, 0)²)``, 1 near, 0 far.

    Source: Fong, Patrick & Vedaldi, ICCV 2019, section 4.2, with the radial profile of the published code.

    >>> bell(torch.tensor([0.0, 0.5, 1.0, 1.5], dtype=torch.float64)).round(decimals=3).tolist()
    [1.0, 1.0, 0.607, 0.135]
    """
    return torch.exp(-2 * (distance - 0.5).clamp(min=0) ** 2)


def soft_maximum(values: Tensor, dim: int) -> Tensor:
    """Mean of the values weighted by ``exp(20·value)``: about the largest, and differentiable in all of them.

    >>> soft_maximum(torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64), dim=1).round(decimals=3).tolist()
    [1.0]
    """
    return (torch.softmax(COLDNESS * values, dim=dim) * values).sum(dim=dim)


@dataclass(frozen=True)
class SmoothMasks:
    """Masks of the image's size from parameters on a grid of ``step`` pixels.

    On the grid, ``m(u) = softmax-weighted max over v of bell(‖u − v‖/σ)·p(v)``; between grid points the mask is
    bilinear (half-pixel centres). The published masks evaluate the maximum at each pixel instead, see
    :class:`PaddedMasks`: the same shapes at step² times the cost.

    Args:
        size: (H, W) of the image.
        step: Pixels between two parameters.
        sigma: Reach of a parameter in pixels: 1 up to σ/2, 0.61 at σ, cut off at 2σ, where 0.01 is left.

    Example:
        >>> masks = SmoothMasks((6, 6), step=2, sigma=2.0)
        >>> masks.grid, masks(torch.ones(1, 3, 3)).shape
        ((3, 3), torch.Size([1, 6, 6]))
    """

    size: tuple[int, int]
    step: int
    sigma: float

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the parameters."""
        return math.ceil(self.size[0] / self.step), math.ceil(self.size[1] / self.step)

    def __call__(self, parameters: Tensor) -> Tensor:
        """(P, h, w) in [0, 1] to masks (P, H, W) in [0, 1]."""
        near, weights = self._surroundings
        side = 2 * self._radius + 1
        spread = functional.unfold(parameters.unsqueeze(1), side, padding=self._radius)[:, near.to(parameters.device)]
        coarse = soft_maximum(spread * weights.to(parameters).unsqueeze(1), dim=1).reshape(-1, 1, *self.grid)
        return functional.interpolate(coarse, size=self.size, mode="bilinear", align_corners=False).squeeze(1)

    @property
    def _radius(self) -> int:
        return math.ceil(2 * self.sigma / self.step) - 1

    @cached_property
    def _surroundings(self) -> tuple[Tensor, Tensor]:
        """Which neighbours of the square window lie nearer than 2σ, and their weights."""
        reach = torch.arange(-self._radius, self._radius + 1, dtype=torch.float64) * self.step / self.sigma
        distance = torch.hypot(reach.unsqueeze(1), reach).flatten()
        near = (distance < 2).nonzero().flatten()
        return near, bell(distance[near])


@dataclass(frozen=True)
class PaddedMasks:
    """The masks as published: evaluated at every pixel of a frame that is larger than the image.

    Parameters lie at 0, step, 2·step … of the image, so the last ones end short of the far edges. The frame reaches
    ``sigma`` pixels beyond the near edges, and to a multiple of the step beyond the far ones.

    Args:
        size: (H, W) of the image.
        step: Pixels between two parameters.
        sigma: Reach of a parameter in pixels, a whole number.

    Source: TorchRay ``attribution/extremal_perturbation.py``, ``MaskGenerator``, as PAPER.md section 6 describes it.

    Example:
        >>> masks = PaddedMasks((48, 48), step=7, sigma=21)
        >>> masks.grid, masks(torch.ones(1, 7, 7)).shape, masks.visible(masks(torch.ones(1, 7, 7))).shape
        ((7, 7), torch.Size([1, 85, 85]), torch.Size([1, 48, 48]))
    """

    size: tuple[int, int]
    step: int
    sigma: int

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the parameters."""
        return math.ceil(self.size[0] / self.step), math.ceil(self.size[1] / self.step)

    def __call__(self, parameters: Tensor) -> Tensor:
        """(P, h, w) in [0, 1] to masks of the whole frame (P, H′, W′)."""
        (rows, down), (columns, along) = (self._window(count) for count in self.grid)
        padded = functional.pad(parameters, [self._padding] * 4)
        # The window's axes come first and the distance is float32, as published: rounding decides which of two mirrored
        # pixels ranks first in the area constraint, and with that where the search ends.
        distance = (down[:, None, :, None] ** 2 + along[None, :, None, :] ** 2).sqrt() / self.sigma
        spread = padded[:, rows[:, None, :, None], columns[None, :, None, :]] * bell(distance).to(parameters)
        return soft_maximum(spread.permute(0, 3, 4, 1, 2).flatten(1, 2), dim=1)

    def visible(self, masks: Tensor) -> Tensor:
        """The part of the frame that lies on the image, (P, H, W)."""
        return masks[:, self.sigma : self.sigma + self.size[0], self.sigma : self.sigma + self.size[1]]

    @property
    def _radius(self) -> int:
        return 1 + math.ceil(self.sigma / self.step)

    @property
    def _padding(self) -> int:
        return 1 + math.ceil(2 * self.sigma / self.step)

    def _window(self, count: int) -> tuple[Tensor, Tensor]:
        """Along one axis: which padded parameters reach a pixel of the frame, and from how far; both (H′, window)."""
        cells = count + 2 * self._padding - 2 * self._radius
        pixels = torch.arange(self.step * (cells - 1) + 1).unsqueeze(1)
        near = pixels // self.step + torch.arange(2 * self._radius + 1)
        places = self.sigma + self.step * (near - self._padding)
        return near, (pixels - places).to(torch.float32)
