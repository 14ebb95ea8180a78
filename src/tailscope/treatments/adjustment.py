"""Adjustments of the logits after training: per class a scale above 0 and a shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FittedOn:
    """What an adjustment may be fitted on; the test split is not among it.

    Args:
        train_logits: (N, K) logits of the training images, without augmentation.
        train_targets: (N, K) in {0, 1, NaN}.
        val_logits: (M, K) logits of the validation images.
        val_targets: (M, K) in {0, 1, NaN}.
        head_weight: (K, D) weights of the last linear layer, or None where the network has none.
        head_bias: (K,) its bias, zeros where it has none.
        classes: K names, for notes.
    """

    train_logits: NDArray[np.float64]
    train_targets: NDArray[np.float64]
    val_logits: NDArray[np.float64]
    val_targets: NDArray[np.float64]
    head_weight: NDArray[np.float64] | None
    head_bias: NDArray[np.float64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class AffineLogits:
    """x·scale + shift per class; it keeps the order of the images within each class, because the scale is above 0.

    Args:
        scale: K numbers above 0.
        shift: K numbers.
        notes: What could not be fitted, one sentence each.

    Example:
        >>> AffineLogits((2.0,), (1.0,))(np.array([[0.0], [3.0]])).tolist()
        [[1.0], [7.0]]
    """

    scale: tuple[float, ...]
    shift: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def __call__(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, K) adjusted logits, float64."""
        return np.asarray(np.asarray(logits, dtype=np.float64) * np.array(self.scale) + np.array(self.shift))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        return {"scale": list(self.scale), "shift": list(self.shift), "notes": list(self.notes)}


@dataclass(frozen=True, eq=False)
class AfterTraining:
    """A step after training, on final weights.

    Args:
        base: Name and settings of the treatment with which the network is trained; a finished run of that treatment and
            seed serves as it is, because its weights would come out bit for bit the same.
        fit: From what may be fitted on to the adjustment.
        reads: What of it ``fit`` reads, any of ``"train"``, ``"val"`` and ``"head"``; the rest is empty. ``"head"``
            needs a network whose head is linear; that is checked before training.
    """

    base: tuple[str, dict[str, Any]]
    fit: Callable[[FittedOn], AffineLogits]
    reads: tuple[str, ...] = ("train", "val")
