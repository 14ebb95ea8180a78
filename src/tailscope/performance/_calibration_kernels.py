"""Weighted sums, calibration error and calibration line of one class on a block of resamples.

Where the work allows it, the innermost loop runs over resamples, which lie side by side in memory, so the processor
takes several at a time. Every resample is summed in one fixed order, whatever block it is in. Nothing here starts a
thread, and all of it lets go of the interpreter's lock.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Drawn = NDArray[np.int32]

_STEPS = 60
_FLAT = 1e-12  # of the curvature: below it a step is rounding
_FAR = 700.0  # logits; beyond it the exponential leaves float64
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = (1.0 / math.factorial(power) for power in range(3, 12))


class RiskOrder(NamedTuple):
    """The labelled images of one class by rising risk.

    Args:
        rows: (M,) their rows.
        pieces: (C + 1,) places at which short pieces of that order begin, none of them within a tie; M at the end.
        starts_tie: (M,) whether the risk is another than the one before.
        excess: (M,) risk − label.
        positive: (M,) labels.
    """

    rows: Places
    pieces: Places
    starts_tie: Flags
    excess: Floats
    positive: Flags


@njit(cache=True, nogil=True)
def add_products(values: Floats, drawn: Drawn, sums: Floats) -> None:
    """Σ_n values[n, j] · drawn[n, b], added to ``sums``.

    Args:
        values: (N, J).
        drawn: (N, B) how often each image is in each resample.
        sums: (J, B).
    """
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = values[row, column]
            if value != 0:
                for resample in range(drawn.shape[1]):
                    sums[column, resample] += value * drawn[row, resample]


@njit(cache=True, nogil=True)
def fill_binned_errors(order: RiskOrder, drawn: Drawn, most: int, errors: Floats) -> None:
    """Calibration error over equal-mass bins per resample.

    An image that is drawn several times may lie in two bins. Images of equal risk stand as one, with their mean excess.
    Only the pieces of the order in which a bin ends are looked at image by image.

    Args:
        order: The images.
        drawn: (N, B) how often each image is in each resample.
        most: Bins; fewer where fewer images are drawn.
        errors: (B,) is filled; left as it is where a resample has no positive or no negative.
    """
    rows, pieces, _, excess, positive = order
    size = drawn.shape[1]
    counts = np.zeros((pieces.size - 1, size), dtype=np.int64)
    gaps = np.zeros((pieces.size - 1, size))
    totals, positives = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for piece in range(pieces.size - 1):
        count, gap = counts[piece], gaps[piece]
        for place in range(pieces[piece], pieces[piece + 1]):
            times, each = drawn[rows[place]], excess[place]
            for b in range(size):
                count[b] += times[b]
                gap[b] += times[b] * each
            if positive[place]:
                for b in range(size):
                    positives[b] += times[b]
        for b in range(size):
            totals[b] += count[b]
    for b in range(size):
        if 0 < positives[b] < totals[b]:
            bins = min(most, totals[b])
            errors[b] = _binned_error(order, drawn[:, b], counts[:, b], gaps[:, b], bins) / totals[b]


@njit(cache=True, nogil=True)
def _binned_error(order: RiskOrder, drawn: Drawn, counts: Places, gaps: Floats, bins: int) -> float:
    """Summed distance of the bins of one resample, from the images and the summed excess of every piece."""
    rows, pieces, starts_tie, excess, _ = order
    total = counts.sum()
    number, seen, edge = 1, 0, total // bins + (total % bins > 0)
    gap, error = 0.0, 0.0
    for piece in range(pieces.size - 1):
        if seen + counts[piece] < edge:
            seen += counts[piece]
            gap += gaps[piece]
            continue
        first = pieces[piece]
        while first < pieces[piece + 1]:
            count, pooled = int(drawn[rows[first]]), drawn[rows[first]] * excess[first]
            last = first + 1
            while last < pieces[piece + 1] and not starts_tie[last]:
                count += drawn[rows[last]]
                pooled += drawn[rows[last]] * excess[last]
                last += 1
            each = pooled / max(count, 1)
            while seen + count >= edge and number <= bins:
                error += abs(gap + (edge - seen) * each)
                gap = 0.0
                count -= edge - seen
                seen = edge
                edge += total // bins + (number < total % bins)
                number += 1
            seen += count
            gap += count * each
            first = last
    return error


@njit(cache=True, nogil=True, error_model="numpy")
def add_line_sums(predictor: Floats, label: Floats, drawn: Drawn, lines: Floats, sums: Floats) -> None:
    """Gradient and curvature of the log loss of a line per resample, added to ``sums``.

    e^u is (e^(u/1024))^1024 with the inner one a series: plain arithmetic, which the processor does for several
    resamples at a time; its relative error is about 1e-13.

    Args:
        predictor: (M,).
        label: (M,) 0 or 1.
        drawn: (M, B).
        lines: (2, B) intercepts and slopes.
        sums: (5, B) Σ miss, Σ miss·x, Σ weight, Σ weight·x, Σ weight·x².
    """
    size = drawn.shape[1]
    risk = np.empty(size)
    miss, miss_x = np.zeros(size), np.zeros(size)
    weight, weight_x, weight_xx = np.zeros(size), np.zeros(size), np.zeros(size)
    intercept, slope = lines[0].copy(), lines[1].copy()
    for row in range(predictor.size):
        x, y, counts = predictor[row], label[row], drawn[row]
        for b in range(size):
            u = intercept[b] + slope[b] * x
            u = _FAR if u > _FAR else u
            u = -_FAR if u < -_FAR else u
            u *= -1 / 1024
            power = _C10 + u * _C11
            power = _C8 + u * (_C9 + u * power)
            power = _C5 + u * (_C6 + u * (_C7 + u * power))
            power = 1.0 + u * (1.0 + u * (0.5 + u * (_C3 + u * (_C4 + u * power))))
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            power *= power
            risk[b] = 1.0 / (1.0 + power)
        for b in range(size):
            part = counts[b] * (risk[b] - y)
            miss[b] += part
            miss_x[b] += part * x
        for b in range(size):
            part = counts[b] * risk[b] * (1.0 - risk[b])
            weight[b] += part
            weight_x[b] += part * x
            weight_xx[b] += part * x * x
    for b in range(size):
        sums[0, b] += miss[b]
        sums[1, b] += miss_x[b]
        sums[2, b] += weight[b]
        sums[3, b] += weight_x[b]
        sums[4, b] += weight_xx[b]


@njit(cache=True, nogil=True)
def fitted_line(
    predictor: Floats, positive: Flags, counts: Drawn, start: tuple[float, float], enough: float
) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of one resample, by Newton's method from ``start``.

    A step that overshoots the minimum along its direction is halved: there the derivative along the step has changed
    its sign and grown.

    Args:
        predictor: (M,) about standardised.
        positive: (M,) labels.
        counts: (M,) how often each image is drawn.
        start: Intercept and slope to begin with.
        enough: Size of the last step, relative to the line.

    Returns:
        NaN twice where the steps do not settle.
    """
    intercept, slope = start
    by_intercept, by_slope, downhill = 0.0, 0.0, np.inf
    for _ in range(_STEPS):
        g0, g1, h00, h01, h11 = 0.0, 0.0, 0.0, 0.0, 0.0
        for place in range(predictor.size):
            if counts[place] > 0:
                x = predictor[place]
                risk = 1.0 / (1.0 + math.exp(min(-(intercept + slope * x), _FAR)))
                miss = counts[place] * (risk - positive[place])
                weight = counts[place] * risk * (1.0 - risk)
                g0 += miss
                g1 += miss * x
                h00 += weight
                h01 += weight * x
                h11 += weight * x * x
        if g0 * by_intercept + g1 * by_slope > downhill:
            by_intercept, by_slope = by_intercept / 2, by_slope / 2
            downhill /= 2
            intercept, slope = intercept - by_intercept, slope - by_slope
            continue
        determinant = h00 * h11 - h01 * h01
        if not determinant > _FLAT * h00 * h11:
            break
        by_intercept = -(h11 * g0 - h01 * g1) / determinant
        by_slope = -(h00 * g1 - h01 * g0) / determinant
        downhill = -(g0 * by_intercept + g1 * by_slope)
        intercept, slope = intercept + by_intercept, slope + by_slope
        if max(abs(by_intercept), abs(by_slope)) <= enough * (1.0 + max(abs(intercept), abs(slope))):
            return intercept, slope
    return np.nan, np.nan


@njit(cache=True, nogil=True)
def fill_overlaps(order: Places, logit: Floats, positive: Flags, drawn: Drawn, overlaps: Flags) -> None:
    """Per resample, whether some positive is below some negative and some negative below some positive.

    Args:
        order: (M,) by rising logit.
        logit: (M,).
        positive: (M,) labels.
        drawn: (R, M).
        overlaps: (R,) is filled; without overlap no line fits best.
    """
    for resample in range(drawn.shape[0]):
        lowest = np.array([np.inf, np.inf])
        for place in order:
            side = int(positive[place])
            if drawn[resample, place] > 0 and lowest[side] == np.inf:
                lowest[side] = logit[place]
                if lowest[1 - side] < np.inf:
                    break
        highest = np.array([-np.inf, -np.inf])
        for place in order[::-1]:
            side = int(positive[place])
            if drawn[resample, place] > 0 and highest[side] == -np.inf:
                highest[side] = logit[place]
                if highest[1 - side] > -np.inf:
                    break
        overlaps[resample] = lowest[1] < highest[0] and lowest[0] < highest[1]
