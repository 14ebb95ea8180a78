"""One paired difference to control with one variance for its interval, its test and its equivalence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tailscope.core import InputError
from tailscope.stats.samples import ROUNDING, MetricSamples, sample_variance

Floats = NDArray[np.float64]
_NAN = float("nan")
_POWER = 0.84  # normal quantile of a power of 80 %


@dataclass(frozen=True)
class PairedDifference:
    """d̄ = metric(treatment) − metric(control), mean over seeds, with v = 2·s²_w/S + v_P and a t reference.

    Args:
        difference: d̄.
        seed_part: 2·s²_w/S.
        patient_part: v_P.
        df: Degrees of freedom; infinite where v is 0.
        percentile: 95 % percentile interval of the patient bootstrap, seeds fixed; a check only.
        reason: Why there is no variance; empty where there is.
    """

    difference: float = _NAN
    seed_part: float = _NAN
    patient_part: float = _NAN
    df: float = _NAN
    percentile: tuple[float, float] = (_NAN, _NAN)
    reason: str = ""

    @property
    def variance(self) -> float:
        """V, seeds and patients."""
        return self.seed_part + self.patient_part

    @property
    def se(self) -> float:
        """Standard error √v."""
        return float(np.sqrt(self.variance))

    @property
    def seed_noise(self) -> float:
        """√(2s²_w/S): what two sets of seeds of one and the same arm differ by."""
        return float(np.sqrt(self.seed_part))

    @property
    def seed_share(self) -> float:
        """Share of the variance that more seeds would lessen, in [0, 1]; NaN where v is 0."""
        return self.seed_part / self.variance if self.variance > 0 else _NAN

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided t interval."""
        half = self._quantile((1 + level) / 2) * self.se
        return self.difference - half, self.difference + half

    @property
    def p(self) -> float:
        """Two-sided p of no difference; 1 where arms agree exactly."""
        return self.p_beyond(0.0)

    def p_beyond(self, margin: float) -> float:
        """P of H0 |d| ≤ margin: P(|T + margin/se| ≥ |d̄|/se), the size at the edge of H0, where it is largest.

        With margin 0 this is the two-sided p.
        """
        if self.variance == 0:
            return float(abs(self.difference) <= margin)
        size = abs(self.difference)
        return float(min(self._tail((size - margin) / self.se) + self._tail((size + margin) / self.se), 1.0))

    def p_within(self, lower: float, upper: float) -> float:
        """P of H0 "d is outside (lower, upper)": the larger of two one-sided tests (TOST).

        Below .05 exactly where the 90 % interval lies inside.
        """
        if self.variance == 0:
            return float(not lower < self.difference < upper)
        above, below = (self.difference - lower) / self.se, (upper - self.difference) / self.se
        return max(self._tail(above), self._tail(below))

    def detectable(self, family: int, alpha: float = 0.05) -> float:
        """Minimum detectable effect (t_{1−α/(2m)} + .84)·SE at 80 % power, with m = ``family`` tests."""
        return (self._quantile(1 - alpha / (2 * max(family, 1))) + _POWER) * self.se

    def _tail(self, statistic: float) -> float:
        return float(special.stdtr(self.df, -statistic)) if np.isfinite(self.df) else _NAN

    def _quantile(self, level: float) -> float:
        # without any variance the half width is 0 whatever the quantile
        return 0.0 if self.variance == 0 else float(special.stdtrit(self.df, level)) if np.isfinite(self.df) else _NAN


def paired_difference(samples: MetricSamples, arm: int, *, floor: float = 0.0) -> PairedDifference:
    """Compare one arm with control, ``arms[0]``.

    Args:
        samples: One (lens, metric, class).
        arm: Number of the arm, 1 or more.
        floor: Least s²_w: the metric's median over classes.

    Returns:
        The difference; without p and interval, and with a reason, where the cell is not estimable, has one seed, or
        fewer than 2 patients.

    Raises:
        InputError: ``arm`` is not one of the treatments.

    Source: METHODS section 7; degrees of freedom by Satterthwaite 1946.

    Example:
        >>> import numpy as np
        >>> cell = MetricSamples("performance", "auroc", "mass", "head", ("control", "focal"),
        ...     np.array([[0.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 0.0], [3.0, 3.0]]), 9, 9, 9, 9)
        >>> found = paired_difference(cell, 1)  # s²_w = 2, so v = 2·2/2 with 2·(2−1) degrees of freedom
        >>> found.difference, found.variance, found.df
        (3.0, 2.0, 2.0)
    """
    if not 1 <= arm < len(samples.arms):
        raise InputError(f"`arm` must be 1 to {len(samples.arms) - 1}, control is 0; got {arm}")
    if samples.why_missing:
        return PairedDifference(reason=samples.why_missing)
    difference = float((samples.values[arm] - samples.values[0]).mean())
    drawn = samples.resampled[arm] - samples.resampled[0]
    return _with_variance(samples, difference, drawn[np.isfinite(drawn)], floor)


def logarithmic(samples: MetricSamples) -> MetricSamples:
    """The same cell on the log scale, where a difference is a log ratio; a value must be above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values, resampled = np.log(samples.values), np.log(samples.resampled)
    reason = samples.reason or ("" if np.isfinite(values).all() else "a value is not above 0")
    fields = {name: getattr(samples, name) for name in samples.__dataclass_fields__}
    return MetricSamples(**{**fields, "values": values, "resampled": resampled, "reason": reason})


def seed_variance_floor(variances: list[float]) -> float:
    """Median of a metric's seed variances over the estimable classes; 0 where there is none.

    >>> seed_variance_floor([1.0, float("nan"), 5.0, 3.0])
    3.0
    """
    finite = [variance for variance in variances if np.isfinite(variance)]
    return float(np.median(finite)) if finite else 0.0


def _with_variance(samples: MetricSamples, difference: float, drawn: Floats, floor: float) -> PairedDifference:
    percentile = (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975)))
    patient_part = sample_variance(drawn)
    if samples.seeds < 2:
        reason = "one seed per arm: seed noise is unknown"
        return PairedDifference(difference, patient_part=patient_part, percentile=percentile, reason=reason)
    seed_part = 2 * max(samples.seed_variance, floor) / samples.seeds
    if patient_part > 0 and samples.patients < 2:
        return PairedDifference(difference, seed_part, percentile=percentile, reason="fewer than 2 patients")
    if seed_part + patient_part == 0 and abs(difference) > ROUNDING:
        return PairedDifference(difference, percentile=percentile, reason="no variance could be estimated")
    df = satterthwaite(
        (seed_part, len(samples.arms) * (samples.seeds - 1)), (patient_part, max(samples.patients - 1, 1))
    )
    return PairedDifference(difference, seed_part, patient_part, df, percentile)


def satterthwaite(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of independent variances, each given with its own.

    >>> satterthwaite((1.0, 4.0), (0.0, 9.0)), satterthwaite((1.0, 4.0), (1.0, 4.0))
    (4.0, 8.0)
    """
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return float("inf")
    # shares, not variances, so that tiny variances do not underflow when squared
    return float(1 / sum((variance / total) ** 2 / df for variance, df in parts))
