"""Many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment of p values, in [0, 1].

    Args:
        p: (M,) in [0, 1]; NaN is no member of the family and stays NaN.

    Returns:
        (M,) float64 adjusted p values in the same order.

    Source: Holm 1979.

    Example:
        >>> holm([0.01, 0.04, float("nan"), 0.03]).round(4).tolist()
        [0.03, 0.06, nan, 0.06]
    """
    values, order, ranked = _family(p)
    adjusted = np.full(values.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(ranked * np.arange(order.size, 0, -1)), 1.0)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Benjamini and Hochberg's step-up adjustment of p values, in [0, 1]; it bounds the share of false discoveries.

    Args:
        p: (M,) in [0, 1]; NaN is no member of the family and stays NaN.

    Returns:
        (M,) float64 adjusted p values in the same order; never above those of :func:`holm`.

    Source: Benjamini and Hochberg 1995.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]).round(4).tolist()  # 3·0.01/1; 3·0.04/3; 3·0.03/2
        [0.03, 0.04, nan, 0.04]
    """
    values, order, ranked = _family(p)
    adjusted = np.full(values.shape, np.nan)
    raised = ranked * order.size / np.arange(1, order.size + 1)
    adjusted[order] = np.minimum.accumulate(raised[::-1])[::-1]
    return adjusted


def _family(p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """All p values, the places of the members by rising p, and their p values in that order."""
    values = np.asarray(p, dtype=np.float64)
    members = np.flatnonzero(~np.isnan(values))
    order = members[np.argsort(values[members], kind="stable")]
    return values, order, values[order]
