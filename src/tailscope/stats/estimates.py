"""The value of one arm with its interval."""

from __future__ import annotations

from tailscope.core import Estimate
from tailscope.stats.levels import against_zero
from tailscope.stats.samples import MetricSamples


def arm_estimate(samples: MetricSamples, arm: int) -> Estimate:
    """Mean over seeds with its 95 % interval, v = s²_w/S + v_P and a t reference.

    s²_w is pooled over the arms, as in :func:`tailscope.stats.paired_difference`.

    Args:
        samples: One (lens, metric, class).
        arm: Number of the arm, control is 0.

    Returns:
        Value, n and interval; no interval, with the reason, for one seed or fewer than 2 patients.

    Raises:
        InputError: There is no such arm.

    Source: METHODS section 7.

    Example:
        >>> import numpy as np
        >>> cell = MetricSamples("performance", "auroc", "mass", "head", ("control",),
        ...     np.array([[0.6, 0.8]]), np.array([[0.7, 0.7]]), 9, 9, 9, 9)
        >>> found = arm_estimate(cell, 0)
        >>> round(found.value, 3), round(found.hi - found.value, 3)  # 12.706 · 0.1
        (0.7, 1.271)
    """
    found = against_zero(samples, arm)
    lo, hi = found.interval(0.95)
    return Estimate(found.difference, samples.n, lo, hi, reason=found.reason)
