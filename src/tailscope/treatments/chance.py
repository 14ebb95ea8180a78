"""Chance in draws: what differs from an expectation by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LOG_CHANCE = 18.0  # a difference is reported if chance explains it less often than 2·e^−18: once in 30 million
_FEWEST_EXPECTED = 5.0  # below this many expected draws, χ² misleads


def ratio(value: float, reference: float) -> float:
    """Their quotient, NaN where the reference is 0."""
    return value / reference if reference else math.nan


def beyond_chance(difference: float, variance: float) -> bool:
    """Whether a count differs too much for chance, by Bernstein's inequality: a z alone misleads for rare events.

    Without any variance, every difference counts.

    Args:
        difference: Size of the difference of a sum of independent draws in {0, 1} from its mean; below 0 never counts.
        variance: Variance of that sum.

    Source: Bernstein's inequality, P(S − E S ≥ t) ≤ exp(−t²/(2(v + t/3))); Hoeffding (1963), section 4, for draws
    without replacement.

    Example:
        >>> beyond_chance(5, variance=1), beyond_chance(50, variance=100), beyond_chance(1, variance=0)
        (False, False, True)
        >>> beyond_chance(80, variance=100)
        True
    """
    if difference <= 0 or variance == 0:
        return difference > 0
    return difference**2 / (2 * (variance + difference / 3)) > LOG_CHANCE


def standard_errors(shares: NDArray[np.float64], draws: int, epoch: int | None) -> NDArray[np.float64]:
    """Of a share among draws with replacement; or without, from an ``epoch`` of so many images at a time.

    Whole epochs draw every image alike, so only the images of the last, partial epoch vary (hypergeometric).

    >>> standard_errors(np.array([0.5]), 100, None).tolist(), standard_errors(np.array([0.5]), 100, 100).tolist()
    ([0.05], [0.0])
    """
    variance = shares * np.maximum(1 - shares, 0)
    return np.asarray(np.sqrt(variance * _independent_draws(draws, epoch)) / draws)


def z_scores(difference: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences in standard errors; without an error a difference is infinite, but for rounding.

    >>> z_scores(np.array([0.1, 0.1, 0.0]), np.array([0.05, 0.0, 0.0])).tolist()
    [2.0, inf, 0.0]
    """
    difference = np.where(np.abs(difference) < 1e-12, 0, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(difference == 0, 0, difference / error))


def expected_distinct(probabilities: NDArray[np.float64], draws: int, *, with_replacement: bool) -> float:
    """Number of different images that so many draws are expected to show.

    >>> expected_distinct(np.array([0.5, 0.5]), 2, with_replacement=True)
    1.5
    """
    if not with_replacement:
        return float(min(len(probabilities), draws))
    return float(np.sum(-np.expm1(draws * np.log1p(-np.minimum(probabilities, 1 - 1e-16)))))


def chi_square(
    difference: NDArray[np.float64], expected: NDArray[np.float64], draws: int, epoch: int | None
) -> dict[str, Any]:
    """Whether the shares of all classes together differ by more than chance, co-occurrence taken into account.

    d'·V⁻·d with V the covariance of the shares, so that classes that come together do not count twice. Only classes
    with at least 5 expected draws of either kind enter.

    Args:
        difference: (K,) realised minus expected share of the draws that are positive.
        expected: (K, K) expected share positive for both; the classes' own on the diagonal.
        draws: Number of draws.
        epoch: As in :func:`standard_errors`.

    Returns:
        ``statistic``, ``degrees`` and ``p``; p is NaN where nothing can vary.
    """
    own = expected.diagonal()
    usual = draws * np.minimum(own, 1 - own) >= _FEWEST_EXPECTED
    independent = _independent_draws(draws, epoch)
    if independent == 0 or not usual.any():
        return {"statistic": 0.0, "degrees": 0, "p": math.nan}
    covariance = (expected - np.outer(own, own))[np.ix_(usual, usual)] * independent / draws**2
    values, vectors = np.linalg.eigh(covariance)
    varies = values > 1e-10 * values.max()
    projected = vectors[:, varies].T @ difference[usual]
    return _tested(float(np.sum(projected**2 / values[varies])), int(varies.sum()))


def pattern_chi_square(
    patterns: NDArray[np.int64], probabilities: NDArray[np.float64], counts: NDArray[np.int64], epoch: int | None
) -> dict[str, Any]:
    """Whether the draws of whole label combinations differ by more than chance: co-occurrence of any order.

    Combinations with fewer than 5 expected draws count as one.

    Args:
        patterns: (N,) number of the label combination of each image.
        probabilities: (N,) chance of each image per draw, sum 1.
        counts: (N,) how often each was drawn.
        epoch: As in :func:`standard_errors`.

    Returns:
        ``statistic``, ``degrees``, ``p`` and ``patterns``, the number of cells; p is NaN where nothing can vary.
    """
    draws = int(counts.sum())
    expected = draws * np.bincount(patterns, weights=probabilities)
    realised = np.bincount(patterns, weights=counts)
    few = expected < _FEWEST_EXPECTED
    expected = np.append(expected[~few], expected[few].sum())
    realised = np.append(realised[~few], realised[few].sum())
    if expected[-1] < _FEWEST_EXPECTED:  # too few even together: they say nothing
        expected, realised = expected[:-1], realised[:-1]
    independent = _independent_draws(draws, epoch)
    if independent == 0 or len(expected) < 2:
        return {"statistic": 0.0, "degrees": 0, "p": math.nan, "patterns": len(expected)}
    statistic = float(np.sum((realised - expected) ** 2 / expected)) * draws / independent
    return {**_tested(statistic, len(expected) - 1), "patterns": len(expected)}


def count_extremes(
    probabilities: NDArray[np.float64], counts: NDArray[np.int64], *, with_replacement: bool
) -> dict[str, dict[str, float]]:
    """The image drawn too often, and the one drawn too rarely, for its weight.

    Args:
        probabilities: (N,) chance of each image per draw.
        counts: (N,) how often each was drawn.
        with_replacement: Without it, an image is drawn as often as any other, or once more.

    Returns:
        ``most`` and ``least``: ``times`` drawn, ``expected``, and ``p``, the binomial chance that any of the N
        images is drawn so often (so rarely), by Bonferroni's bound.
    """
    draws, images = int(counts.sum()), len(counts)
    if with_replacement:
        tails = {
            "most": stats.binom.sf(counts - 1, draws, probabilities),
            "least": stats.binom.cdf(counts, draws, probabilities),
        }
    else:
        lowest, rest = divmod(draws, images)
        tails = {
            "most": np.where(counts <= lowest + (rest > 0), 1.0, 0.0),
            "least": np.where(counts >= lowest, 1.0, 0.0),
        }
    return {side: _extreme(np.asarray(tail), counts, draws * probabilities) for side, tail in tails.items()}


def differs(record: Mapping[str, float], draws: int) -> bool:
    """Whether a record's ``realised`` share differs from its ``expected`` one beyond chance, given its ``z``."""
    if record["z"] == 0:
        return False
    difference = abs(record["realised"] - record["expected"]) * draws
    return beyond_chance(difference, (difference / record["z"]) ** 2)


def _independent_draws(draws: int, epoch: int | None) -> float:
    """So many independent draws vary as much as these do."""
    if epoch is None:
        return float(draws)
    partial = draws % epoch
    return partial * (epoch - partial) / max(epoch - 1, 1)


def _tested(statistic: float, degrees: int) -> dict[str, Any]:
    return {"statistic": statistic, "degrees": degrees, "p": float(stats.chi2.sf(statistic, degrees))}


def _extreme(tail: NDArray[np.float64], counts: NDArray[np.int64], expected: NDArray[np.float64]) -> dict[str, float]:
    image = int(np.argmin(tail))
    return {
        "times": int(counts[image]),
        "expected": float(expected[image]),
        "p": min(1.0, float(tail[image]) * len(tail)),
    }
