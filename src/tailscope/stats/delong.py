"""Covariance of the AUROCs of several scores on the same images, by formula instead of by resampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from tailscope.core import InputError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def delong_covariance(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """AUROC of A scores, in [0, 1], higher is better, and their covariance; valid with one image per patient.

    Every positive has a placement, the share of negatives below it, and every negative the share of positives above
    it; ties count half. The covariance is S10/n⁺ + S01/n⁻, of the placements of the positives and of the negatives.
    Placements are differences of midranks, so the cost is that of sorting: O(A·N log N).

    Args:
        scores: (A, N), any monotone scores of the same images.
        labels: (N,) in {0, 1, NaN}; NaN is left out.

    Returns:
        (A,) AUROCs, NaN without a positive or a negative; (A, A) covariance, NaN with fewer than 2 of either.

    Raises:
        InputError: Shapes do not fit, a label is something else, or a labelled image has a NaN score.

    Source: DeLong, DeLong and Clarke-Pearson 1988, equations 4 to 6; midranks after Sun and Xu 2014.

    Example:
        >>> area, covariance = delong_covariance([[3, 1, 2, 0]], [1, 1, 0, 0])  # placements 1, 1/2 and 1/2, 1
        >>> area.tolist(), covariance.tolist()                                  # 1/8 · 1/2 + 1/8 · 1/2
        ([0.75], [[0.125]])
    """
    score, positive, _ = _labelled(scores, labels)
    area, above, below = _deviations(score, positive)
    return area, _scatter(above, above.shape[1]) + _scatter(below, below.shape[1])


def clustered_auroc_covariance(scores: ArrayLike, labels: ArrayLike, clusters: ArrayLike) -> tuple[Floats, Floats]:
    """As :func:`delong_covariance`, for patients with several images, positive, negative or both.

    The deviations of the placements from the AUROC are summed per patient, I10 patients with a positive, I01 with a
    negative, I in all, and each sum of products has its factor I/(I − 1). With one image per patient this is DeLong's
    covariance exactly. It may fail to be positive semidefinite where patients are few, because the factors differ.

    Args:
        scores: (A, N), any monotone scores of the same images.
        labels: (N,) in {0, 1, NaN}; NaN is left out.
        clusters: (N,) patients, text or integers.

    Returns:
        (A,) AUROCs, NaN without a positive or a negative; (A, A) covariance, NaN where fewer than 2 patients have a
        positive, or fewer than 2 a negative.

    Raises:
        InputError: As :func:`delong_covariance`.

    Source: Obuchowski 1997, section 3.

    Example:
        >>> doubled = clustered_auroc_covariance([[3, 3, 1, 2, 0]], [1, 1, 1, 0, 0], ["a", "a", "b", "c", "d"])
        >>> [value.round(4).tolist() for value in doubled]  # θ = 5/6; 2·(1/3)²·2/3² + 2·(1/6)²·2/2²
        [[0.8333], [[0.0772]]]
    """
    score, positive, known = _labelled(scores, labels)
    label = np.asarray(clusters)
    if label.shape != known.shape:
        raise InputError(f"`clusters` must have one entry per image, {known.shape}; got {label.shape}")
    codes = np.unique(label[known], return_inverse=True)[1]
    area, above, below = _deviations(score, positive)
    of_positives, patients_positive = _per_cluster(above, codes[positive], codes)
    of_negatives, patients_negative = _per_cluster(below, codes[~positive], codes)
    both = np.einsum("ap,bp->ab", of_positives, of_negatives) * _factor(codes.max(initial=-1) + 1)
    return area, _scatter(of_positives, patients_positive) + _scatter(of_negatives, patients_negative) + both + both.T


def _labelled(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Flags, Flags]:
    """Scores (A, M) and labels (M,) of the M images with a label, and which of the N these are."""
    score = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.float64)
    if score.ndim != 2 or label.shape != score.shape[1:]:
        raise InputError(f"`scores` must be (A, N) and `labels` (N,); got {score.shape} and {label.shape}")
    known = ~np.isnan(label)
    if not np.isin(label[known], (0.0, 1.0)).all():
        raise InputError(f"`labels` must be 0, 1 or NaN; got {np.setdiff1d(label[known], (0.0, 1.0))[:5].tolist()}")
    if np.isnan(score[:, known]).any():
        raise InputError("`scores` must be numbers where the label is known; got NaN: leave that score out")
    return score[:, known], label[known] == 1, known


def _deviations(score: Floats, positive: Flags) -> tuple[Floats, Floats, Floats]:
    """AUROC (A,), and the placements of positives and of negatives minus it, each over the number of its own label."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        arms = len(score)
        return np.full(arms, np.nan), np.full((arms, positives), np.nan), np.full((arms, negatives), np.nan)
    among_all = rankdata(score, axis=1)
    below = (among_all[:, positive] - rankdata(score[:, positive], axis=1)) / negatives
    above = 1 - (among_all[:, ~positive] - rankdata(score[:, ~positive], axis=1)) / positives
    area = below.mean(axis=1)
    return area, (below - area[:, None]) / positives, (above - area[:, None]) / negatives


def _per_cluster(deviations: Floats, codes: NDArray[np.intp], every: NDArray[np.intp]) -> tuple[Floats, int]:
    """(A, P) sums over the images of each patient, and how many patients have any."""
    sums = np.zeros((int(every.max(initial=-1)) + 1, len(deviations)))
    np.add.at(sums, codes, deviations.T)
    return sums.T, np.unique(codes).size


def _scatter(sums: Floats, members: int) -> Floats:
    """Sum of products with its factor; einsum adds in one order, whatever the number of threads."""
    return np.asarray(np.einsum("ap,bp->ab", sums, sums) * _factor(members))


def _factor(members: int) -> float:
    return members / (members - 1) if members > 1 else float("nan")
