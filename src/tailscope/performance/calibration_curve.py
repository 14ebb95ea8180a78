"""The reliability curve: predicted against observed risk in bins of equal mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance.cells import columns_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Bins of one class by rising risk; no bin for a class without a positive or without a negative.

    Args:
        predicted: (B,) mean predicted risk.
        observed: (B,) share of positives; a calibrated model has ``observed`` = ``predicted``.
        n: (B,) labelled images.
    """

    predicted: Floats
    observed: Floats
    n: NDArray[np.int64]


def calibration_curve(logits: ArrayLike, labels: ArrayLike, bins: int = 15) -> tuple[CalibrationCurve, ...]:
    """Predicted and observed risk in equal-mass bins per class, the bins of the expected calibration error.

    Images of equal probability share their mean label before they are binned, so the curve does not depend on the order
    of the images. The mean of |predicted − observed| weighted by n is the expected calibration error.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        bins: Number of bins; fewer where there are fewer images.

    Returns:
        K curves.

    Raises:
        InputError: ``bins`` is below 1, or as :func:`tailscope.performance.cells.columns_of`.

    Source: DeGroot and Fienberg 1983; equal-mass bins as Nixon et al. 2019.

    Example:
        >>> curve = calibration_curve([-9.0, -9.0, 0.0, 0.0], [0, 0, 0, 1], bins=2)[0]
        >>> curve.predicted.round(3).tolist(), curve.observed.tolist(), curve.n.tolist()
        ([0.0, 0.5], [0.0, 0.5], [2, 2])
    """
    if bins < 1:
        raise InputError(f"`bins` must be 1 or more; got {bins}")
    logit, label = columns_of(logits, labels)
    return tuple(
        _curve(expit(logit[known, number]), label[known, number] == 1, bins)
        for number in range(logit.shape[1])
        for known in [~np.isnan(label[:, number])]
    )


def binned(risk: Floats, positive: NDArray[np.bool_], bins: int) -> list[tuple[Floats, Floats]]:
    """Risks and observed shares of the images of each bin, (n,) each; tied images share their mean label.

    Args:
        risk: (M,) predicted.
        positive: (M,) labels.
        bins: Number of bins; fewer where there are fewer images.
    """
    _, group, size = np.unique(risk, return_inverse=True, return_counts=True)
    observed = (np.bincount(group, weights=positive) / size)[group]
    order = np.argsort(risk, kind="stable")
    count = min(bins, risk.size)
    return list(zip(np.array_split(risk[order], count), np.array_split(observed[order], count), strict=True))


def _curve(risk: Floats, positive: NDArray[np.bool_], bins: int) -> CalibrationCurve:
    if not positive.any() or positive.all():
        return CalibrationCurve(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    parts = binned(risk, positive, bins)
    means = np.array([(predicted.mean(), observed.mean()) for predicted, observed in parts])
    return CalibrationCurve(means[:, 0], means[:, 1], np.array([predicted.size for predicted, _ in parts]))
