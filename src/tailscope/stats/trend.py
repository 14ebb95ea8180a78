"""Does a treatment change rare classes more than frequent ones? Slope of the signed difference on log prevalence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tailscope.core import InputError
from tailscope.stats.differences import satterthwaite
from tailscope.stats.samples import ROUNDING, MetricSamples
from tailscope.stats.seed_noise import seed_scatter

Floats = NDArray[np.float64]
_NAN = float("nan")
_LEAST = 3  # classes; a line through two has no scatter


@dataclass(frozen=True, eq=False)
class ClassCovariance:
    """How the d̄ of K classes vary together, because they share patients and runs.

    Args:
        patients: (K, K) covariance over patient resamples, seeds fixed.
        seeds: (K, K) covariance between sets of seeds.
        patient_df: Degrees of freedom of ``patients``.
        seed_df: Of ``seeds``, (T+1)(S−1).
    """

    patients: Floats
    seeds: Floats
    patient_df: float
    seed_df: float

    @property
    def total(self) -> Floats:
        """(K, K) patients and seeds."""
        return self.patients + self.seeds

    def of(self, chosen: NDArray[np.bool_]) -> ClassCovariance:
        """That of some of the classes, given as a (K,) mask."""
        block = np.ix_(chosen, chosen)
        return ClassCovariance(self.patients[block], self.seeds[block], self.patient_df, self.seed_df)


@dataclass(frozen=True)
class TailTrend:
    """The weighted line of d̄ on −log₁₀ π, with its uncertainty.

    Args:
        slope: Change of the signed d̄ per tenfold fall of prevalence; above 0, rarer classes gain more (or lose less).
        intercept: The line at a prevalence of 1; an extrapolation that serves to draw it.
        se: Standard error of the slope that interval and p use.
        df: Degrees of freedom of their t distribution.
        noise_se: Standard error from patients and seeds alone, as if every class lay on the line.
        model_se: Standard error of weighted least squares, from the scatter of the classes about the line alone.
        scatter: τ, standard deviation of the classes about the line beyond patients and seeds.
        classes: K, classes on the line.
        reason: Why there is no slope; empty where there is.
    """

    slope: float = _NAN
    intercept: float = _NAN
    se: float = _NAN
    df: float = _NAN
    noise_se: float = _NAN
    model_se: float = _NAN
    scatter: float = _NAN
    classes: int = 0
    reason: str = ""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided t interval of the slope."""
        half = 0.0 if self.se == 0 else float(stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.slope - half, self.slope + half

    @property
    def p(self) -> float:
        """Two-sided p of no trend; 1 where the arms agree exactly in every class."""
        return 1.0 if self.se == 0 else float(2 * stats.t.sf(abs(self.slope) / self.se, self.df))


def tail_trend(
    differences: ArrayLike, variances: ArrayLike, prevalence: ArrayLike, covariance: ClassCovariance | None = None
) -> TailTrend:
    """Change of the signed d̄ per tenfold fall of prevalence, in the metric's unit; above 0 favours the tail.

    Weighted least squares of d̄ on −log₁₀ π with weights 1/v; never of |d̄|, which grows toward the tail with its noise.
    The slope is Σ l·d̄ with fixed l, so its variance over patients and seeds is lᵀ Σ l, the same as if it were computed
    anew on every resample. To this comes τ² lᵀ l, where τ² is what the classes scatter about the line beyond their
    noise (method of moments, 0 at least). Neither part can be left out: without Σ, a lucky run that lifts all rare
    classes looks like a trend, and without τ², one class far off the line does.

    The reference is t with K − 2 degrees of freedom, or those of Σ where they are fewer.

    Args:
        differences: (K,) d̄; a class without one, or without variance (NaN), is left out.
        variances: (K,) v.
        prevalence: (K,) training prevalence in (0, 1].
        covariance: Σ of the classes, patients and seeds; independent classes with variance v where None.

    Returns:
        The line; with a reason instead where fewer than 3 classes remain, all are equally frequent, or v is 0.

    Raises:
        InputError: The shapes differ, or a prevalence is out of range.

    Source: METHODS section 7; meta-regression with a moment estimate of τ², Thompson and Sharp 1999, section 3; t with
    K − 2 degrees of freedom, Knapp and Hartung 2003.

    Example:
        >>> found = tail_trend([0.0, 0.01, 0.02], [0.0001] * 3, [0.1, 0.01, 0.001])
        >>> round(found.slope, 6), round(found.se, 6)  # on the line; Σ(x − x̄)² = 2, so the variance is .0001/2
        (0.01, 0.007071)
    """
    d, v, rarity = _checked(differences, variances, prevalence, covariance)
    usable = np.isfinite(d) & np.isfinite(v)
    d, v, rarity = d[usable], v[usable], rarity[usable]
    why = _why_no_line(d, v, rarity)
    if why:
        return TailTrend(classes=d.size, reason=why)
    if not v.all():
        return TailTrend(0.0, 0.0, 0.0, float("inf"), 0.0, 0.0, 0.0, d.size)
    return _line(d, 1 / v, rarity, _independent(v) if covariance is None else covariance.of(usable))


def class_covariance(cells: Sequence[MetricSamples], arm: int, floor: float = 0.0) -> ClassCovariance:
    """How the d̄ of one arm vary together over the classes of one metric, in its unit squared.

    A resample that was drawn anew for one class shares no patients with the others', which takes a little of their
    covariance.

    Args:
        cells: K, one per class, all estimable, of the same arms, seeds and resamples.
        arm: Number of the arm, 1 or more.
        floor: Least s²_w, as in :func:`tailscope.stats.paired_difference`.

    Raises:
        InputError: No cell, one seed, a missing value, or fewer than 2 resamples in which every class has a value.

    Source: METHODS section 7.

    Example:
        >>> cell = MetricSamples("performance", "auroc", "mass", "head", ("control", "focal"),
        ...     np.array([[0.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 0.0], [1.0, 3.0]]), 9, 9, 9, 9)
        >>> found = class_covariance([cell, cell], 1)  # resamples 1 and 3; s²_w = 2, so seeds give 2·2/2
        >>> found.patients.tolist(), found.seeds.round(9).tolist()
        ([[2.0, 2.0], [2.0, 2.0]], [[2.0, 2.0], [2.0, 2.0]])
    """
    if not cells:
        raise InputError("`cells` must hold at least one class; got none")
    drawn = np.stack([cell.resampled[arm] - cell.resampled[0] for cell in cells])
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if drawn.shape[1] < 2:
        raise InputError(
            f"expected 2 or more resamples in which every class of `cells` has a value; got {drawn.shape[1]}"
        )
    rows = seed_scatter(np.stack([cell.values for cell in cells], axis=2), floor)
    patient_df = max(min(cell.patients for cell in cells) - 1, 1)
    return ClassCovariance(_product(drawn), 2 * rows.T @ rows, patient_df, len(cells[0].arms) * (cells[0].seeds - 1))


def _product(drawn: Floats) -> Floats:
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    # einsum sums in one order, whatever the number of threads
    return np.asarray(np.einsum("ir,jr->ij", centred, centred) / (drawn.shape[1] - 1))


def _checked(
    differences: ArrayLike, variances: ArrayLike, prevalence: ArrayLike, covariance: ClassCovariance | None
) -> tuple[Floats, Floats, Floats]:
    d, v, share = (np.asarray(one, dtype=np.float64) for one in (differences, variances, prevalence))
    if d.ndim != 1 or not d.shape == v.shape == share.shape:
        raise InputError(
            f"`differences`, `variances` and `prevalence` must all be (K,); got {d.shape}, {v.shape} and {share.shape}"
        )
    if not ((share > 0) & (share <= 1)).all() or (v < 0).any():
        raise InputError("`prevalence` must be in (0, 1] and `variances` not negative; leave other classes out")
    if covariance is not None and covariance.total.shape != (d.size, d.size):
        raise InputError(f"`covariance` must be over {d.size} classes; got {covariance.total.shape}")
    return d, v, -np.log10(share)


def _why_no_line(d: Floats, v: Floats, rarity: Floats) -> str:
    if d.size < _LEAST:
        return f"{d.size} classes, expected {_LEAST} or more"
    if np.ptp(rarity) <= ROUNDING:
        return "all classes are equally frequent"
    if not v.all() and np.abs(d).max() > ROUNDING:
        return "a class has no variance"
    return ""


def _independent(v: Floats) -> ClassCovariance:
    return ClassCovariance(np.diag(v), np.zeros((v.size, v.size)), patient_df=v.size - 2, seed_df=v.size - 2)


def _line(d: Floats, weight: Floats, rarity: Floats, together: ClassCovariance) -> TailTrend:
    classes, heavy = d.size, weight.sum()
    centre = (weight * rarity).sum() / heavy
    pull = weight * (rarity - centre)
    spread = (pull * (rarity - centre)).sum()
    lever = pull / spread
    slope = float((lever * d).sum())
    intercept = float((weight * d).sum() / heavy - slope * centre)
    misfit = float((weight * (d - intercept - slope * rarity) ** 2).sum())

    def expected(matrix: Floats) -> float:
        """The misfit that errors of this covariance give on average: the trace of W(I − H) times it."""
        lost = weight @ matrix @ weight / heavy + pull @ matrix @ pull / spread
        return float((weight * np.diag(matrix)).sum() - lost)

    tau2 = max(misfit - expected(together.total), 0.0) / expected(np.eye(classes))
    parts = [float(lever @ matrix @ lever) for matrix in (together.patients, together.seeds)]
    noise_df = satterthwaite((parts[0], together.patient_df), (parts[1], together.seed_df))
    return TailTrend(
        slope=slope,
        intercept=intercept,
        se=float(np.sqrt(sum(parts) + tau2 * (lever**2).sum())),
        df=min(classes - 2.0, noise_df),
        noise_se=float(np.sqrt(sum(parts))),
        model_se=float(np.sqrt(misfit / (classes - 2) / spread)),
        scatter=float(np.sqrt(tau2)),
        classes=classes,
    )
