"""The counts of units against concepts for activations on a device (a GPU), with the same integers as on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core import InputError
from tailscope.dissection.cells import CellGrid

_BLOCK_VALUES = 2**24  # upsampled at a time: 128 MiB in float64, a few times that with what lies between
_EXACT_IN_FLOAT32 = 2**24  # sums of zeros and ones up to here are whole numbers in float32, TF32 products included


def device_counts(
    maps: Tensor, thresholds: NDArray[np.float32], masks: Tensor, cells: CellGrid, *, block_values: int = _BLOCK_VALUES
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels inside both, above the threshold, and of each concept, pooled over the images.

    Only maps with a value above their threshold are upsampled, in blocks of bounded memory, with the weights and in
    the order of operations of the compiled loops: float64, rounded once to float32. Counts are whole numbers, so the
    result does not depend on the device.

    Args:
        maps: (n, U, h, w) floating, finite, on any device.
        thresholds: (U,).
        masks: (n, C, H, W) bool, on any device.
        cells: From :func:`tailscope.dissection.cells.cell_grid`.
        block_values: Bound of the pixels that are upsampled at a time; at least one map is.

    Returns:
        ``intersection`` (U, C), ``activated`` (U,) and ``concept`` (C,), int64.

    Raises:
        InputError: An activation is not finite.

    Source:
        METHODS section 5.

    Example:
        >>> from tailscope.dissection.cells import cell_grid
        >>> maps, masks = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[False, False, True, True]]]])
        >>> device_counts(maps, np.array([0.5], dtype=np.float32), masks, cell_grid((1, 2), (1, 4)))
        (array([[2]]), array([2]), array([2]))
    """
    planes = maps.detach().to(torch.float32)
    if not bool(torch.isfinite(planes).all()):
        raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")
    levels = torch.as_tensor(thresholds, device=maps.device)
    concepts = masks.to(maps.device).flatten(2)
    intersection = torch.zeros((maps.shape[1], concepts.shape[1]), dtype=torch.int64, device=maps.device)
    activated = torch.zeros(maps.shape[1], dtype=torch.int64, device=maps.device)
    image, unit = torch.nonzero(planes.amax(dim=(2, 3)) > levels, as_tuple=True)
    step = max(1, block_values // concepts.shape[2])
    for start in range(0, len(image), step):
        at, which = image[start : start + step], unit[start : start + step]
        active = (_upsampled(planes[at, which], cells) > levels[which, None, None]).flatten(1)
        activated.index_add_(0, which, active.sum(dim=1))
        for n in sorted(set(at.tolist())):
            own = at == n
            intersection.index_add_(0, which[own], _overlaps(active[own], concepts[n]))
    return intersection.cpu().numpy(), activated.cpu().numpy(), concepts.sum(dim=(0, 2)).cpu().numpy()


def _upsampled(planes: Tensor, cells: CellGrid) -> Tensor:
    """(b, h, w) float32 to (b, H, W) float32, the pixels that the compiled loops interpolate, bit for bit."""
    down = _between(planes.to(torch.float64), (cells.row_start, cells.row_share), 1)
    return _between(down, (cells.column_start, cells.column_share), 2).to(torch.float32)


def _between(values: Tensor, axis: tuple[NDArray[np.int64], NDArray[np.float64]], dim: int) -> Tensor:
    start, share = axis
    low = torch.as_tensor(np.repeat(np.arange(len(start) - 1), np.diff(start)), device=values.device)
    first = values.index_select(dim, low)
    step = values.index_select(dim, (low + 1).clamp(max=values.shape[dim] - 1)) - first
    shape = [1, -1, 1] if dim == 1 else [1, 1, -1]
    # Multiplied and added one after the other: a fused operation would round once less than the compiled loops.
    step.mul_(torch.tensor(share, device=values.device).view(shape))
    return first.add_(step)


def _overlaps(active: Tensor, concepts: Tensor) -> Tensor:
    """(b, P) and (C, P) bool to (b, C) int64: the pixels in both."""
    kind = torch.float32 if concepts.shape[1] <= _EXACT_IN_FLOAT32 else torch.float64
    return (active.to(kind) @ concepts.to(kind).T).to(torch.int64)
