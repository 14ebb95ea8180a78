"""Calibration error and calibration line on resamples, the same values as on the images drawn one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import config
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from tailscope.core import InputError, side_by_side
from tailscope.performance._calibration_kernels import (
    RiskOrder,
    add_line_sums,
    add_products,
    fill_binned_errors,
    fill_overlaps,
    fitted_line,
)
from tailscope.performance.calibration import CalibrationLine, calibration_line
from tailscope.performance.cells import blocks_of, columns_of, drawn_in, multiplicity_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_STEPS = 4  # of all resamples together; those that are still on their way go on one by one
_ENOUGH = 1e-4  # of a line: the error after a step of Newton's is about the square of the step
_EXACT = 1e-7
_PIECE = 16  # images that are summed before it is asked whether a bin ends among them
_WORTH_A_THREAD = 1_000_000  # images × resamples of one column


def resampled_calibration_error(
    logits: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer], bins: int = 15
) -> Floats:
    """Expected calibration error of every class on every resample, in [0, 1], lower is better.

    An image that is drawn several times may lie in two bins, as its copies do.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        multiplicity: (R, N) integers, how often each image is drawn.
        bins: Number of equal-mass bins; fewer where there are fewer images.

    Returns:
        (R, K) float64, NaN where a resample has no positive or no negative.

    Raises:
        InputError: ``bins`` is below 1, ``multiplicity`` does not fit, or as
            :func:`tailscope.performance.cells.columns_of`.

    Source: as :func:`tailscope.performance.expected_calibration_error`.

    Example:
        >>> resampled_calibration_error([0.0, 0.0], [0, 1], np.array([[1, 1], [3, 1]])).tolist()  # |½ − ¼|
        [[0.0], [0.25]]
    """
    if bins < 1:
        raise InputError(f"`bins` must be 1 or more; got {bins}")
    logit, label = columns_of(logits, labels)
    counts = multiplicity_of(multiplicity, len(logit))
    orders = [_ordered(expit(logit[:, number]), label[:, number]) for number in range(logit.shape[1])]
    errors = np.full((logit.shape[1], len(counts)), np.nan)

    def walk(block: NDArray[np.int64]) -> None:
        drawn = drawn_in(counts, block)
        for order, found in zip(orders, errors[:, block[0] : block[-1] + 1], strict=True):
            fill_binned_errors(order, drawn, bins, found)

    side_by_side(walk, blocks_of(np.arange(len(counts))), _threads(counts))
    return errors.T


def resampled_calibration_line(
    logits: ArrayLike, labels: ArrayLike, multiplicity: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    """Intercept and slope of every class on every resample; 0 and 1 for a calibrated model.

    Args:
        logits: (N, K) or (N,).
        labels: Same shape, in {0, 1, NaN}.
        multiplicity: (R, N) integers, how often each image is drawn.

    Returns:
        Intercepts and slopes, (R, K) float64 each; NaN where the positives and the negatives of a resample do not
        overlap, and for a class whose line cannot be fitted on all images.

    Raises:
        InputError: ``multiplicity`` does not fit, or as :func:`tailscope.performance.cells.columns_of`.

    Source: Cox 1958. Newton's method for all resamples at once, begun with a step of third order (Chebyshev's) from
    the line of all images.

    Example:
        >>> draws = np.array([[1, 1, 1, 1], [2, 1, 2, 1]])
        >>> intercept, slope = resampled_calibration_line([-1.0, -1.0, 1.0, 1.0], [0, 1, 1, 0], draws)
        >>> intercept.ravel().round(6).tolist(), slope.ravel().round(4).tolist()  # 2 of 3 are right: slope log 2
        ([0.0, 0.0], [0.0, 0.6931])
    """
    logit, label = columns_of(logits, labels)
    counts = multiplicity_of(multiplicity, len(logit))
    whole = calibration_line(logit, label)

    def lines(number: int) -> Floats:
        if whole[number].reason:
            return np.full((2, len(counts)), np.nan)
        rows = np.flatnonzero(~np.isnan(label[:, number]))
        drawn = counts if rows.size == len(label) else np.ascontiguousarray(counts[:, rows])
        return _Column.of(logit[rows, number], label[rows, number], whole[number]).lines(drawn)

    found = np.stack(side_by_side(lines, range(logit.shape[1]), _threads(counts)), axis=-1)
    return found[0], found[1]


def _ordered(risk: Floats, label: Floats) -> RiskOrder:
    known = np.flatnonzero(~np.isnan(label))
    rows = known[np.argsort(risk[known], kind="stable")]
    starts_tie = np.ones(rows.size, dtype=np.bool_)
    starts_tie[1:] = risk[rows][1:] != risk[rows][:-1]
    starts = np.flatnonzero(starts_tie)
    at = np.unique(np.searchsorted(starts, np.arange(0, rows.size, _PIECE)))  # the first tie from there on
    pieces = np.append(starts[at[at < starts.size]], rows.size)
    return RiskOrder(rows, pieces, starts_tie, risk[rows] - label[rows], label[rows] == 1)


@dataclass(frozen=True, eq=False)
class _Column:
    """One class: standardised logits, labels, and the line of all images."""

    logit: Floats
    label: Floats
    centre: float
    scale: float
    start: tuple[float, float]

    @classmethod
    def of(cls, logit: Floats, label: Floats, line: CalibrationLine) -> _Column:
        centre, scale = float(logit.mean()), float(logit.std())
        return cls(logit, label, centre, scale, (line.intercept + line.slope * centre, line.slope * scale))

    @property
    def predictor(self) -> Floats:
        return (self.logit - self.centre) / self.scale

    def lines(self, counts: NDArray[np.int32]) -> Floats:
        """(2, R) intercepts and slopes."""
        overlaps = np.zeros(len(counts), dtype=np.bool_)
        fill_overlaps(np.argsort(self.logit, kind="stable"), self.logit, self.label == 1, counts, overlaps)
        lines = np.full((2, len(counts)), np.nan)
        pending = np.flatnonzero(overlaps)
        lines[:, pending] = self._begun(counts, pending)
        for _ in range(_STEPS):
            pending = self._stepped(counts, pending, lines)
        for number in pending:
            lines[:, number] = self._fitted(counts[number])
        slope = lines[1] / self.scale
        return np.stack([lines[0] - slope * self.centre, slope])

    def _begun(self, counts: NDArray[np.int32], chosen: NDArray[np.int64]) -> Floats:
        """(2, Q) after one step from the line of all images, where the risks are the same for all resamples."""
        x = self.predictor
        risk = expit(self.start[0] + self.start[1] * x)
        weight = risk * (1 - risk)
        bend = weight * (1 - 2 * risk)
        columns = (risk - self.label, (risk - self.label) * x, weight, weight * x, weight * x**2)
        values = np.stack([*columns, bend, bend * x, bend * x**2, bend * x**3], axis=1)
        sums = np.zeros((9, len(counts)))
        for block in blocks_of(chosen):
            found = np.zeros((9, block.size))
            add_products(values, drawn_in(counts, block), found)
            sums[:, block] = found
        sums = sums[:, chosen]
        first, second = _newton_step(sums[:5])
        by_intercept = (sums[5] * first**2 + 2 * sums[6] * first * second + sums[7] * second**2) / 2
        by_slope = (sums[6] * first**2 + 2 * sums[7] * first * second + sums[8] * second**2) / 2
        sums[0] += by_intercept
        sums[1] += by_slope
        return np.array(self.start)[:, None] + _newton_step(sums[:5])

    def _stepped(self, counts: NDArray[np.int32], pending: NDArray[np.int64], lines: Floats) -> NDArray[np.int64]:
        """Take one step with the pending resamples; those that are still on their way."""
        left = []
        for block in blocks_of(pending):
            sums = np.zeros((5, block.size))
            add_line_sums(self.predictor, self.label, drawn_in(counts, block), lines[:, block], sums)
            step = _newton_step(sums)
            lines[:, block] += step
            size = 1 + np.abs(lines[:, block]).max(axis=0)
            is_there = np.isfinite(size) & (np.abs(step).max(axis=0) <= _ENOUGH * size)
            left.append(block[~is_there])
        return np.concatenate(left) if left else pending

    def _fitted(self, counts: NDArray[np.int32]) -> tuple[float, float]:
        """One resample by itself, with steps that are halved where they overshoot."""
        found = fitted_line(self.predictor, self.label == 1, counts, self.start, _EXACT)
        if not np.isnan(found[0]):
            return found
        copies = np.repeat(np.arange(counts.size), counts)
        line = calibration_line(self.predictor[copies], self.label[copies])[0]
        return line.intercept, line.slope


def _newton_step(sums: Floats) -> Floats:
    """(2, B) step from gradient and curvature (5, B); not finite where the curvature is flat."""
    determinant = sums[2] * sums[4] - sums[3] ** 2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        by_intercept = (sums[3] * sums[1] - sums[4] * sums[0]) / determinant
        by_slope = (sums[3] * sums[0] - sums[2] * sums[1]) / determinant
    return np.stack([by_intercept, by_slope])


def _threads(counts: NDArray[np.int32]) -> int:
    """As many as numba may use, where the work is worth it."""
    return min(int(vars(config)["NUMBA_NUM_THREADS"]), counts.size // _WORTH_A_THREAD + 1)
