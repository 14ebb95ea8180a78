"""Masks that cover exactly the share of the image that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_HALVINGS, _REFINEMENTS = 12, 3
_REACH = 20.0  # in units of the softness: a sigmoid is 2e-9 there


def with_area(scores: Tensor, areas: Tensor, softness: float) -> Tensor:
    """``sigmoid((s − q)/softness)``, with each mask's q such that its mean is its area, (P, H, W) in [0, 1].

    The level set of the scores that covers the area, with a soft rim. Autograd follows q as well (implicit function
    theorem: ∂q/∂s_i is the sigmoid's slope at i over the sum of slopes), so that a gradient step keeps the area.

    Args:
        scores: (P, H, W) in [0, 1].
        areas: (P,) shares in (0, 1).
        softness: Width of the rim in units of the scores; 0.005 or more.

    Example:
        >>> scores = torch.linspace(0.0, 1.0, 100).reshape(1, 10, 10)
        >>> mask = with_area(scores, torch.tensor([0.25]), softness=0.01)
        >>> round(float(mask.mean()), 5), int((mask > 0.5).sum())
        (0.25, 25)
    """
    flat = scores.flatten(1)
    with torch.no_grad():
        quantile = _quantile(flat, areas.unsqueeze(1), softness)
        covered = torch.sigmoid((flat - quantile) / softness)
        slopes = covered * (1 - covered)
        slopes = slopes / slopes.sum(dim=1, keepdim=True).clamp(min=torch.finfo(slopes.dtype).tiny)
    moved = (slopes * flat).sum(dim=1, keepdim=True)
    return torch.sigmoid((flat - (quantile + moved - moved.detach())) / softness).reshape(scores.shape)


def _quantile(scores: Tensor, areas: Tensor, softness: float) -> Tensor:
    """(P, 1): halving until Newton's method is safe, then Newton's method, kept inside the last interval."""
    low = torch.full_like(areas, -_REACH * softness)
    high = torch.full_like(areas, 1 + _REACH * softness)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = torch.sigmoid((scores - middle) / softness).mean(dim=1, keepdim=True) > areas
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    quantile = (low + high) / 2
    for _ in range(_REFINEMENTS):
        covered = torch.sigmoid((scores - quantile) / softness)
        slope = (covered * (1 - covered)).mean(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
        step = softness * (covered.mean(dim=1, keepdim=True) - areas) / slope
        quantile = torch.minimum(torch.maximum(quantile + step, low), high)
    return quantile


def area_penalty(masks: Tensor, areas: Sequence[float]) -> Tensor:
    """Mean squared distance of each mask's sorted values from a step that is 1 over the area, (P,); 0 is best.

    Args:
        masks: (P, …) in [0, 1], of which all values count.
        areas: P shares in (0, 1).

    Source: Fong, Patrick & Vedaldi, ICCV 2019, eq. 5.

    Example:
        >>> area_penalty(torch.tensor([[1.0, 0.0, 0.0, 0.5]]), [0.25]).tolist()
        [0.0625]
    """
    ranked = masks.flatten(1).sort(dim=1).values
    size = ranked.shape[1]
    first = torch.tensor([int(size * (1 - area)) for area in areas], device=masks.device)
    step = torch.arange(size, device=masks.device) >= first.unsqueeze(1)
    return ((ranked - step.to(ranked.dtype)) ** 2).mean(dim=1)
