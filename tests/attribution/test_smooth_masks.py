"""Smooth masks against the published outputs and a slow version."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tailscope.attribution.smooth_masks import PaddedMasks, SmoothMasks, soft_maximum

from .perturbation_cases import golden_arrays, golden_cases, needs_golden


def parameters(count: int, grid: tuple[int, int]) -> Tensor:
    return torch.rand(count, *grid, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def slow_mask(values: Tensor, sigma: float) -> Tensor:
    """A step of one pixel: the weighted maximum, pixel by pixel, in plain numbers."""
    height, width = values.shape
    mask = torch.zeros(height, width, dtype=torch.float64)
    reach = math.ceil(2 * sigma)
    for y in range(height):
        for x in range(width):
            pooled, weight = 0.0, 0.0
            for v in range(y - reach, y + reach + 1):
                for u in range(x - reach, x + reach + 1):
                    distance = math.hypot(y - v, x - u) / sigma
                    if distance < 2:
                        inside = 0 <= v < height and 0 <= u < width
                        arriving = math.exp(-2 * max(distance - 0.5, 0) ** 2) * (float(values[v, u]) if inside else 0)
                        pooled += math.exp(20 * arriving) * arriving
                        weight += math.exp(20 * arriving)
            mask[y, x] = pooled / weight
    return mask


@pytest.mark.needs_data
@needs_golden
@pytest.mark.parametrize("case", golden_cases("ep_maskgen"))
def test_the_padded_masks_are_the_published_ones(case):
    stored, args = golden_arrays(case["file"]), case["args"]
    masks = PaddedMasks(tuple(args["shape"]), args["step"], args["sigma"])
    full = masks(stored["mask_in"][:, 0])
    assert list(masks.grid) == args["shape_in"]
    assert list(full.shape[1:]) == args["shape_out"]
    torch.testing.assert_close(full, stored["full"][:, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(masks.visible(full), stored["cropped"][:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_a_slow_version_gives_the_same_masks(sigma):
    values = parameters(2, (7, 5))
    expected = torch.stack([slow_mask(one, sigma) for one in values])
    torch.testing.assert_close(SmoothMasks((7, 5), step=1, sigma=sigma)(values), expected, rtol=0, atol=1e-10)


def test_between_grid_points_the_mask_is_bilinear():
    coarse = SmoothMasks((2, 2), step=1, sigma=0.4)(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], dtype=torch.float64))
    fine = SmoothMasks((4, 4), step=2, sigma=0.8)(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], dtype=torch.float64))
    along = torch.tensor([1.0, 0.75, 0.25, 0.0], dtype=torch.float64)
    torch.testing.assert_close(fine[0], coarse[0, 0, 0] * along.outer(along))


def test_a_single_parameter_makes_a_bump_at_its_place_that_is_alike_on_all_sides():
    values = torch.zeros(1, 9, 9)
    values[0, 4, 4] = 1.0
    mask = SmoothMasks((27, 27), step=3, sigma=6.0)(values)[0]
    assert float(mask[13, 13]) == pytest.approx(float(mask.max()), abs=1e-6)
    torch.testing.assert_close(mask, mask.flip(0))
    torch.testing.assert_close(mask, mask.T)


def test_masks_lie_between_0_and_1_and_every_parameter_moves_its_own_mask_alone():
    values = parameters(2, (6, 4)).requires_grad_()
    masks = SmoothMasks((31, 20), step=6, sigma=11.0)(values)
    assert masks.shape == (2, 31, 20)
    assert bool((masks >= 0).all())
    assert bool((masks <= 1).all())
    (gradient,) = torch.autograd.grad(masks[0].sum(), values)
    assert bool((gradient[0] != 0).all())
    assert not gradient[1].any()


def test_the_soft_maximum_of_equal_values_is_that_value_and_lies_below_the_largest_otherwise():
    torch.testing.assert_close(soft_maximum(torch.full((1, 5), 0.3), 1), torch.tensor([0.3]))
    values = torch.tensor([[0.1, 0.7, 0.8]])
    assert 0.7 < float(soft_maximum(values, 1)) < 0.8
