"""Whether a loss depends on how the images are put into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tailscope.treatments.gradient_audit import value_and_gradient

TOLERANCE = 1e-6
_FEWEST = 2  # batches of the base size, so that another order makes other batches


def batch_audit(loss: nn.Module, logits: Tensor, targets: Tensor, batch_size: int) -> dict[str, Any]:
    """Whether batch size, order or the number of processes changes the gradient that a loss gives in the mean.

    The mean gradient over batches is compared with that over batches of a quarter of the size, over other batches of
    the same size, and over two processes that take one half of each batch and average; always of the same images.
    Unknown labels are replaced by negatives (or, where enough images have none, such images are left out): the mean
    over known cells is a function of the batch by itself, for control as well.

    Args:
        loss: A treatment's loss.
        logits: (N, K).
        targets: (N, K) in {0, 1, NaN}.
        batch_size: Of the training; lowered until the images make two batches.

    Returns:
        ``batch_size`` as used; ``change``: relative L2 change of the gradient by ``batch_size``, ``order`` and
        ``processes``; ``depends``: whether each is above 1e-6; ``sentence``.

    Example:
        >>> from tailscope.treatments.cross_entropy import WeightedBCE
        >>> logits, targets = torch.zeros(8, 1), torch.tensor([[1.0], *[[0.0]] * 7])
        >>> batch_audit(WeightedBCE(1), logits, targets, 4)["depends"]
        {'batch_size': False, 'order': False, 'processes': False}
    """
    size = _usable_size(len(logits), batch_size)
    if size < 2:
        return _record(size, {"batch_size": 0.0, "order": 0.0, "processes": 0.0}, "too few images to tell")
    x, y = _known(logits.detach().cpu().double(), targets.detach().cpu().double(), _FEWEST * size)
    rows = torch.arange(len(x) // size * size)
    other = torch.from_numpy(np.random.default_rng(7).permutation(len(rows)))
    base = _mean_gradient(loss, x, y, _cut(rows, size))
    change = {
        "batch_size": _relative(_mean_gradient(loss, x, y, _cut(rows, max(size // 4, 1))), base),
        "order": _relative(_mean_gradient(loss, x, y, _cut(other, size)), base),
        "processes": _relative(_mean_gradient(loss, x, y, _cut(rows, size // 2)), base),
    }
    return _record(size, change, _sentence(size, change))


def _usable_size(num_images: int, batch_size: int) -> int:
    """A multiple of 4 if at all possible, so that quarters and halves are whole."""
    size = min(batch_size, num_images // _FEWEST)
    return size // 4 * 4 if size >= 4 else size // 2 * 2


def _known(logits: Tensor, targets: Tensor, enough: int) -> tuple[Tensor, Tensor]:
    whole = ~targets.isnan().any(dim=1)
    if int(whole.sum()) >= enough:
        return logits[whole], targets[whole]
    return logits, torch.nan_to_num(targets, nan=0.0)


def _cut(rows: Tensor, size: int) -> Sequence[Tensor]:
    return torch.chunk(rows, len(rows) // size)


def _mean_gradient(loss: nn.Module, logits: Tensor, targets: Tensor, batches: Sequence[Tensor]) -> Tensor:
    gradient = torch.zeros_like(logits)
    for rows in batches:
        gradient[rows] = value_and_gradient(loss, logits[rows], targets[rows])[1] / len(batches)
    return gradient


def _relative(found: Tensor, base: Tensor) -> float:
    return float((found - base).norm() / base.norm())


def _record(size: int, change: dict[str, float], sentence: str) -> dict[str, Any]:
    # NaN counts as a change: a loss that is not finite in some batch depends on it.
    depends = {name: not value <= TOLERANCE for name, value in change.items()}
    return {"batch_size": size, "change": change, "depends": depends, "sentence": sentence}


def _sentence(size: int, change: dict[str, float]) -> str:
    ways = {
        "batch_size": f"with batches of {max(size // 4, 1)} instead of {size}",
        "order": "with the same images in other batches",
        "processes": "on two processes instead of one",
    }
    found = [f"{ways[name]} by {100 * value:.2g} %" for name, value in change.items() if not value <= TOLERANCE]
    if not found:
        return "the loss does not depend on batch size, order or the number of processes"
    return f"the loss is a function of the batch: its mean gradient changes {', '.join(found)}"
