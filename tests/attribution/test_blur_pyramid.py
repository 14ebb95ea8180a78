"""The blur against the published outputs and scipy; the pyramid against a slow version."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tailscope.attribution.blur_pyramid import blur, blurred, faded

from .perturbation_cases import golden_arrays, golden_cases, needs_golden


def images(count: int = 2, height: int = 12, width: int = 9) -> Tensor:
    stream = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=stream, dtype=torch.float64)


@pytest.mark.needs_data
@needs_golden
@pytest.mark.parametrize("case", golden_cases("ep_imsmooth"))
def test_with_zeros_outside_it_is_the_published_blur(case):
    stored = golden_arrays(case["file"])
    torch.testing.assert_close(blur(stored["img"], case["args"]["sigma"], "zeros"), stored["out"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.25, 1.5, 5.0])
def test_mirrored_at_the_border_it_is_the_blur_of_scipy(sigma):
    expected = ndimage.gaussian_filter(images().numpy(), (0, 0, sigma, sigma), mode="reflect", truncate=4)
    torch.testing.assert_close(blur(images(), sigma), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_a_flat_image_stays_flat_when_mirrored_and_darkens_at_the_rim_with_zeros():
    flat = torch.ones(1, 1, 8, 8)
    torch.testing.assert_close(blur(flat, 4.0), flat)
    assert float(blur(flat, 4.0, "zeros")[0, 0, 0, 0]) < 0.4


def test_the_last_level_is_the_image_and_the_first_the_most_blurred():
    levels = blurred(images(), sigma=3.0, levels=4).levels
    assert torch.equal(levels[:, 3], images())
    for level, sigma in enumerate((3.0, 2.0, 1.0)):
        torch.testing.assert_close(levels[:, level], blur(images(), sigma))


def test_fading_goes_to_zero_evenly():
    levels = faded(images(), levels=3).levels
    torch.testing.assert_close(levels, torch.stack([0 * images(), images() / 2, images()], dim=1))


def test_a_mask_of_ones_shows_the_image_and_one_of_zeros_the_first_level():
    pyramid = blurred(images(), sigma=3.0, levels=8)
    rows = torch.tensor([1, 0])
    ones = torch.ones(2, 12, 9, dtype=torch.float64)
    torch.testing.assert_close(pyramid.mixed(rows, ones), images()[rows])
    torch.testing.assert_close(pyramid.mixed(rows, 0 * ones), pyramid.levels[rows, 0])


def test_between_two_levels_the_mask_interpolates_pixel_by_pixel():
    pyramid = blurred(images(), sigma=3.0, levels=5)
    rows = torch.tensor([1, 0, 1])
    masks = torch.rand(3, 12, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mixed = pyramid.mixed(rows, masks)
    for problem, row in enumerate(rows.tolist()):
        for y, x in ((0, 0), (11, 8), (4, 7), (6, 2)):
            depth = float(masks[problem, y, x]) * 4
            below, share = int(depth), depth - int(depth)
            lower, upper = pyramid.levels[row, below, :, y, x], pyramid.levels[row, below + 1, :, y, x]
            torch.testing.assert_close(mixed[problem, :, y, x], (1 - share) * lower + share * upper)


def test_the_gradient_with_respect_to_the_mask_is_that_of_finite_differences():
    pyramid = blurred(images(1, 3, 4), sigma=1.0, levels=3)
    masks = 0.05 + 0.4 * torch.rand(1, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: pyramid.mixed(torch.tensor([0]), m), (masks.requires_grad_(),))
