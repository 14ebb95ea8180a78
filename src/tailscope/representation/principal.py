"""Standardised features in the basis of their principal axes, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError

Floats = NDArray[np.float64]
_BLOCK_VALUES = 2**22
_CONSTANT = 1e-6  # a spread below this share of the largest value is rounding of float32, not a feature
_MOST_KEPT_BYTES = 2**29


def row_blocks(features: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """Consecutive blocks of rows of (N, D) features, so that a memory map stays on disk.

    Example:
        >>> [len(block) for block in row_blocks(np.zeros((3, 2)))]
        [3]
    """
    step = max(1, _BLOCK_VALUES // max(1, features.shape[1]))
    for first in range(0, len(features), step):
        yield features[first : first + step]


def require_features(features: NDArray[np.floating], width: int | None = None) -> None:
    """Pass if features are (N, D) and finite.

    Raises:
        InputError: They are not.

    Example:
        >>> require_features(np.zeros((3, 2)), width=2)
    """
    wanted = "D" if width is None else width
    if features.ndim != 2 or features.shape[1] < 1 or width not in (None, features.shape[1]):
        raise InputError(
            f"`features` must be (N, {wanted}), one row per image; got {features.shape}: pool maps and tokens first"
        )
    if not all(np.isfinite(block).all() for block in row_blocks(features)):
        raise InputError("`features` must be finite; found NaN or infinity: check the network's numbers")


@dataclass(frozen=True, eq=False)
class PrincipalFeatures:
    """(N, D) features, standardised, as if they were multiplied by their R = min(N, D) principal axes.

    In this basis the features are uncorrelated, so that a diagonal comes close to the Hessian of any generalised
    linear model. A ridge penalty is the same in both bases, and weights outside of the R axes would be 0, so nothing
    is lost. Up to half a gibibyte the rotated features are kept; beyond that they are made again in each pass, and
    memory does not grow with N.

    Args:
        features: (N, D).
        mean: (D,) mean of each feature.
        scale: (D,) 1 / its standard deviation; 0 for a feature that is constant, which then has no weight.
        axes: (D, R) orthonormal columns.
        spectrum: (R,) variance along each axis, descending.
        kept: (N, R) the rotated features, or None.

    Example:
        >>> plain = np.array([[1.0, 5.0], [3.0, 5.0]])
        >>> PrincipalFeatures.of(plain).spectrum.round(9).tolist()  # one feature varies, with variance 1 after scaling
        [1.0, 0.0]
    """

    features: NDArray[np.floating]
    mean: Floats
    scale: Floats
    axes: Floats
    spectrum: Floats
    kept: Floats | None = None

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> PrincipalFeatures:
        """Find mean, scale and axes of finite features, at least one row and column, in two passes."""
        mean, largest = _mean_and_largest(features)
        count, width = features.shape
        products = np.zeros((width, width))
        for block in row_blocks(features):
            centred = block.astype(np.float64) - mean
            products += centred.T @ centred
        deviation = np.sqrt(np.diag(products) / count)
        varies = deviation > _CONSTANT * largest
        scale = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
        values, vectors = np.linalg.eigh(products / count * scale[:, None] * scale)
        chosen = np.arange(width)[::-1][: min(count, width)]
        spectrum = np.maximum(values[chosen], 0.0)
        found = cls(features, mean, scale, np.ascontiguousarray(vectors[:, chosen]), spectrum)
        if 8 * count * len(chosen) > _MOST_KEPT_BYTES:
            return found
        kept = np.concatenate([found.rotated(block) for block in row_blocks(features)])
        return cls(features, mean, scale, found.axes, spectrum, kept)

    def rotated(self, rows: NDArray[np.floating]) -> Floats:
        """(n, R) coordinates of (n, D) features."""
        return np.asarray(((rows.astype(np.float64) - self.mean) * self.scale) @ self.axes)

    def values(self, weights: Floats) -> Floats:
        """(N, K) values of linear functions, (R + 1, K) weights with the intercept last."""
        return np.asarray(np.concatenate([block @ weights[:-1] for block in self._rotated_blocks()]) + weights[-1])

    def sums(self, residuals: Floats) -> Floats:
        """(R + 1, K) the transpose of :meth:`values`: sums over the images of (N, K) residuals times coordinates."""
        total, first = np.zeros((len(self.spectrum), residuals.shape[1])), 0
        for block in self._rotated_blocks():
            total += block.T @ residuals[first : first + len(block)]
            first += len(block)
        return np.concatenate([total, residuals.sum(axis=0)[None]])

    def in_feature_units(self, weights: Floats) -> tuple[Floats, Floats]:
        """(R + 1, K) weights as (K, D) weights and (K,) intercepts of the features as they came."""
        plain = (self.scale[:, None] * (self.axes @ weights[:-1])).T
        return plain, weights[-1] - plain @ self.mean

    def _rotated_blocks(self) -> Iterator[Floats]:
        if self.kept is not None:
            yield self.kept
            return
        for block in row_blocks(self.features):
            yield self.rotated(block)


def _mean_and_largest(features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """(D,) mean and (D,) largest absolute value."""
    total, largest = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for block in row_blocks(features):
        total += block.sum(axis=0, dtype=np.float64)
        largest = np.maximum(largest, np.abs(block).max(axis=0))
    return total / len(features), largest
