"""Which treatment stands where: ranks over the classes, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError, generator
from tailscope.stats.samples import ROUNDING, Direction

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankDistribution:
    """Where every arm stands among all arms; NaN throughout where no class can be ranked.

    Args:
        mean_rank: (A,) mean over classes of the rank of the mean over seeds, in [1, A]; 1 is best.
        lo: (A,) lower end of the 95 % percentile interval of the mean rank.
        hi: (A,) its upper end.
        places: (A, A) share of resamples in which an arm (row) takes a place (column, best first) by its mean rank;
            arms that tie share the places that they take. Rows and columns sum to 1.
        classes: Number of classes that are ranked.
    """

    mean_rank: Floats
    lo: Floats
    hi: Floats
    places: Floats
    classes: int

    @property
    def first(self) -> Floats:
        """(A,) share of resamples in which an arm has the best mean rank, in [0, 1]; ties are split."""
        return self.places[:, 0]


def rank_distribution(
    values: ArrayLike,
    resampled: ArrayLike,
    direction: Direction,
    *,
    seed_scatter: Floats | None = None,
    seed: int = 0,
) -> RankDistribution:
    """Mean rank of every arm over the classes, in [1, A], 1 is best, with its distribution over patients and seeds.

    A rank is that of the mean over seeds; equal values share the mean of their ranks. Each resample draws patients,
    alike for all arms and classes, and with ``seed_scatter`` a seed term per arm, alike pooled over the arms and moving
    classes together as runs do. The seeds themselves are not resampled: of three seeds a bootstrap has ten different
    samples per arm and two thirds of the variance, whereas the pooled covariance rests on A(S − 1) degrees of freedom
    and is the one noise that all findings use.

    The distribution answers how the arms would stand if the experiment were repeated: simulated, its interval covers
    the expected mean rank with 96 to 99 %. It is not an interval of the ranks that the true values have: noise draws
    ranks to the middle, the more so the closer the arms are, and no resampling undoes that.

    Args:
        values: (A, K) mean over seeds. A class with a missing value in some arm is left out of all arms.
        resampled: (A, K, R) the same on each patient resample, seeds fixed; a resample with a missing value is left
            out.
        direction: Which values are better.
        seed_scatter: (M, K) of :func:`tailscope.stats.seed_noise.seed_scatter`; None for no seed noise. Columns of
            classes that are left out are not read.
        seed: Root of the seed terms.

    Raises:
        InputError: The shapes do not fit, or there is no resample.

    Source: METHODS section 7; Goldstein and Spiegelhalter 1996 (intervals of ranks); Hall and Miller 2009, section 2
    (what the bootstrap says of a ranking).

    Example:
        >>> import numpy as np
        >>> two = np.array([[0.7, 0.6], [0.8, 0.6]])  # the second arm leads in one class and ties in the other
        >>> found = rank_distribution(two, two[:, :, None], "higher")
        >>> found.mean_rank.tolist(), found.first.tolist()
        ([1.75, 1.25], [0.0, 1.0])
    """
    value, drawn = np.asarray(values, dtype=np.float64), np.asarray(resampled, dtype=np.float64)
    _check(value, drawn, seed_scatter)
    held = np.isfinite(drawn).all(axis=0)
    ranked = np.isfinite(value).all(axis=0) & (held.sum(axis=1) > 0)
    drawn = drawn[:, ranked]
    drawn = drawn[:, :, np.isfinite(drawn).all(axis=(0, 1))]
    if not drawn.size:
        nothing = np.full(len(value), np.nan)
        return RankDistribution(nothing, nothing, nothing, np.full((len(value),) * 2, np.nan), 0)
    if seed_scatter is not None:
        drawn = drawn + _seed_terms(seed_scatter[:, ranked], len(value), drawn.shape[2], seed)
    sign = 1.0 if direction == "higher" else -1.0
    means = _ranks(sign * drawn).mean(axis=1)
    lo, hi = np.quantile(means, [0.025, 0.975], axis=1)
    places = _places(means)
    return RankDistribution(_ranks(sign * value[:, ranked]).mean(axis=1), lo, hi, places, int(ranked.sum()))


def _check(value: Floats, drawn: Floats, scatter: Floats | None) -> None:
    fits = value.ndim == 2 and drawn.ndim == 3 and drawn.shape[:2] == value.shape and drawn.shape[2] > 0
    if not fits or not len(value):
        raise InputError(
            f"expected (A, K) `values` and (A, K, R) `resampled`, R 1 or more; got {value.shape} and {drawn.shape}"
        )
    if scatter is not None and (scatter.ndim != 2 or scatter.shape[1] != value.shape[1]):
        raise InputError(f"`seed_scatter` must be (M, {value.shape[1]}); got {scatter.shape}")


def _seed_terms(scatter: Floats, arms: int, resamples: int, seed: int) -> Floats:
    """(A, K, R) seed noise of each arm's means, independent between arms and resamples."""
    normal = generator(seed, "seed noise of ranks").standard_normal((arms, resamples, len(scatter)))
    # einsum sums in one order, whatever the number of threads
    return np.asarray(np.einsum("arm,mk->akr", normal, scatter))


def _ranks(values: Floats) -> Floats:
    """Rank of each arm (first axis) among the arms, 1 for the highest; equal ones share the mean of their ranks."""
    ranks = np.full(values.shape, 0.5)
    for other in values:
        gap = other - values
        ranks += np.where(np.abs(gap) <= ROUNDING, 0.5, gap > 0)  # an arm ties with itself, hence the half to start
    return ranks


def _places(means: Floats) -> Floats:
    """(A, A) share of the R resamples in which an arm takes each place by its mean rank; ties share their places."""
    arms = len(means)
    ahead = np.stack([(means < mine - ROUNDING).sum(axis=0) for mine in means])
    level = np.stack([(np.abs(means - mine) <= ROUNDING).sum(axis=0) for mine in means])
    place = np.arange(arms)[:, None, None]
    taken = (place >= ahead) & (place < ahead + level)
    return np.asarray((taken / level).mean(axis=2).T)
