"""Patients drawn with replacement: how often each image is in each resample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError, generator

_ATTEMPTS = 10_000  # a column with one patient is drawn with probability .63, so more means the demand is hopeless
_CELLS = 4_000_000  # multiplicities that are turned into floats at a time; 32 MB


@dataclass(frozen=True, eq=False)
class Resamples:
    """Cluster resamples of N images.

    Args:
        multiplicity: (R, N), how often each image is drawn; the smallest signed integer that holds P draws of one
            cluster, int16 for up to 32,767 clusters.
        redrawn: How many draws were thrown away because a required column had no image in them.
    """

    multiplicity: NDArray[np.signedinteger]
    redrawn: int = 0


def cluster_resamples(
    clusters: ArrayLike, resamples: int, seed: int, *, required: NDArray[np.bool_] | None = None
) -> Resamples:
    """Draw as many clusters (patients) as there are, with replacement, R times.

    Resample r has its own generator, so it does not depend on the other resamples, on the order of the rows, nor,
    unless it must be redrawn, on ``required``.

    Args:
        clusters: (N,) labels, text or integers.
        resamples: R.
        seed: Root seed.
        required: (N,) or (N, J) bool; every resample keeps at least one image of each column.

    Returns:
        The multiplicities and the number of draws thrown away.

    Raises:
        InputError: No image, R below 1, ``required`` does not fit, or cannot be met.

    Source: cluster bootstrap, Davison and Hinkley 1997, section 3.8; METHODS section 7.

    Example:
        >>> cluster_resamples(["a", "a"], 2, seed=0).multiplicity.tolist()  # one patient: always drawn once
        [[1, 1], [1, 1]]
    """
    label = np.asarray(clusters)
    if label.ndim != 1 or not label.size or resamples < 1:
        raise InputError(f"expected (N,) `clusters`, N and `resamples` 1 or more; got {label.shape} and {resamples}")
    names, codes = np.unique(label, return_inverse=True)
    holds = _clusters_holding(required, codes, len(names))
    drawn = np.empty((resamples, label.size), dtype=np.min_scalar_type(-len(names) - 1))
    redrawn = 0
    for number in range(resamples):
        counts, wasted = _draw(generator(seed, "cluster resample", number), holds)
        drawn[number] = counts[codes]
        redrawn += wasted
    return Resamples(drawn, redrawn)


def cluster_multiplicity(
    clusters: ArrayLike, resamples: int, seed: int, *, required: NDArray[np.bool_] | None = None
) -> NDArray[np.signedinteger]:
    """The (R, N) multiplicities of :func:`cluster_resamples` alone; same arguments.

    Raises:
        InputError: As :func:`cluster_resamples`.

    Example:
        >>> cluster_multiplicity([7, 8, 9], 5, seed=1).sum(axis=1).tolist()
        [3, 3, 3, 3, 3]
    """
    return cluster_resamples(clusters, resamples, seed, required=required).multiplicity


def resampled_mean(values: ArrayLike, rows: ArrayLike, multiplicity: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean of per-pair values on every resample, each pair as often as its image is drawn.

    Args:
        values: (M,) one number per (image, class) pair; NaN is left out.
        rows: (M,) image row of each pair.
        multiplicity: (R, N) integers.

    Returns:
        (R,) float64, NaN where no pair is drawn.

    Raises:
        InputError: Shapes differ, or a row is outside the N images.

    Example:
        >>> import numpy as np
        >>> resampled_mean([1.0, 4.0], [0, 1], np.array([[1, 1], [2, 1], [0, 0]])).tolist()
        [2.5, 2.0, nan]
    """
    value = np.asarray(values, dtype=np.float64)
    row = np.asarray(rows, dtype=np.int64)
    if value.ndim != 1 or value.shape != row.shape:
        raise InputError(f"`values` and `rows` must both be (M,); got {value.shape} and {row.shape}")
    images = multiplicity.shape[1]
    if row.size and (row.min() < 0 or row.max() >= images):
        raise InputError(f"`rows` must be in [0, {images}); got {int(row.min())} to {int(row.max())}")
    known = ~np.isnan(value)
    used, place = np.unique(row[known], return_inverse=True)
    total = np.bincount(place, weights=value[known], minlength=used.size)
    count = np.bincount(place, minlength=used.size).astype(np.float64)
    means = np.full(len(multiplicity), np.nan)
    step = max(_CELLS // max(used.size, 1), 1)
    for start in range(0, len(multiplicity), step):
        drawn = multiplicity[start : start + step, used].astype(np.float64)
        weight = np.einsum("ij,j->i", drawn, count)  # einsum sums in one order, whatever the number of threads
        some = weight > 0
        means[start : start + step][some] = np.einsum("ij,j->i", drawn[some], total) / weight[some]
    return means


def _clusters_holding(required: NDArray[np.bool_] | None, codes: NDArray[np.intp], clusters: int) -> NDArray[np.bool_]:
    """(P, J): whether a cluster holds an image of a required column."""
    if required is None:
        return np.ones((clusters, 1), dtype=np.bool_)
    wanted = np.asarray(required, dtype=np.bool_)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    if wanted.ndim != 2 or len(wanted) != codes.size:
        raise InputError(f"`required` must be ({codes.size},) or ({codes.size}, J); got {np.shape(required)}")
    if not wanted.any(axis=0).all():
        empty = np.flatnonzero(~wanted.any(axis=0)).tolist()
        raise InputError(f"every column of `required` needs an image; columns {empty} have none: leave them out")
    holds = np.zeros((clusters, wanted.shape[1]), dtype=np.bool_)
    np.logical_or.at(holds, codes, wanted)
    return holds


def _draw(random: np.random.Generator, holds: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    clusters = len(holds)
    for attempt in range(_ATTEMPTS):
        counts = np.bincount(random.integers(0, clusters, clusters), minlength=clusters)
        if holds[counts > 0].any(axis=0).all():
            return counts, attempt
    raise InputError(
        f"{_ATTEMPTS} draws of {clusters} clusters never held all {holds.shape[1]} `required` columns at once; "
        "require fewer"
    )
