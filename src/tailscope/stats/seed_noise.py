"""Seed noise of all classes at once: a run that is lucky on one class is often lucky on others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError
from tailscope.stats.samples import sample_variance

Floats = NDArray[np.float64]


def seed_scatter(values: ArrayLike, floor: float = 0.0) -> Floats:
    """Rows whose cross product is the seed covariance of an arm's mean over seeds, in the metric's unit squared.

    The covariance within arms is pooled over the arms and divided by S. Its diagonal is s²_w/S of METHODS section 7,
    with the floor, so it agrees with the variances of the findings; its other entries are how the classes of one run go
    up and down together, which a mean over classes or a slope must not take for independent noise.

    Args:
        values: (A, S, K) the metric of every arm, seed and class; finite.
        floor: Least s²_w of a class: the metric's median over classes.

    Returns:
        (M, K) rows E: Eᵀ E is the (K, K) covariance, and standard normal numbers times E are draws of it.

    Raises:
        InputError: ``values`` is not (A, S, K), has one seed, or a value is missing.

    Source: METHODS section 7; multivariate analysis of variance, within-groups covariance (Anderson 2003, section 8.9).

    Example:
        >>> rows = seed_scatter([[[0.0, 0.0], [2.0, 2.0]]])  # s²_w = 2 in both classes, S = 2, and they move together
        >>> (rows.T @ rows).round(9).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    value = np.asarray(values, dtype=np.float64)
    if value.ndim != 3 or value.shape[1] < 2 or not np.isfinite(value).all():
        raise InputError(f"`values` must be (A, S, K), S 2 or more, and finite; got {value.shape}")
    arms, seeds, classes = value.shape
    within = np.array([[sample_variance(value[arm, :, k]) for k in range(classes)] for arm in range(arms)])
    residuals = np.where(within[:, None, :] > 0, value - value.mean(axis=1, keepdims=True), 0.0)
    variance = within.mean(axis=0)
    wanted = np.maximum(variance, floor)
    varies = variance > 0
    scale = np.sqrt(np.divide(wanted, variance, out=np.zeros(classes), where=varies) / (arms * (seeds - 1) * seeds))
    rows = residuals.reshape(arms * seeds, classes) * scale
    # a class without any seed noise of its own has nothing to move together with: its floor stands alone
    alone = np.diag(np.where(varies, 0.0, np.sqrt(wanted / seeds)))
    return np.concatenate([rows, alone[~varies]])
