"""Means over classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailscope.core import Estimate


def macro(values: ArrayLike) -> Estimate:
    """Mean over the estimable classes, with their number as n.

    Args:
        values: (K,), NaN where a class is not estimable.

    Returns:
        An estimate without interval; NaN with a reason where no class is estimable.

    Example:
        >>> macro([0.5, float("nan"), 1.0])
        Estimate(value=0.75, n=2, lo=nan, hi=nan, reason='')
    """
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return Estimate.missing("no estimable class")
    return Estimate(float(finite.mean()), int(finite.size))
