"""The value of one arm with its interval."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tailscope.core import Estimate, InputError
from tailscope.stats.differences import satterthwaite
from tailscope.stats.samples import MetricSamples, sample_variance


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
    if not 0 <= arm < len(samples.arms):
        raise InputError(f"`arm` must be 0 to {len(samples.arms) - 1}; got {arm}")
    if samples.why_missing:
        return Estimate.missing(samples.why_missing, samples.n)
    value = float(samples.values[arm].mean())
    if samples.seeds < 2:
        return Estimate(value, samples.n, reason="one seed per arm: seed noise is unknown")
    drawn = samples.resampled[arm]
    patient_part = sample_variance(drawn[np.isfinite(drawn)])
    if patient_part > 0 and samples.patients < 2:
        return Estimate(value, samples.n, reason="fewer than 2 patients")
    seed_part = samples.seed_variance / samples.seeds
    if seed_part + patient_part == 0:
        return Estimate(value, samples.n, value, value)
    df = satterthwaite(
        (seed_part, len(samples.arms) * (samples.seeds - 1)), (patient_part, max(samples.patients - 1, 1))
    )
    half = float(stats.t.ppf(0.975, df) * np.sqrt(seed_part + patient_part))
    return Estimate(value, samples.n, value - half, value + half)
