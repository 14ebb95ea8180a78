"""Within and between scatter of each class against the rest, free of the noise of few positives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailscope.core import InputError
from tailscope.representation.principal import Floats, row_blocks

LEAST_SIDE_PATIENTS = 2  # one is left out, and one must remain
_BLOCK_VALUES = 2**22
_ROUNDING = 1e-12  # a divisor below this share of what it divides is rounding error


class ScatterValues(NamedTuple):
    """Scatter of K classes under R weightings of the images; each (R, K) float64.

    Attributes:
        within: trace(S_w), the mean squared distance to the mean of the own side; positives and negatives weigh half
            each, so that a class's prevalence drops out.
        between: trace(S_b) = |mean of positives - mean of negatives|² / 4, likewise; 0 on average without difference,
            so it can be negative.
        ratio: within / between, lower is better separated; NaN where ``between`` is not positive.
        separation: between / within, higher is better separated, 0 without difference; NaN where ``within`` is 0. The
            one to test, because it is defined for a class that is not separated at all.
        d_prime: Distance of the two sides along the line between their means, in standard deviations along it; its
            square is Fisher's criterion. Higher is better separated, 0 without difference.
    """

    within: Floats
    between: Floats
    ratio: Floats
    separation: Floats
    d_prime: Floats


@dataclass(frozen=True, eq=False)
class ClassScatter:
    """What each image adds to the scatter of each class, ready to be pooled under any weights of the images.

    The means that an image is held against are those of the other patients, and stay as they are under weights: a
    bootstrap of patients then shows the uncertainty of the values along *these* directions.

    Args:
        targets: (N, K) in {0, 1, NaN}.
        distance: (N, K) squared distance to the mean of the own side; NaN where the label is unknown.
        projection: (N, K) position along the difference of the means, its length included, from their middle.
        raw_between: (K,) between scatter with the noise of the means left in.
        reasons: K texts; empty where the class is estimable.
    """

    targets: NDArray[np.floating]
    distance: Floats
    projection: Floats
    raw_between: Floats
    reasons: tuple[str, ...]

    def values(self, weights: NDArray[np.number] | None = None) -> ScatterValues:
        """The scatter of each class.

        Args:
            weights: (R, N) 0 or more; e.g. how often a bootstrap drew each image's patient. None is one weighting
                with all 1.

        Returns:
            Values (R, K); NaN for a class with a reason, or without a weighted positive or negative.

        Raises:
            InputError: ``weights`` has another shape, or a negative entry.
        """
        count = len(self.targets)
        drawn = np.ones((1, count)) if weights is None else np.asarray(weights, dtype=np.float64)
        if drawn.ndim != 2 or drawn.shape[1] != count or (drawn < 0).any():
            raise InputError(f"`weights` must be (R, {count}), 0 or more; got {drawn.shape}")
        sides = [self.targets == side for side in (0, 1)]
        means = [_means(drawn, self.distance, side) for side in sides]
        places = [_means_and_variances(drawn, self.projection, side) for side in sides]
        within, step = (means[0] + means[1]) / 2, places[1][0] - places[0][0]
        between, spread = step / 4, np.sqrt((places[0][1] + places[1][1]) / 2)
        return ScatterValues(
            within,
            between,
            _over(within, between, _ROUNDING),
            _over(between, within, _ROUNDING),
            _over(step, spread, _ROUNDING),
        )

    @property
    def reliability(self) -> Floats:
        """(K,) share of the squared length of the mean difference that is not noise; 1 is best, 0 or less is noise.

        A cosine with the mean difference is too near 0 by about the root of this share.
        """
        return _over(self.values().between[0], self.raw_between)


def class_scatter(features: NDArray[np.floating], targets: NDArray[np.floating], patients: ArrayLike) -> ClassScatter:
    """Scatter of each class, one versus the rest.

    With twenty positives in two thousand dimensions the two means lie far apart by chance alone, and the fewer the
    positives the farther. So each image is held against means without its own patient, which takes the chance part
    out of ``between``, ``within`` and ``d_prime``. Read in blocks of patients, so memory does not grow with N besides
    the (N, K) results.

    Args:
        features: (N, D) floating, finite.
        targets: (N, K) in {0, 1, NaN}; NaN takes no part.
        patients: (N,) labels.

    Returns:
        The record; a class with fewer than 2 positive or 2 negative patients is NaN, with its reason.

    Raises:
        InputError: Shapes do not fit, or a feature is not finite.

    Source:
        METHODS section 6; Fisher 1936; leaving one out: the U-statistic of |Δ|² (Chen and Qin 2010, A two-sample test
        for high-dimensional data, section 2).

    Example:
        >>> import numpy as np
        >>> features, targets = np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([[0.0], [0.0], [1.0], [1.0]])
        >>> found = class_scatter(features, targets, np.arange(4)).values()
        >>> found.within.item(), found.between.item()  # variances 2 and 2; (10² - 2/2 - 2/2) / 4
        (2.0, 24.5)
    """
    labels, codes = _checked(features, targets, patients)
    sides = [labels == side for side in (0, 1)]
    reasons = _reasons(sides, codes)
    counts = [side.sum(axis=0) for side in sides]
    pivot = features[0].astype(np.float64)  # so that constant features are exactly 0, whatever their value
    means = [
        sum_ / np.where(count > 0, count, 1)[:, None]
        for sum_, count in zip(_side_sums(features, pivot, sides), counts, strict=True)
    ]
    distance, projection = np.full(labels.shape, np.nan), np.full(labels.shape, np.nan)
    estimable = np.flatnonzero([not reason for reason in reasons])
    for rows, starts in _patient_blocks(codes, features.shape[1]):
        block = features[rows].astype(np.float64) - pivot
        for number in estimable:
            block_sides = [side[rows, number] for side in sides]
            centres = [mean[number] for mean in means]
            sizes = [int(count[number]) for count in counts]
            distance[rows, number], projection[rows, number] = _held(block, starts, block_sides, centres, sizes)
    raw = ((means[1] - means[0]) ** 2).sum(axis=1) / 4
    raw[[bool(reason) for reason in reasons]] = np.nan
    return ClassScatter(labels, distance, projection, raw, reasons)


def _held(
    block: Floats,
    starts: NDArray[np.int64],
    sides: list[NDArray[np.bool_]],
    centres: list[Floats],
    sizes: list[int],
) -> tuple[Floats, Floats]:
    """(n,) distances and projections of a block of whole patients, each held against the other patients' means."""
    local = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(block))))
    shift, near = [], np.full(len(block), np.nan)
    for side, centre, size in zip(sides, centres, sizes, strict=True):
        centred = np.where(side[:, None], block - centre, 0.0)
        left = size - np.add.reduceat(side.astype(np.int64), starts)
        # Without patient p the mean moves by minus the sum of p's deviations over the images left.
        away = (np.add.reduceat(centred, starts) / left[:, None])[local]
        near[side] = np.einsum("nd,nd->n", centred, centred + away)[side]
        shift.append(away)
    middle, line = (centres[0] + centres[1]) / 2, centres[1] - centres[0]
    along = np.einsum("nd,nd->n", block - middle, line - shift[1] + shift[0])
    return near, np.where(sides[0] | sides[1], along, np.nan)


def _patient_blocks(codes: NDArray[np.int64], width: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(rows, first row of each patient among them) for blocks of whole patients."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    blocks = starts // max(1, _BLOCK_VALUES // width)
    edges = np.append(starts[np.flatnonzero(np.diff(blocks, prepend=-1))], len(codes))
    for first, last in pairwise(edges):
        yield order[first:last], starts[(starts >= first) & (starts < last)] - first


def _side_sums(features: NDArray[np.floating], pivot: Floats, sides: list[NDArray[np.bool_]]) -> list[Floats]:
    sums = [np.zeros((side.shape[1], features.shape[1])) for side in sides]
    first = 0
    for block in row_blocks(features):
        if not np.isfinite(block).all():
            raise InputError("`features` must be finite; found NaN or infinity: check the network's numbers")
        rows = slice(first, first + len(block))
        for total, side in zip(sums, sides, strict=True):
            total += side[rows].T.astype(np.float64) @ (block.astype(np.float64) - pivot)
        first += len(block)
    return sums


def _checked(
    features: NDArray[np.floating], targets: NDArray[np.floating], patients: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    labels, owners = np.asarray(targets, dtype=np.float64), np.asarray(patients)
    if features.ndim != 2 or labels.ndim != 2 or len(labels) != len(features) or owners.shape != (len(features),):
        raise InputError(
            f"expected `features` (N, D), `targets` (N, K) and `patients` (N,); got {features.shape}, {labels.shape} "
            f"and {owners.shape}"
        )
    if not np.isin(labels[~np.isnan(labels)], (0, 1)).all() or not features.size:
        raise InputError("`targets` must be 0, 1 or NaN, and `features` have at least one image and one feature")
    return labels, np.unique(owners, return_inverse=True)[1].astype(np.int64)


def _reasons(sides: list[NDArray[np.bool_]], codes: NDArray[np.int64]) -> tuple[str, ...]:
    found = []
    for number in range(sides[0].shape[1]):
        patients = [len(np.unique(codes[side[:, number]])) for side in sides]
        short = f"{patients[1]} positive and {patients[0]} negative patients; at least {LEAST_SIDE_PATIENTS} of each"
        found.append(short if min(patients) < LEAST_SIDE_PATIENTS else "")
    return tuple(found)


def _means(weights: Floats, values: Floats, side: NDArray[np.bool_]) -> Floats:
    return _over(weights @ np.where(side, values, 0.0), weights @ side.astype(np.float64))


def _means_and_variances(weights: Floats, values: Floats, side: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    origin = _means(np.ones((1, len(values))), values, side)
    mean = _means(weights, values - origin, side)
    square = _means(weights, (values - origin) ** 2, side)
    return mean + origin, np.maximum(square - mean**2, 0)


def _over(part: Floats, whole: Floats, least: float = 0.0) -> Floats:
    """Part over whole; NaN where the whole is not above 0, and above ``least`` times the part."""
    quotient: Floats = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=quotient, where=np.asarray(whole) > least * np.abs(part))
    return quotient
