"""Images that show nothing."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from tailscope.attribution.baselines import BLUR_SHARE, baseline_images, require_baseline
from tailscope.core import InputError


def images(height: int = 40, width: int = 40) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_mean_is_zero() -> None:
    assert not baseline_images(images(), "mean").any()


def test_black_is_the_darkest_value_of_each_image_and_channel() -> None:
    found = baseline_images(images(), "black")
    assert found.shape == images().shape
    for one in range(2):
        for channel in range(3):
            assert found[one, channel].unique().tolist() == [images()[one, channel].min().item()]


def test_the_image_mean_is_that_of_each_image_and_channel() -> None:
    found = baseline_images(images(), "image_mean")
    torch.testing.assert_close(found[:, :, 3, 4], images().mean(dim=(2, 3)))
    assert not (found - found[:, :, :1, :1]).any()


@pytest.mark.parametrize("blur", [BLUR_SHARE, 0.1])
def test_the_blur_is_the_gaussian_of_scipy(blur: float) -> None:
    sigma = blur * 40
    expected = gaussian_filter(images(40, 50).numpy(), sigma, axes=(2, 3), mode="mirror", radius=round(3 * sigma))
    found = baseline_images(images(40, 50), "blur", blur)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


def test_a_blurred_constant_stays_what_it_is() -> None:
    flat = torch.full((1, 1, 9, 5), -1.5)
    torch.testing.assert_close(baseline_images(flat, "blur"), flat)


def test_an_image_one_pixel_high_can_be_blurred() -> None:
    assert torch.isfinite(baseline_images(images(1, 4), "blur")).all()


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(InputError, match="'image_mean', 'black', 'blur'; got 'white'"):
        require_baseline("white")
