"""How much a logit drops when a patch of the image is covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.baselines import Baseline, baseline_images, require_baseline
from tailscope.attribution.perturbing import asked_logits, masked_logits
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_whole
from tailscope.core import InputError


@ATTRIBUTIONS.register("occlusion")
@dataclass(frozen=True)
class Occlusion:
    """x_c(I) − x_c(I with a patch covered), the mean over the patches on a pixel, signed; larger supports c more.

    The map has the input's grid, but no detail finer than the stride. Patches start every ``stride`` pixels from the
    upper left corner; the last of a row or column ends at the border, so that every pixel is covered. All classes
    come from the same forward passes, as many as there are patches; no gradient is needed.

    Args:
        patch: Side of the square patch: pixels as a whole number, or a share below 1 of the image's shorter side.
        stride: Step between patches, likewise; at most ``patch``.
        baseline: What covers, see :func:`~tailscope.attribution.baselines.baseline_images`.
        batch_size: Patches in one pass; beside rounding it changes no result.

    Raises:
        InputError: A setting is out of range.

    Source: Zeiler, Fergus, Visualizing and understanding convolutional networks, 2014, section 4.2; on logits, and as
    a drop, so that the sign is that of the other methods. Written by hand, because captum's ``Occlusion`` takes one
    class a call.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[2.0, -4.0, 6.0]]))
        >>> Occlusion(patch=1, stride=1)(network, torch.ones(1, 1, 1, 3), [0]).tolist()
        [[[[2.0, -4.0, 6.0]]]]
    """

    patch: float = 1 / 8
    stride: float = 1 / 16
    baseline: Baseline = "mean"
    batch_size: int = 64

    shares_passes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, size in (("patch", self.patch), ("stride", self.stride)):
            if not (0 < size < 1 or (size >= 1 and float(size).is_integer())):
                raise InputError(f"`{name}` must be whole pixels, 1 or more, or a share between 0 and 1; got {size!r}")
        require_baseline(self.baseline)
        require_whole("batch_size", self.batch_size)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong, the patch is larger than the image, or the stride larger than the
                patch.
        """
        require_images(images)
        rows, columns = self._bands(images)
        with asking(model, gradients=False):
            images = images.detach()
            starts = baseline_images(images, self.baseline)
            whole = torch.stack([asked_logits(model, image[None], classes) for image in images])
            drops = [
                whole - masked_logits(model, images, starts, 1 - _patches(chunk, rows, columns), classes)
                for chunk in torch.split(torch.arange(len(rows) * len(columns)), self.batch_size)
            ]
            values = torch.unflatten(torch.cat(drops, dim=1), 1, (len(rows), len(columns)))
            return torch.einsum("brck,rh,cw->bkhw", values, rows / rows.sum(dim=0), columns / columns.sum(dim=0))

    def _bands(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(R, H) and (C, W) float32: which rows and which columns a patch covers; a patch is a pair of them."""
        height, width = images.shape[2:]
        shorter = min(height, width)
        patch, stride = _pixels(self.patch, shorter), _pixels(self.stride, shorter)
        if not stride <= patch <= shorter:
            raise InputError(
                f"`stride` must not exceed `patch`, nor `patch` the image; got {stride} px, {patch} px and "
                f"{height} × {width}; choose another size"
            )
        return _bands(height, patch, stride).to(images.device), _bands(width, patch, stride).to(images.device)


def _pixels(size: float, shorter: int) -> int:
    return max(round(size * shorter), 1) if size < 1 else int(size)


def _bands(length: int, patch: int, stride: int) -> Tensor:
    first = torch.tensor([*range(0, length - patch, stride), length - patch])[:, None]
    pixels = torch.arange(length)
    return ((first <= pixels) & (pixels < first + patch)).to(torch.float32)


def _patches(numbers: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(m, 1, H, W), 1 in the patch."""
    return rows[numbers // len(columns), :, None].mul(columns[numbers % len(columns), None]).unsqueeze(1)
