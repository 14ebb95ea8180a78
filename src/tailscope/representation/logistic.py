"""Balanced logistic regressions of many classes at once, by Newton's method with conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tailscope.representation.principal import Floats, PrincipalFeatures

_MOST_STEPS, _MOST_DIRECTIONS, _MOST_HALVINGS = 200, 1000, 40
_DECREMENT = 1e-15  # squared, and before the last step


def balanced_weights(targets: NDArray[np.floating]) -> Floats:
    """(N, K) weight of each image: half of each class's weight on its positives, half on its negatives; NaN has none.

    Args:
        targets: (N, K) in {0, 1, NaN}, with both labels in each class.

    Example:
        >>> balanced_weights(np.array([[1.0], [0.0], [0.0], [np.nan]])).ravel().tolist()
        [0.5, 0.25, 0.25, 0.0]
    """
    positive, negative = targets == 1, targets == 0
    return np.asarray(0.5 * positive / positive.sum(axis=0) + 0.5 * negative / negative.sum(axis=0))


def balanced_log_loss(logits: Floats, targets: NDArray[np.floating]) -> Floats:
    """(K,) mean log loss of positives and of negatives, averaged, in nats, 0 or more; lower is better.

    Example:
        >>> balanced_log_loss(np.zeros((3, 1)), np.array([[1.0], [0.0], [0.0]])).round(4).tolist()  # log 2
        [0.6931]
    """
    with np.errstate(invalid="ignore"):  # NaN logits give NaN
        each = np.logaddexp(0.0, -_signs(targets) * logits)
    return np.asarray((balanced_weights(targets) * each).sum(axis=0))


def fit_balanced_logistic(
    features: PrincipalFeatures, targets: NDArray[np.floating], ridge: float, start: Floats
) -> Floats:
    """The minimum of the balanced log loss plus ridge / 2 · |w|², one problem per class; intercepts go unpenalised.

    Each class's problem is strictly convex and solved to about 1e-9 in the logits, so that neither the order of the
    images nor the classes beside it are seen in the result.

    Args:
        features: Of N images.
        targets: (N, K) in {0, 1, NaN}, with both labels in each class.
        ridge: Above 0; equal to 1 / (C · labelled images) of scikit-learn's ``LogisticRegression``.
        start: (R + 1, K) weights to begin with, intercepts last.

    Returns:
        (R + 1, K) weights; NaN for a class that did not converge.
    """
    weights, settled = start.copy(), np.zeros(targets.shape[1], dtype=bool)
    problem = _Problem(features, _signs(targets), balanced_weights(targets), ridge)
    logits = features.values(weights)
    for _ in range(_MOST_STEPS):
        open_ = np.flatnonzero(~settled)
        if not open_.size:
            break
        part = problem.of(open_)
        step, change, decrement = part.newton_step(weights[:, open_], logits[:, open_])
        length = part.step_length((weights[:, open_], step), (logits[:, open_], change), decrement)
        weights[:, open_] += length * step
        logits[:, open_] += length * change
        settled[open_] = decrement <= _DECREMENT
    return np.where(settled, weights, np.nan)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Args: (N, K) ``signs`` of the labels in {-1, 1}, (N, K) ``shares`` of the images in the loss, the ridge."""

    features: PrincipalFeatures
    signs: Floats
    shares: Floats
    ridge: float

    def of(self, classes: NDArray[np.int64]) -> _Problem:
        return _Problem(self.features, self.signs[:, classes], self.shares[:, classes], self.ridge)

    def newton_step(self, weights: Floats, logits: Floats) -> tuple[Floats, Floats, Floats]:
        """(R + 1, K) step, (N, K) what it adds to the logits, (K,) squared Newton decrement."""
        wrong = expit(-self.signs * logits)
        gradient = self.features.sums(-self.shares * self.signs * wrong) + self._penalty * weights
        step = self._solved(self.shares * wrong * (1 - wrong), -gradient)
        return step, self.features.values(step), np.asarray(-(gradient * step).sum(axis=0))

    def step_length(
        self, weights: tuple[Floats, Floats], logits: tuple[Floats, Floats], decrement: Floats
    ) -> NDArray[np.float64]:
        """(K,) the first of 1, ½, ¼ … that lowers the loss by a share of what its slope promises (Armijo)."""
        length = np.ones(len(decrement))
        before = self._objective(weights[0], logits[0])
        for _ in range(_MOST_HALVINGS):
            after = self._objective(weights[0] + length * weights[1], logits[0] + length * logits[1])
            # Near the optimum the loss changes by less than its own rounding.
            too_long = after > before - 1e-4 * length * decrement + 1e-14 * np.abs(before)
            if not too_long.any():
                break
            length = np.where(too_long, length / 2, length)
        return length

    @property
    def _penalty(self) -> Floats:
        return np.append(np.full(len(self.features.spectrum), self.ridge), 0.0)[:, None]

    def _objective(self, weights: Floats, logits: Floats) -> Floats:
        loss = (self.shares * np.logaddexp(0.0, -self.signs * logits)).sum(axis=0)
        return np.asarray(loss + 0.5 * self.ridge * (weights[:-1] ** 2).sum(axis=0))

    def _solved(self, curvature: Floats, target: Floats) -> Floats:
        """Solve H step = target by preconditioned conjugate gradients, class by class until each is close enough.

        The diagonal would be the Hessian itself if all images had the same curvature.
        """
        spread = np.append(self.features.spectrum, 1.0)[:, None]
        diagonal = spread * np.maximum(curvature.sum(axis=0), 1e-300) + self._penalty
        step, residual = np.zeros_like(target), target.copy()
        direction = residual / diagonal
        size = (residual * direction).sum(axis=0)
        goal = size * np.minimum(0.3, size**0.25) ** 2  # tighter as the optimum comes near, not before: the least work
        for _ in range(_MOST_DIRECTIONS):
            open_ = np.flatnonzero(size > goal)
            if not open_.size:
                break
            along = direction[:, open_]
            bent = self.features.sums(curvature[:, open_] * self.features.values(along)) + self._penalty * along
            length = size[open_] / (along * bent).sum(axis=0)
            step[:, open_] += length * along
            residual[:, open_] -= length * bent
            scaled = residual[:, open_] / diagonal[:, open_]
            fresh = (residual[:, open_] * scaled).sum(axis=0)
            direction[:, open_] = scaled + fresh / size[open_] * along
            size[open_] = fresh
        return step


def _signs(targets: NDArray[np.floating]) -> Floats:
    return np.where(targets == 1, 1.0, -1.0)
