"""How far a difference will scatter, before any run can show it: rules of thumb from numbers of patients alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

AUROC = 0.8
CORRELATION = 0.8
SEED_RATIO = 0.7
SEED_FLOOR = 0.004
MASS_PATIENT_SD = 0.06
MASS_SEED_SD = 0.01
ASSUMPTIONS = (
    f"Assumed, a rule of thumb: an AUROC of {AUROC:g}; a correlation of {CORRELATION:g} between the AUROCs (APs) of "
    "two arms (usual: 0.5 to 0.9; at 0.5 the patient part of the standard error is 1.6 times as large); seeds that "
    f"scatter by {SEED_RATIO:g} of the standard error of one AUROC, and by {SEED_FLOOR:g} besides; mass inside: a "
    f"standard deviation of {MASS_PATIENT_SD:g} between patients and of {MASS_SEED_SD:g} between seeds."
)
_STEPS = 20_001


@dataclass(frozen=True)
class Spread:
    """What the variance of a paired difference will be made of.

    Args:
        patients: v_P, of the mean over seeds; it falls as 1/positives.
        seeds: The part of s²_w, between seeds of one arm, that falls as 1/positives too.
        seeds_floor: The part of s²_w that does not.
        level: Value of the metric, to which a ratio refers.
    """

    patients: float
    seeds: float
    seeds_floor: float
    level: float


def assumed_spread(metric: str, positives: int, negatives: int) -> Spread:
    """The spread of one metric on one class by rule of thumb (decision 20).

    One AUROC or AP has the variance V. Two arms on the same images are correlated by ρ, so v_P = 2V(1 − ρ).

    Args:
        metric: ``auroc``, ``average_precision`` or ``mass_inside``.
        positives: Test patients with a positive image; for ``mass_inside``, with an annotated one.
        negatives: Test patients with a negative image.

    Source: Hanley and McNeil 1983, equation 1 (correlated areas); for AP, Boyd, Eng and Page 2013, binomial interval.

    Example:
        >>> spread = assumed_spread("auroc", 20, 1000)  # one AUROC has the standard error .0491
        >>> round(math.sqrt(spread.patients), 4), round(math.sqrt(spread.seeds), 4)
        (0.031, 0.0343)
    """
    floor = SEED_FLOOR**2
    if metric == "mass_inside":
        return Spread(MASS_PATIENT_SD**2 / positives, 0.0, MASS_SEED_SD**2, math.nan)
    if metric == "auroc":
        level, variance = AUROC, auroc_variance(AUROC, positives, negatives)
    else:
        level = binormal_ap(AUROC, positives / (positives + negatives))
        variance = level * (1 - level) / positives
    return Spread(2 * variance * (1 - CORRELATION), SEED_RATIO**2 * variance, floor, level)


def auroc_variance(auroc: float, positives: int, negatives: int) -> float:
    """Variance of one AUROC of independent images whose scores are normal with equal variance in both classes.

    Hanley and McNeil's own approximation of Q1 and Q2 is for exponential scores; with few positives its standard error
    is some 15 % too large for normal ones.

    Source: Bamber 1975; Hanley and McNeil 1982, equation 1.

    Example:
        >>> round(math.sqrt(auroc_variance(0.5, 1, 1)), 3)  # a toss of a coin
        0.5
    """
    # With equal variances Q1 = Q2: two positives beat one negative as often as one positive beats two negatives.
    twice = float(np.mean((1 - _binormal(auroc)[1]) ** 2)) - auroc**2
    return (auroc * (1 - auroc) + (positives + negatives - 2) * twice) / (positives * negatives)


def binormal_ap(auroc: float, prevalence: float) -> float:
    """Average precision of scores that are normal with equal variance in both classes, in [0, 1].

    The mean over positives of the precision at their score.

    Example:
        >>> round(binormal_ap(0.5, 0.1), 3)  # guessing gives the prevalence
        0.1
    """
    found, false = _binormal(auroc)
    return float((prevalence * found / (prevalence * found + (1 - prevalence) * false)).mean())


def _binormal(auroc: float) -> tuple[Floats, Floats]:
    """True and false positive rates at the scores of evenly spread positives."""
    shift = math.sqrt(2) * float(stats.norm.ppf(auroc))
    found = (np.arange(_STEPS) + 0.5) / _STEPS
    return found, np.asarray(stats.norm.sf(stats.norm.isf(found) + shift))
