"""Which units answer to a class: the best IoU of any unit under deranged masks as the null of each unit's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.dissection.counts import ratio
from tailscope.stats import holm

LEVEL = 0.05  # METHODS section 5


def deranged_best(pooled: NDArray[np.integer], activated: NDArray[np.integer], pixels: int) -> NDArray[np.float64]:
    """Largest IoU of any unit under each derangement, in [0, 1].

    A derangement moves masks between the images of one set, so that neither the activated pixels nor the mask pixels
    change in all, and the intersection alone decides.

    Args:
        pooled: (U, R) pixels of each unit inside the deranged masks, over the set.
        activated: (U,) activated pixels over the set.
        pixels: Mask pixels over the set.

    Returns:
        (R,) float64. Those of disjoint sets of units join by their maximum.

    Example:
        >>> deranged_best(np.array([[1, 0], [0, 2]]), np.array([2, 2]), 2).tolist()
        [0.3333333333333333, 1.0]
    """
    return np.asarray(ratio(pooled, activated[:, None] + pixels - pooled).max(axis=0))


def detector_p(iou: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of derangements whose best unit is as good as this one, in (0, 1]; smaller: less likely by chance.

    The maximum over units makes it a test of each unit that allows for all the others.

    Args:
        iou: (U,) ``iou_matched`` of the units.
        null: (R,) from :func:`deranged_best`, over all U units.

    Returns:
        (U,) p = (1 + #{null ≥ IoU}) / (1 + R).

    Source:
        METHODS section 5, detector; Westfall & Young 1993, section 2.6 (single-step maximum).

    Example:
        >>> detector_p(np.array([0.9, 0.3]), np.array([0.2, 0.3, 0.4])).tolist()
        [0.25, 0.75]
    """
    beaten = np.searchsorted(np.sort(null), iou, side="left")
    return np.asarray((1 + len(null) - beaten) / (1 + len(null)))


def adjusted_over_classes(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's adjustment over the classes, unit by unit; a class without a test is no member of the family.

    Args:
        p: (K, U) in [0, 1], or NaN.

    Returns:
        (K, U) float64; NaN stays NaN.

    Example:
        >>> adjusted_over_classes(np.array([[0.01, 0.5], [0.04, 0.5]])).tolist()
        [[0.02, 1.0], [0.04, 1.0]]
    """
    return np.stack([holm(unit) for unit in p.T], axis=1) if p.size else p


def too_few(derangements: int, classes: int) -> str:
    """Why so few derangements can find no detector in a family of so many classes; empty if they can.

    Example:
        >>> too_few(1000, 14)
        ''
        >>> too_few(100, 14)
        '100 derangements cannot reach 5 % among 14 classes; at least 279 are needed'
    """
    needed = round(classes / LEVEL) - 1
    if derangements >= needed:
        return ""
    return f"{derangements} derangements cannot reach 5 % among {classes} classes; at least {needed} are needed"
