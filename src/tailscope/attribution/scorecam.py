"""Score-CAM for every class of a batch: the logits of images masked by each channel, no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.activations import LayerMaps, image_by_image
from tailscope.attribution.asking import asking, require_logits
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_whole

_CONSTANT = 1e-6


@ATTRIBUTIONS.register("scorecam")
@dataclass(frozen=True)
class ScoreCam:
    """``ReLU(Σ_k w_k · A_k)``, w the softmax over channels of the masked images' logits; larger supports it more.

    Channel k, enlarged to the image (bilinear, half-pixel centres) and scaled to 0 … 1, multiplies the preprocessed
    image, so that 0 hides: after the usual normalisation that is the mean colour. ``w_k`` is the softmax over k of
    the class's logit for image k. The paper subtracts the logit of a baseline image first; that is the same number
    for every k, cancels in the softmax and is never computed. A channel that is constant (its range within 1e-6 of
    its largest value) masks nothing: its logit is that of the image.

    All classes come from the same masked passes, one for each channel that varies.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.
        batch_size: Masked images in one forward pass; it changes memory and speed, not the maps (to rounding).

    Source: Wang et al., Score-CAM, CVPR Workshops 2020, algorithm 1, on logits.

    Example:
        The two channels hide the left and the right pixel, and the first class is the mean of what is left: logits 1.5
        and 0.5, weights 0.73 and 0.27.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = network[0].weight.data.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        >>> ScoreCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0]).mul(100).round().tolist()
        [[[[46.0, 139.0]]]]
    """

    layer: str = "auto"
    relu: bool = True
    batch_size: int = 32

    shares_passes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole("batch_size", self.batch_size)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """

        def weigh(image: Tensor, seen: LayerMaps) -> Tensor:
            return self._scores(model, image, list(classes), seen).softmax(dim=0)

        maps = image_by_image(model, images, classes, self.layer, weigh)
        return maps.relu() if self.relu else maps

    def _scores(self, model: nn.Module, image: Tensor, classes: list[int], seen: LayerMaps) -> Tensor:
        """The logits (C, K) of one image masked by each of its channels."""
        maps = seen.activations[0]
        with asking(model, gradients=False):
            scores = seen.logits[:, classes].to(torch.float64).repeat(len(maps), 1)
            for channels in torch.split(_varying(maps).nonzero().flatten(), self.batch_size):
                logits = model(image * _masks(maps[channels], image.shape[-2:]).to(image.dtype))
                require_logits(logits, classes)
                scores[channels] = logits[:, classes].to(torch.float64)
        return scores


def _varying(maps: Tensor) -> Tensor:
    """Which channels (C,) of (C, h, w) are not constant."""
    flat = maps.flatten(1)
    return flat.amax(dim=1) - flat.amin(dim=1) > _CONSTANT * flat.abs().amax(dim=1)


def _masks(maps: Tensor, size: torch.Size) -> Tensor:
    """(N, h, w) to (N, 1, H, W) in 0 … 1; a map that becomes constant by the resizing hides nothing."""
    large = functional.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)
    low, high = large.amin(dim=(2, 3), keepdim=True), large.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (large - low) / (high - low), 1.0)
