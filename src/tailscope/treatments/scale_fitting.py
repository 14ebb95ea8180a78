"""The scale of one class's logits that fits its labels best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

SCALES = (0.01, 100.0)


@dataclass(frozen=True)
class ScaleFit:
    """A scale, and why it could not be fitted, if so."""

    scale: float
    note: str = ""


def best_scale(
    logits: NDArray[np.floating],
    labels: NDArray[np.floating],
    *,
    weights: NDArray[np.floating] | None = None,
    offset: float = 0.0,
) -> ScaleFit:
    """The s in [0.01, 100] that minimises the weighted cross-entropy of s·logit + offset.

    The loss is convex in s, so the root of its derivative, or the nearer end of the range, is the minimum.

    Args:
        logits: (N,).
        labels: (N,) in {0, 1, NaN}; NaN is left out.
        weights: (N,) 0 or more; None weighs all alike.
        offset: Added to every scaled logit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> true = rng.normal(size=20000)
        >>> labels = (rng.random(20000) < expit(true)).astype(float)
        >>> round(best_scale(3 * true, labels).scale, 2)  # three times overconfident
        0.33
    """
    known = np.isfinite(labels)
    x, y = np.asarray(logits, dtype=np.float64)[known], labels[known]
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)[known]
    if not (y == 1).any() or not (y == 0).any():
        return ScaleFit(1.0, f"no {'positive' if not (y == 1).any() else 'negative'} label, so its scale stays 1")

    def slope(log_scale: float) -> float:
        return float(np.sum(w * (expit(np.exp(log_scale) * x + offset) - y) * x))

    low, high = np.log(SCALES)
    if slope(low) >= 0:
        return ScaleFit(SCALES[0], "the scale lies at the low end of its range: the logits say little about the class")
    if slope(high) <= 0:
        return ScaleFit(SCALES[1], "the scale lies at the high end of its range: the classes are separated")
    return ScaleFit(float(np.exp(brentq(slope, low, high, xtol=1e-12))))
