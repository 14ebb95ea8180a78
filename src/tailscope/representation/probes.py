"""Balanced linear probes: how well the features alone tell the classes apart, whatever the head does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.logistic import balanced_log_loss, fit_balanced_logistic
from tailscope.representation.principal import Floats, PrincipalFeatures, require_features, row_blocks

RIDGES = tuple(10.0**power for power in range(3, -6, -1))
_ENOUGH = 2  # ridges in a row that are worse than the best: from there on the fits only follow the training split


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features of the images of one split, and their labels.

    Args:
        features: (N, D) floating; a memory map is read block by block.
        targets: (N, K) in {0, 1, NaN}; NaN is left out of that class.

    Raises:
        InputError: The shapes do not fit, a feature is not finite, or a label is something else.
    """

    features: NDArray[np.floating]
    targets: NDArray[np.floating]

    def __post_init__(self) -> None:
        require_features(self.features)
        if self.targets.ndim != 2 or len(self.features) != len(self.targets):
            raise InputError(
                f"`targets` must be ({len(self.features)}, K), of the images of `features`; got {self.targets.shape}"
            )
        if not (np.isnan(self.targets) | (self.targets == 0) | (self.targets == 1)).all():
            raise InputError("`targets` must be 0, 1 or NaN; round probabilities, or mask them with NaN")

    def lacks(self, number: int) -> str:
        """``positive`` or ``negative`` where a class has no such image; else empty."""
        column = self.targets[:, number]
        if not (column == 1).any():
            return "positive"
        return "" if (column == 0).any() else "negative"


@dataclass(frozen=True, eq=False)
class Probes:
    """One linear function of the features per class.

    Args:
        weights: (K, D) of the features as they came; NaN for a class that is not estimable.
        intercepts: (K,).
        ridge: (K,) chosen on validation.
        losses: (G, K) balanced log loss on validation at each of the ridges; NaN beyond the end of a class's path.
        ridges: (G,) from the largest.
        reasons: K, why a class is not estimable; empty where it is.
    """

    weights: Floats
    intercepts: Floats
    ridge: Floats
    losses: Floats
    ridges: tuple[float, ...]
    reasons: tuple[str, ...]

    def scores(self, features: NDArray[np.floating]) -> Floats:
        """(N, K) log-odds with both labels equally frequent, higher for positives; NaN for what is not estimable.

        Raises:
            InputError: ``features`` is not (N, D), or not finite.
        """
        require_features(features, self.weights.shape[1])
        return _linear(features, self.weights, self.intercepts)


def fit_probes(train: LabelledFeatures, val: LabelledFeatures, ridges: Sequence[float] = RIDGES) -> Probes:
    """Fit a class-balanced logistic regression per class, one protocol for every network.

    Features are standardised by the mean and standard deviation of the training split; a constant feature gets no
    weight. The ridge λ multiplies |w|² / 2 beside the *mean* loss, so that the grid means the same for any number of
    images. It is chosen by the balanced log loss on validation and not by the AUROC there, because with a handful of
    positives the AUROC moves in steps of single ranks and ties between neighbouring ridges, and the choice would then
    add its own noise to the test score. Of equal losses the larger ridge wins. The grid is walked from the largest
    ridge on, and left for a class when two ridges in a row are worse than its best.

    Args:
        train: Fitted on.
        val: The ridge is chosen on.
        ridges: The grid, above 0.

    Returns:
        The probes; classes without a positive or a negative image in either split are NaN, with the reason.

    Raises:
        InputError: The splits have other features or classes, a feature is not finite, or a ridge is not above 0.

    Source:
        METHODS section 6; Alain and Bengio 2016 for linear probes.

    Example:
        >>> part = LabelledFeatures(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[0.0], [0.0], [1.0], [1.0]]))
        >>> probes = fit_probes(part, part, ridges=(1.0,))
        >>> abs(probes.scores(np.array([[1.5]])).item()) < 1e-9  # half way between the labels: even odds
        True
    """
    path = _checked(train, val, ridges)
    count, width = train.targets.shape[1], train.features.shape[1]
    walk = _Walk(
        np.full((count, width), np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full((len(path), count), np.nan),
    )
    reasons = [_why_not(train, val, number) for number in range(count)]
    estimable = np.flatnonzero([not reason for reason in reasons])
    if estimable.size:
        walk.along(path, train, val, estimable)
    for number in estimable[np.isnan(walk.ridge[estimable])].tolist():
        reasons[number] = "the fit did not converge"
    return Probes(walk.weights, walk.intercepts, walk.ridge, walk.losses, path, tuple(reasons))


@dataclass(frozen=True, eq=False)
class _Walk:
    """The best fits so far, filled in along the path; shapes as in :class:`Probes`."""

    weights: Floats
    intercepts: Floats
    ridge: Floats
    losses: Floats

    def along(
        self, path: tuple[float, ...], train: LabelledFeatures, val: LabelledFeatures, classes: NDArray[np.int64]
    ) -> None:
        """From the largest ridge on; each fit begins at the one before."""
        features = PrincipalFeatures.of(train.features)
        fits = np.zeros((len(features.spectrum) + 1, len(self.ridge)))
        lowest, worse = np.full(len(self.ridge), np.inf), np.zeros(len(self.ridge), dtype=np.int64)
        for step, ridge in enumerate(path):
            left = classes[worse[classes] < _ENOUGH]
            if not left.size:
                return
            fits[:, left] = fit_balanced_logistic(features, train.targets[:, left], ridge, fits[:, left])
            weights, intercepts = features.in_feature_units(fits[:, left])
            loss = balanced_log_loss(_linear(val.features, weights, intercepts), val.targets[:, left])
            self.losses[step, left] = loss
            better = loss < lowest[left]  # False for NaN
            chosen = left[better]
            self.weights[chosen], self.intercepts[chosen] = weights[better], intercepts[better]
            self.ridge[chosen], lowest[chosen] = ridge, loss[better]
            worse[left] = np.where(better, 0, np.where(np.isnan(loss), _ENOUGH, worse[left] + 1))


def _linear(features: NDArray[np.floating], weights: Floats, intercepts: Floats) -> Floats:
    parts = [block.astype(np.float64) @ weights.T + intercepts for block in row_blocks(features)]
    return np.concatenate(parts) if parts else np.zeros((0, len(intercepts)))


def _checked(train: LabelledFeatures, val: LabelledFeatures, ridges: Sequence[float]) -> tuple[float, ...]:
    """The ridges from the largest on, once they and the splits are seen to be sound."""
    shapes = [(part.features.shape[1], part.targets.shape[1]) for part in (train, val)]
    if shapes[0] != shapes[1]:
        raise InputError(f"`val` must have the (features, classes) of `train`, {shapes[0]}; got {shapes[1]}")
    path = tuple(sorted({float(ridge) for ridge in ridges}, reverse=True))
    if not path or not all(0 < ridge < np.inf for ridge in path):
        raise InputError(f"`ridges` must be finite numbers above 0; got {tuple(ridges)}")
    return path


def _why_not(train: LabelledFeatures, val: LabelledFeatures, number: int) -> str:
    for part, name in ((train, "training"), (val, "validation")):
        if lacks := part.lacks(number):
            return f"no {lacks} {name} image"
    return ""
