"""The input gradient, averaged over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.channels import Channels, over_channels, require_channels
from tailscope.attribution.input_gradients import weighted_gradients
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_whole
from tailscope.core import InputError, generator


@ATTRIBUTIONS.register("smoothgrad")
@dataclass(frozen=True)
class SmoothGrad:
    """``|mean_i ∂x_c/∂I(I + ε_i)|``, ε_i normal with σ = ``noise`` · (max I − min I); larger is more sensitive.

    The noise is the same for every image, so that maps of a pair of models differ by the models alone. One forward
    pass per noisy copy serves all classes; each class takes one backward pass per copy. With ``noise`` 0 the map is
    that of :class:`~tailscope.attribution.input_gradient.InputGradient`.

    Args:
        noise: σ as a share of the image's own range, 0 or more; the paper recommends 0.1 to 0.2.
        samples: Noisy copies of an image; beyond 50 the paper sees little change.
        squared: Average the squares of the gradients (SmoothGrad²) instead.
        channels: How the input's channels become one value, after the average.
        seed: Of the noise.
        batch_size: Copies in one pass; beside rounding it changes no result.

    Raises:
        InputError: A setting is out of range.

    Source: Smilkov, Thorat, Kim, Viégas, Wattenberg, SmoothGrad, 2017, section 3; ``squared``: Hooker, Erhan,
    Kindermans, Kim, A benchmark for interpretability methods, 2019, section 4. Written by hand, because captum's
    ``NoiseTunnel`` takes one class a call and draws new noise for each image.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[2.0, -3.0]]))
        >>> SmoothGrad(samples=4)(network, torch.tensor([[[[5.0, 1.0]]]]), [0]).tolist()
        [[[[2.0, 3.0]]]]
    """

    noise: float = 0.15
    samples: int = 50
    squared: bool = False
    channels: Channels = "largest"
    seed: int = 0
    batch_size: int = 25

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise InputError(f"`noise` must be 0 or more and finite; got {self.noise}; 0.15 is usual")
        require_whole("samples", self.samples)
        require_whole("batch_size", self.batch_size)
        require_channels(self.channels)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, or the logits do not depend on the images.
        """
        require_images(images)
        drawn = generator(self.seed, "smoothgrad").standard_normal((self.samples, *images.shape[1:]), dtype=np.float32)
        noise = torch.from_numpy(drawn).to(images)
        with asking(model, gradients=True):
            means = [
                weighted_gradients(model, self._copies(image, noise), classes, squared=self.squared)
                for image in images.detach()
            ]
            return over_channels(torch.stack(means), self.channels)

    def _copies(self, image: Tensor, noise: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        sigma = self.noise * (image.amax() - image.amin())
        for chunk in torch.split(noise, self.batch_size):
            yield image + sigma * chunk, image.new_full((len(chunk),), 1 / self.samples)
