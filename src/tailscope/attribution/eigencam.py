"""Eigen-CAM of a batch, from one forward pass and no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tailscope.attribution.activations import layer_maps
from tailscope.attribution.registry import ATTRIBUTIONS

_BALANCED = 1e-9


@ATTRIBUTIONS.register("eigencam")
@dataclass(frozen=True)
class EigenCam:
    """``A · v``, the activations along their first right singular vector; larger is more of what the layer sees most.

    A is (h·w, C), one row a place, not centred, as in the paper. The map knows no class: every class of the question
    gets the same. A singular vector has no sign of its own: the map is turned so that its sum is positive and, where
    the sum is 0 to rounding, so that the first of its largest values is. Rectified activations so give a map without
    negative values. Where the two largest singular values are equal the map is not determined.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map, found anew in each call by a pass of the first
            image alone.

    Source: Muhammad and Yeasin, Eigen-CAM, IJCNN 2020, section III. The vector comes from the smaller of the two Gram
    matrices in float64, which is much faster than the decomposition of A and as exact to float32.

    Example:
        One channel is its own direction, and the sign is that of its sum.

        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, -1.0)
        >>> EigenCam(layer="0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0, 0]).tolist()
        [[[[1.0, 3.0]], [[1.0, 3.0]]]]
    """

    layer: str = "auto"

    shares_passes: ClassVar[bool] = True

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """
        with layer_maps(model, images, classes, self.layer, gradients=False) as seen:
            count, _, height, width = seen.activations.shape
            along = _along_first(seen.activations.flatten(2).transpose(1, 2).to(torch.float64))
        maps = (along * _sign(along)).to(torch.float32).reshape(count, 1, height, width)
        return maps.repeat(1, len(classes), 1, 1)


def _along_first(rows: Tensor) -> Tensor:
    """(B, P, C) to A · v, (B, P), in either sign."""
    if rows.shape[1] >= rows.shape[2]:
        vectors: Tensor = torch.linalg.eigh(rows.mT @ rows).eigenvectors
        return torch.matmul(rows, vectors[..., -1:]).squeeze(-1)
    squares: Tensor
    squares, vectors = torch.linalg.eigh(rows @ rows.mT)
    return vectors[..., -1] * squares[..., -1:].clamp(min=0).sqrt()


def _sign(along: Tensor) -> Tensor:
    """(B, P) to 1 or −1, (B, 1)."""
    sizes = along.abs()
    total = along.sum(dim=1, keepdim=True)
    largest = (sizes >= (1 - _BALANCED) * sizes.amax(dim=1, keepdim=True)).to(along.dtype).argmax(dim=1, keepdim=True)
    balanced = total.abs() <= _BALANCED * sizes.sum(dim=1, keepdim=True)
    decisive = torch.where(balanced, along.gather(1, largest), total)
    return torch.where(decisive < 0, -1.0, 1.0)
