"""Ablation-CAM for every class of a batch: by how much the logits fall when a channel is switched off, no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tailscope.attribution.activations import LayerMaps, image_by_image
from tailscope.attribution.asking import asking, require_logits
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_whole
from tailscope.core import InputError
from tailscope.models import Layer


@ATTRIBUTIONS.register("ablationcam")
@dataclass(frozen=True)
class AblationCam:
    """``ReLU(Σ_k (x_c − x_c^k) · A_k)``, x_c^k the logit without channel k; larger supports the class's logit more.

    To leave channel k out is to replace it by 0 in what the layer gives (before a ReLU that follows it, which keeps
    the 0) and to run the rest of the network. Prefix tokens of a vision transformer keep their channels. A layer that
    runs several times in a pass loses its channel each time. A channel that is 0 everywhere already costs no pass.

    The paper divides the weight by x_c. That scales a map as a whole where x_c > 0; on logits it would turn the map
    around where x_c < 0, which is where the logit of a rare finding mostly lies, and has no value at 0. So the
    division is a setting, off by default.

    All classes come from the same passes. The layers before run once for a whole chunk of channels where the network
    lets them (residual sums do, concatenations do not); whether it does is tried on each image.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.
        relu: Set negative values to 0.
        divide_by_logit: Weigh by ``(x_c − x_c^k) / x_c``, as published.
        batch_size: Channels left out in one forward pass; it changes memory and speed, not the maps (to rounding).

    Source: Desai and Ramaswamy, Ablation-CAM, WACV 2020, section 3, on logits.

    Example:
        Without its only channel the logit falls from 4 to 0.

        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, 2.0)
        >>> image = torch.tensor([[[[1.0, 3.0]]]])
        >>> AblationCam("0")(network, image, [0]).tolist(), AblationCam("0", divide_by_logit=True)(
        ...     network, image, [0]
        ... ).tolist()
        ([[[[8.0, 24.0]]]], [[[[2.0, 6.0]]]])
    """

    layer: str = "auto"
    relu: bool = True
    divide_by_logit: bool = False
    batch_size: int = 32

    shares_passes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole("batch_size", self.batch_size)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map; a logit to divide by is 0.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """

        def weigh(image: Tensor, seen: LayerMaps) -> Tensor:
            falls = self._falls(model, image, list(classes), seen)
            return falls / _divisors(seen.logits[0, list(classes)]) if self.divide_by_logit else falls

        maps = image_by_image(model, images, classes, self.layer, weigh)
        return maps.relu() if self.relu else maps

    def _falls(self, model: nn.Module, image: Tensor, classes: list[int], seen: LayerMaps) -> Tensor:
        """The fall x − x^k of each logit of one image, (C, K); 0 for a channel that is 0 everywhere."""
        live = seen.activations[0].flatten(1).ne(0).any(dim=1)
        rest = _Rest(model, seen.layer)
        with asking(model, gradients=False):
            falls = seen.logits.new_zeros(len(live), len(classes))
            shared = rest.shares_what_is_before(image, live.nonzero().flatten())
            for channels in torch.split(live.nonzero().flatten(), self.batch_size):
                logits = rest.logits(image, channels, shared=shared)
                require_logits(logits, classes)
                # The whole image runs in the same batch, so that rounding is alike and cancels.
                falls[channels] = (logits[:1] - logits[1:])[:, classes]
        return falls


@dataclass(frozen=True, eq=False)
class _Rest:
    """The network, with channels of one layer left out."""

    model: nn.Module
    layer: Layer

    def logits(self, image: Tensor, channels: Tensor, *, shared: bool) -> Tensor:
        """(1 + n, K) of one image (1, C, H, W): whole, then without each of n channels.

        Args:
            image: (1, C, H, W).
            channels: (n,).
            shared: Run the layers before once, and let their results meet 1 + n rows; else run them on copies.
        """
        count = len(channels) + 1
        rows = torch.arange(1, count, device=channels.device)

        def leave_out(_: nn.Module, __: object, output: Tensor) -> Tensor:
            output = output.expand(count, *output.shape[1:])
            maps = self.layer.maps(output).clone()
            maps[rows, channels] = 0
            return self.layer.raw(maps, output)

        handle = self.model.get_submodule(self.layer.name).register_forward_hook(leave_out)
        try:
            logits: Tensor = self.model(image if shared else image.expand(count, *image.shape[1:]))
        finally:
            handle.remove()
        return logits

    def shares_what_is_before(self, image: Tensor, live: Tensor) -> bool:
        """Whether one run of the layers before gives what copies give, tried on the first and the last channel."""
        tried = live[[0, -1]] if len(live) else live.new_zeros(2)
        try:
            once = self.logits(image, tried, shared=True)
        except (RuntimeError, ValueError, AssertionError):
            return False
        copies = self.logits(image, tried, shared=False)
        return once.shape == copies.shape and torch.allclose(once, copies, rtol=1e-4, atol=1e-5)


def _divisors(logits: Tensor) -> Tensor:
    """The logits (K,) of one image, none of them 0."""
    if bool((logits == 0).any()):
        raise InputError("`divide_by_logit` needs logits other than 0; got 0; set it to false")
    return logits
