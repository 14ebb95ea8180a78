"""Maps that know nothing of the image: what alignment looks like without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, Registry, generator


class ReferenceMap(Protocol):
    """A map of a given size, (H, W) float64, finite, not negative; the same at every call."""

    def __call__(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """The map on ``size`` (H, W)."""


REFERENCE_MAPS: Registry[ReferenceMap] = Registry("reference_map")


@REFERENCE_MAPS.register("uniform")
@dataclass(frozen=True)
class Uniform:
    """The same saliency everywhere; every metric has excess 0 on it."""

    def __call__(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """All ones."""
        return np.ones(size)


@REFERENCE_MAPS.register("centre_gaussian")
@dataclass(frozen=True)
class CentreGaussian:
    """A Gaussian hill in the middle of the frame: what looking at the centre is worth.

    Args:
        width: Standard deviation along each axis, as a share of the frame's side; > 0.

    Raises:
        InputError: ``width`` is not positive.

    Example:
        >>> CentreGaussian()((1, 3)).round(3).tolist()  # exp(-(1/3 / 1/4)² / 2) beside the centre
        [[0.411, 1.0, 0.411]]
    """

    width: float = 0.25

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise InputError(f"`width` must be above 0; got {self.width}")

    def __call__(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """The product of one bell for each axis, 1 at the centre."""
        rows, columns = (np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * self.width**2)) for side in size)
        return np.outer(rows, columns)


@REFERENCE_MAPS.register("random")
@dataclass(frozen=True)
class Random:
    """Independent uniform noise in [0, 1) at every pixel.

    Args:
        seed: Root seed.
    """

    seed: int = 0

    def __call__(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """The same noise at every call with this seed and size."""
        return generator(self.seed, "alignment", "random reference map").random(size)
