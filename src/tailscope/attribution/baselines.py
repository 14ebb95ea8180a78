"""What stands where an image shows nothing: the uninformative image that perturbations and paths start from."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from tailscope.core import check_choice

Baseline = Literal["mean", "image_mean", "black", "blur"]

BLUR_SHARE = 10 / 224
"""Standard deviation of the blur as a share of the shorter side: 10 px at 224 px (Fong, Vedaldi 2017, section 4.3)."""


def require_baseline(baseline: str) -> None:
    """Pass if ``baseline`` is one of :func:`baseline_images`.

    Raises:
        InputError: It is not.
    """
    check_choice("baseline", baseline, get_args(Baseline))


def baseline_images(images: Tensor, baseline: Baseline, blur: float = BLUR_SHARE) -> Tensor:
    """The image that shows nothing, for each image of a batch, (B, C, H, W); a function of its own image alone.

    None is neutral: on an X-ray, black is air or the ground beside the body, and a black lung field stays what it
    was; grey is a shadow; the blur keeps what is large (a heart) and removes what is small (a nodule).

    Args:
        images: (B, C, H, W), preprocessed.
        baseline: ``"mean"``: 0, which is the mean of the pixels by which the preprocessing was scaled (mid-grey);
            ``"image_mean"``: the mean of the image itself, in each channel; ``"black"``: the darkest value of the
            image, in each channel; ``"blur"``: the image itself, blurred by a Gaussian, mirrored at the border.
        blur: The Gaussian's standard deviation, as a share of the shorter side.

    Example:
        >>> image = torch.tensor([[[[1.0, -2.0]]]])
        >>> baseline_images(image, "black").tolist(), baseline_images(image, "mean").tolist()
        ([[[[-2.0, -2.0]]]], [[[[0.0, 0.0]]]])
    """
    if baseline == "mean":
        return torch.zeros_like(images)
    if baseline == "image_mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    if baseline == "black":
        return images.amin(dim=(2, 3), keepdim=True).expand_as(images)
    sigma = blur * min(images.shape[2:])
    radius = min(max(round(3 * sigma), 1), min(images.shape[2:]) - 1)
    blurred: Tensor = gaussian_blur(images, [2 * radius + 1] * 2, [sigma] * 2)
    return blurred
