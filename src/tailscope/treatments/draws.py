"""Draws of images: as an order, as counts, as chances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError


def draws_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """The draws behind counts, in order of the images: what :func:`sampling_audit` takes.

    >>> draws_of(np.array([2, 0, 1])).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(counts)), counts)


def positives_of(targets: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.bool_]:
    """(N, K) bool; refuses targets of another width."""
    if targets.ndim != 2 or targets.shape[1] != len(classes):
        raise InputError(f"`targets` must be (N, {len(classes)}), one column per class; got {targets.shape}")
    return np.asarray(targets == 1)


def are_weights(weights: NDArray[np.float64], num_images: int) -> bool:
    """Whether they are draw weights: one finite number per image, 0 or more and not all 0.

    >>> are_weights(np.array([1.0, 0.0]), 2), are_weights(np.array([1.0, 0.0]), 3), are_weights(np.zeros(2), 2)
    (True, False, False)
    """
    is_usable = weights.shape == (num_images,) and np.isfinite(weights).all() and weights.min() >= 0
    return bool(is_usable and weights.sum() > 0)


def probabilities_of(weights: NDArray[np.float64] | None, num_images: int) -> NDArray[np.float64]:
    """(N,) chance of each image per draw; refuses weights that are none."""
    if weights is None:
        return np.full(num_images, 1 / num_images)
    if not are_weights(weights, num_images):
        raise InputError(
            f"`weights` must be {num_images} finite numbers, one per image, 0 or more and not all 0; "
            f"got shape {weights.shape}"
        )
    return np.asarray(weights / weights.sum())


def label_patterns(positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) number of the label combination of each image of (N, K) positives.

    >>> label_patterns(np.array([[True, False], [False, False], [True, False]])).tolist()
    [1, 0, 1]
    """
    _, patterns = np.unique(np.packbits(positive, axis=1), axis=0, return_inverse=True)
    return np.asarray(patterns.ravel(), dtype=np.int64)


def draw_counts(drawn: NDArray[np.integer], num_images: int) -> NDArray[np.int64]:
    """(N,) how often each image was drawn; refuses an index that is out of range."""
    if not len(drawn) or drawn.min() < 0 or drawn.max() >= num_images:
        raise InputError(f"`drawn` must be one or more numbers in [0, {num_images}); got {drawn}")
    return np.bincount(drawn, minlength=num_images)
