"""Is a paired difference larger than that of two arms whose names were exchanged at random, patient by patient?

Both tests hold the networks fixed: they ask whether other patients could overturn a difference, not other seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError, generator
from tailscope.stats.samples import ROUNDING

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Statistic = Callable[[Flags], Floats]

_CELLS = 2_000_000  # exchanges that are held at a time; 2 MB


def sign_flip_p(differences: ArrayLike, resamples: int, seed: int) -> float:
    """Two-sided p, in (0, 1], of "the arms are exchangeable" for a difference that is a mean over patients.

    The statistic is |Σ ±d|. All 2^P signs are tried where these are at most ``resamples`` + 1, and p is exact; else
    random signs, and p = (b + 1)/(R + 1), which is never 0.

    Args:
        differences: (P,) treatment minus control per patient: the mean over a patient's pairs, or the sum where the
            metric is a mean over pairs. NaN is left out.
        resamples: R, random signs where not all are tried.
        seed: Of the random signs.

    Returns:
        p; NaN without any difference. It depends neither on the order of the patients nor on which arm is control.

    Raises:
        InputError: ``differences`` is not (P,), or R is below 1.

    Source: Fisher 1935, section 21; (b + 1)/(R + 1) by Phipson and Smyth 2010.

    Example:
        >>> sign_flip_p([1.0, 2.0, 3.0], 999, seed=0)  # of 8 signs only +++ and −−− reach 6
        0.25
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"`differences` must be (P,), one per patient; got {values.shape}")
    values = values[~np.isnan(values)]
    sizes = np.sort(np.abs(values))

    def total(flipped: Flags) -> Floats:
        return np.asarray(np.where(flipped, -sizes, sizes).sum(axis=1))

    if not values.size:
        return float("nan")
    limit = abs(values.sum()) - ROUNDING * sizes.sum()
    return _share_beyond(total, float(limit), (sizes.size, sizes.size), resamples, seed)


def swap_p(statistic: Statistic, clusters: ArrayLike, resamples: int, seed: int) -> float:
    """Two-sided p, in (0, 1], of "the arms are exchangeable" for any paired difference, such as one of AUROCs.

    All images of a patient exchange the scores of the two arms, or none does. All 2^P exchanges are tried where these
    are at most ``resamples`` + 1, and p is exact; else random ones, and p = (b + 1)/(R + 1), which is never 0. Scores
    of arms with different scales should be replaced by their ranks first.

    Args:
        statistic: (B, N) bool, whether an image's scores are exchanged, to (B,) differences, treatment minus control.
            What has no value counts as beyond the one that was observed.
        clusters: (N,) patients, text or integers.
        resamples: R, random exchanges where not all are tried.
        seed: Of the random exchanges.

    Returns:
        p; NaN where the observed difference has no value. It does not depend on the order of the images.

    Raises:
        InputError: ``clusters`` is not (N,) with N of 1 or more, or R is below 1.

    Source: Bandos, Rockette and Gur 2005, extended to patients with several images.

    Example:
        >>> import numpy as np
        >>> rise = np.array([1.0, 2.0, 3.0])  # of a mean: exchanging turns the sign
        >>> swap_p(lambda swapped: np.where(swapped, -rise, rise).mean(axis=1), ["a", "b", "b"], 999, seed=0)
        0.5
    """
    label = np.asarray(clusters)
    if label.ndim != 1 or not label.size:
        raise InputError(f"`clusters` must be (N,) with N of 1 or more; got {label.shape}")
    names, codes = np.unique(label, return_inverse=True)
    observed = abs(float(statistic(np.zeros((1, label.size), dtype=np.bool_))[0]))
    if np.isnan(observed):
        return float("nan")
    limit = observed - ROUNDING * max(observed, 1.0)
    spread = (names.size, label.size)
    return _share_beyond(lambda swapped: statistic(swapped[:, codes]), limit, spread, resamples, seed)


def _share_beyond(statistic: Statistic, limit: float, spread: tuple[int, int], resamples: int, seed: int) -> float:
    """Share of the exchanges that reach the limit; random ones are joined by what was observed.

    ``spread`` is the number of patients, and the width of the arrays that are made of their exchanges.
    """
    if resamples < 1:
        raise InputError(f"`resamples` must be 1 or more; got {resamples}")
    patients, width = spread
    is_exact = 2**patients <= resamples + 1
    total = 2**patients if is_exact else resamples
    random = generator(seed, "exchanges")
    step = max(_CELLS // width, 1)
    reached = 0
    for start in range(0, total, step):
        numbers = np.arange(start, min(start + step, total))
        exchanged = _all(numbers, patients) if is_exact else random.integers(0, 2, (numbers.size, patients)) == 1
        # a statistic without a value is not below the limit
        reached += int((~(np.abs(statistic(exchanged)) < limit)).sum())
    return reached / total if is_exact else (reached + 1) / (total + 1)


def _all(numbers: NDArray[np.int64], patients: int) -> Flags:
    """The exchanges with these numbers, read as binary."""
    return np.asarray((numbers[:, None] >> np.arange(patients)) & 1 == 1)
