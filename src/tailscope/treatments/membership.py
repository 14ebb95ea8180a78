"""Which images belong to which class, and one weight per image from the weights of its classes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError

Reduce: TypeAlias = Literal["max", "mean", "sum"]


def membership(targets: NDArray[np.floating], num_classes: int) -> NDArray[np.bool_]:
    """The positives, and whether there is none: the images without a positive are one more class.

    Args:
        targets: (N, K) in {0, 1, NaN}; NaN is no positive.
        num_classes: K.

    Returns:
        (N, K + 1) bool, at least one True per row.

    Raises:
        InputError: The targets are not (N, K).

    Example:
        >>> membership(np.array([[1, 0], [0, float("nan")]]), 2).tolist()
        [[True, False, False], [False, False, True]]
    """
    if targets.ndim != 2 or targets.shape[1] != num_classes:
        raise InputError(f"`targets` must be (N, {num_classes}), one column per class; got {targets.shape}")
    positive = targets == 1
    return np.column_stack([positive, ~positive.any(axis=1)])


def reduced(weights: NDArray[np.float64], member: NDArray[np.bool_], reduce: Reduce) -> NDArray[np.float64]:
    """One weight per image.

    Args:
        weights: (M,) per class, or (N, M) per image and class; 0 or more.
        member: (N, M) bool, at least one True per row.
        reduce: How the weights of an image's classes become one.

    Returns:
        (N,) float64.

    Example:
        >>> reduced(np.array([1.0, 3.0]), np.array([[True, True], [True, False]]), "mean").tolist()
        [2.0, 1.0]
    """
    spread = np.where(member, weights, 0.0)
    if reduce == "max":
        return np.asarray(spread.max(axis=1))
    total = spread.sum(axis=1)
    return np.asarray(total if reduce == "sum" else total / member.sum(axis=1))
