"""The gradient, integrated on the straight path from an uninformative image to the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.baselines import Baseline, baseline_images, require_baseline
from tailscope.attribution.channels import Channels, over_channels, require_channels
from tailscope.attribution.input_gradients import weighted_gradients
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_whole


@ATTRIBUTIONS.register("integrated_gradients")
@dataclass(frozen=True)
class IntegratedGradients:
    """``(I − I′) · ∫₀¹ ∂x_c/∂I(I′ + α(I − I′)) dα`` on the input's grid, signed; larger supports the class more.

    Completeness: summed over the pixels (and channels), the map is x_c(I) − x_c(I′), up to the error of the
    quadrature, so it explains the image *against* its baseline I′; a pixel that equals its baseline gets 0.

    Args:
        baseline: I′, see :func:`~tailscope.attribution.baselines.baseline_images`.
        steps: Points of the Gauss–Legendre quadrature on the path.
        channels: How the input's channels become one value; only ``"sum"`` is complete.
        batch_size: Points in one pass; beside rounding it changes no result.

    Raises:
        InputError: A setting is out of range.

    Source: Sundararajan, Taly, Yan, Axiomatic attribution for deep networks, 2017, eq. 1; the quadrature is captum's
    default. Written by hand, because all classes come from one forward pass per point; captum runs one per class, and
    took 1.5 to 2 times the CPU time for 14 classes (ResNet-18, 128 px, 16 steps), with the same maps.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[2.0, -3.0]]))
        >>> image = torch.tensor([[[[5.0, 1.0]]]])
        >>> IntegratedGradients(baseline="black", steps=4)(network, image, [0]).tolist()
        [[[[8.0, 0.0]]]]
    """

    baseline: Baseline = "mean"
    steps: int = 50
    channels: Channels = "sum"
    batch_size: int = 25

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_baseline(self.baseline)
        require_whole("steps", self.steps)
        require_whole("batch_size", self.batch_size)
        require_channels(self.channels)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, or the logits do not depend on the images.
        """
        require_images(images)
        with asking(model, gradients=True):
            images = images.detach()
            starts = baseline_images(images, self.baseline)
            maps = [
                weighted_gradients(model, self._path(start, image), classes) * (image - start)
                for start, image in zip(starts, images, strict=True)
            ]
            return over_channels(torch.stack(maps), self.channels)

    def _path(self, start: Tensor, image: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        alphas = torch.from_numpy((nodes + 1) / 2).to(image)
        shares = torch.from_numpy(weights / 2).to(image)
        for alpha, share in zip(*(torch.split(one, self.batch_size) for one in (alphas, shares)), strict=True):
            yield torch.lerp(start, image, alpha.view(-1, 1, 1, 1)), share
