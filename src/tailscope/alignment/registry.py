"""What an alignment metric is, and where it is found by name."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tailscope.core import Registry

ReferenceKind = Literal["analytic", "empirical"]


class AlignmentMetric(Protocol):
    """One number in ``range`` for each pair of saliency map and annotation mask.

    Guarantees of every member, proved over all names by one conformance suite:

    - ``saliency`` is (..., H, W) floating and ``mask`` (..., H, W) bool, of the same H and W; the leading axes are
      broadcast against each other. Neither is changed. The result has the leading shape, float64.
    - An empty mask gives NaN, never 0.
    - A degenerate map (not finite, constant, nowhere positive) counts as the uniform map: value = reference.
    - Multiplying a map by a positive number changes nothing; a batch equals its pairs one by one.
    - Values within 1e-6 of the map's range are tied; ties give the expected value under a random choice.

    The variants called ``as_published`` promise only what the published code does.
    """

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest possible value."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a better aligned map scores higher."""

    @property
    def reference_kind(self) -> ReferenceKind:
        """``analytic``: :meth:`reference` knows the value; ``empirical``: it takes the masks of other patients."""

    def __call__(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The values of the pairs, (...) float64, NaN where undefined."""

    def reference(self, saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What an uninformed map would score on each pair, (...) float64.

        NaN for an empty mask, and where only the masks of other patients can tell (``reference_kind`` is
        ``empirical`` and the map is not degenerate): then :func:`~tailscope.alignment.score_pairs` estimates it.
        """

    def attainable(self, mask: NDArray[np.bool_], grid: tuple[int, int]) -> float:
        """The best value found for a map that lives on a coarse ``grid`` (h, w); a lower bound of the best one."""


@runtime_checkable
class CrossScored(Protocol):
    """A metric that scores every map against every mask faster than pair by pair."""

    def cross(self, saliency: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(M, H, W) maps and (N, H, W) masks to (M, N) float64; entry (i, j) is the value of map i on mask j."""


METRICS: Registry[AlignmentMetric] = Registry("metric")
