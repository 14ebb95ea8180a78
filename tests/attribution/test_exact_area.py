"""The area of a mask against a count, finite differences and a slow version."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tailscope.attribution.exact_area import area_penalty, with_area


def scores(count: int = 3, side: int = 16, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(5), dtype=dtype)


@pytest.mark.parametrize("softness", [0.005, 0.03, 0.5])
@pytest.mark.parametrize("area", [0.001, 0.1, 0.5, 0.97])
def test_the_mean_of_a_mask_is_its_area(area, softness):
    masks = with_area(scores(), torch.full((3,), area), softness)
    torch.testing.assert_close(masks.mean(dim=(1, 2)), torch.full((3,), area), rtol=2e-4, atol=0)


def test_it_is_so_for_flat_scores_as_well():
    flat = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
    masks = with_area(flat, torch.tensor([0.1, 0.3]), 0.03)
    torch.testing.assert_close(masks.mean(dim=(1, 2)), torch.tensor([0.1, 0.3]), rtol=1e-4, atol=0)
    assert float(masks[0].std()) == pytest.approx(0, abs=1e-6)


def test_scores_of_0_and_1_alone_whose_ones_cover_the_area_come_back():
    step = torch.zeros(1, 10, 10)
    step[0, :2] = 1.0
    torch.testing.assert_close(with_area(step, torch.tensor([0.2]), 0.01), step, rtol=0, atol=1e-6)


def test_the_area_stays_where_the_scores_move_so_that_the_gradient_of_the_mean_is_none():
    values = scores(2, dtype=torch.float64).requires_grad_()
    masks = with_area(values, torch.tensor([0.1, 0.4], dtype=torch.float64), 0.03)
    (gradient,) = torch.autograd.grad(masks.mean(dim=(1, 2)).sum(), values)
    assert float(gradient.abs().max()) < 1e-12


def test_the_gradient_is_that_of_finite_differences():
    values = scores(2, side=4, dtype=torch.float64).requires_grad_()
    areas = torch.tensor([0.3, 0.6], dtype=torch.float64)
    weights = scores(2, side=4, dtype=torch.float64).flip(0)
    assert torch.autograd.gradcheck(lambda s: (with_area(s, areas, 0.3) * weights).sum(), (values,), atol=1e-5)


def test_a_mask_does_not_depend_on_the_masks_beside_it():
    areas = torch.tensor([0.1, 0.4, 0.2])
    together = with_area(scores(), areas, 0.03)
    alone = torch.cat([with_area(one, area, 0.03) for one, area in zip(scores().split(1), areas.split(1), strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_the_penalty_is_0_for_a_step_of_the_right_area_and_the_share_of_wrong_pixels_for_another():
    half = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    assert area_penalty(half, [0.5]).tolist() == [0.0]
    assert area_penalty(half, [0.25]).tolist() == [0.25]


def test_a_slow_version_gives_the_same_penalty():
    masks, areas = scores(dtype=torch.float64), [0.05, 0.2, 0.33]
    for mask, area, penalty in zip(masks, areas, area_penalty(masks, areas).tolist(), strict=True):
        ranked = sorted(mask.flatten().tolist())
        zeros = int(256 * (1 - area))
        expected = sum((value - (place >= zeros)) ** 2 for place, value in enumerate(ranked)) / 256
        assert penalty == pytest.approx(expected, rel=1e-12)
