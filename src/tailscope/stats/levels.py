"""The value of one arm against 0, with one variance for its interval and its test."""

from __future__ import annotations

import numpy as np

from tailscope.core import InputError
from tailscope.stats.differences import PairedDifference, satterthwaite
from tailscope.stats.samples import MetricSamples, sample_variance


def against_zero(samples: MetricSamples, arm: int) -> PairedDifference:
    """Mean over seeds of one arm as a difference from 0, v = s²_w/S + v_P and a t reference.

    s²_w is pooled over the arms, as in :func:`tailscope.stats.paired_difference`.

    Args:
        samples: One (lens, metric, class).
        arm: Number of the arm, control is 0.

    Returns:
        The value; without p and interval, and with a reason, where the cell is not estimable, has one seed, or fewer
        than 2 patients.

    Raises:
        InputError: There is no such arm.

    Source: METHODS section 7.

    Example:
        >>> cell = MetricSamples("alignment", "on_tube", "mass", "head", ("control",),
        ...     np.array([[0.6, 0.8]]), np.array([[0.7, 0.7]]), 9, 9, 9, 9)
        >>> found = against_zero(cell, 0)  # s²_w = .02, so v = .02/2 with 1 degree of freedom, and t = .7/.1
        >>> round(found.difference, 3), round(found.variance, 3), round(found.p, 4)
        (0.7, 0.01, 0.0903)
    """
    if not 0 <= arm < len(samples.arms):
        raise InputError(f"`arm` must be 0 to {len(samples.arms) - 1}; got {arm}")
    if samples.why_missing:
        return PairedDifference(reason=samples.why_missing)
    value = float(samples.values[arm].mean())
    drawn = samples.resampled[arm]
    patient_part = sample_variance(drawn[np.isfinite(drawn)])
    if samples.seeds < 2:
        return PairedDifference(value, patient_part=patient_part, reason="one seed per arm: seed noise is unknown")
    if patient_part > 0 and samples.patients < 2:
        return PairedDifference(value, reason="fewer than 2 patients")
    seed_part = samples.seed_variance / samples.seeds
    df = satterthwaite(
        (seed_part, len(samples.arms) * (samples.seeds - 1)), (patient_part, max(samples.patients - 1, 1))
    )
    return PairedDifference(value, seed_part, patient_part, df)
