"""Calibration, operating points and net benefit of every class, seed and patient resample: exploratory, all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tailscope.experiment.pair_samples import LensMetric
from tailscope.experiment.predicted import Predicted
from tailscope.experiment.score_samples import Measured, ScoreMetric, joint_samples, score_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import (
    brier,
    calibration_line,
    expected_calibration_error,
    log_loss,
    net_benefit,
    resampled_brier,
    resampled_calibration_error,
    resampled_calibration_line,
    resampled_log_loss,
    resampled_net_benefit,
    resampled_sensitivity,
    resampled_specificity,
    sensitivity_at_threshold,
    specificity_at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
)
from tailscope.stats import MetricSamples

Floats = NDArray[np.float64]
Scores = NDArray[np.floating]
Counts = NDArray[np.integer]

LENS = "performance"
NET_BENEFIT_AT = (0.05, 0.10, 0.20)
SPECIFICITY, SENSITIVITY = 0.95, 0.90

_ERRORS = (
    ScoreMetric(LENS, "brier", brier, resampled_brier, "lower"),
    ScoreMetric(LENS, "log_loss", log_loss, resampled_log_loss, "lower"),
    ScoreMetric(LENS, "expected_calibration_error", expected_calibration_error, resampled_calibration_error, "lower"),
)
_LINE = tuple(LensMetric(LENS, name, None) for name in ("calibration_intercept", "calibration_slope"))
_SENSITIVITY, _SPECIFICITY, _REVERSE = (
    LensMetric(LENS, name, "higher") for name in ("sensitivity", "specificity", "specificity_at_sensitivity")
)


def calibration_samples(test: TestSet, grid: RunGrid, predicted: Predicted) -> Iterator[MetricSamples]:
    """Brier score, log loss, calibration error and calibration line; the errors also after correction.

    ``…_prior_corrected`` is of the probabilities that an arm's predictions mean given its loss and its draws,
    ``…_platt`` of those on each run's own calibration line on validation.

    Args:
        test: The test split.
        grid: The runs.
        predicted: What they predict.
    """
    for metric in _ERRORS:
        yield from score_samples(test, grid, metric, predicted.logits)
    yield from joint_samples(test, grid, _LINE, _lines, predicted.logits)
    scaled, reasons = predicted.platt()
    for version, logits, why in (("prior_corrected", predicted.corrected, ()), ("platt", scaled, reasons)):
        for metric, name in ((_ERRORS[0], "brier"), (_ERRORS[2], "ece")):
            renamed = ScoreMetric(LENS, f"{name}_{version}", metric.plain, metric.resampled, metric.direction)
            yield from score_samples(test, grid, renamed, logits, why)


def operating_point_samples(test: TestSet, grid: RunGrid, predicted: Predicted) -> Iterator[MetricSamples]:
    """Sensitivity and specificity at thresholds that each run's validation split gives.

    ``sensitivity`` and ``specificity`` are at the threshold of 95 % specificity, ``specificity_at_sensitivity`` at that
    of 90 % sensitivity; thresholds stay as they are in every resample.

    Args:
        test: The test split.
        grid: The runs.
        predicted: What they predict.
    """
    targets = predicted.val_targets
    specific = np.stack([threshold_at_specificity(one, targets, SPECIFICITY) for one in predicted.val_logits])
    sensitive = np.stack([threshold_at_sensitivity(one, targets, SENSITIVITY) for one in predicted.val_logits])
    for metrics, limits in (((_SENSITIVITY, _SPECIFICITY), specific), ((_REVERSE,), sensitive)):
        reasons = ["no operating point on validation" if np.isnan(column).any() else "" for column in limits.T]
        measure = partial(_shares, names=tuple(metric.name for metric in metrics))
        # Above the threshold is above 0 of the difference, which is 0 only where both are equal.
        yield from joint_samples(test, grid, metrics, measure, predicted.logits - limits[:, None], reasons)


def net_benefit_samples(
    test: TestSet, grid: RunGrid, logits: Scores, thresholds: Sequence[float] = NET_BENEFIT_AT
) -> Iterator[MetricSamples]:
    """Net benefit at some threshold probabilities, named ``net_benefit_at_0.05`` and so on.

    Args:
        test: The test split.
        grid: The runs.
        logits: (A·S, N, K), in the grid's order.
        thresholds: Probabilities in (0, 1).
    """

    def measure(columns: Scores, labels: Scores, multiplicity: Counts) -> list[Measured]:
        values = net_benefit(columns, labels, thresholds)
        resampled = resampled_net_benefit(columns, labels, thresholds, multiplicity)
        return [Measured(values[:, place], resampled[:, :, place]) for place in range(len(thresholds))]

    metrics = [LensMetric(LENS, net_benefit_name(threshold), "higher") for threshold in thresholds]
    yield from joint_samples(test, grid, metrics, measure, logits)


def net_benefit_name(threshold: float) -> str:
    """Of the metric.

    >>> net_benefit_name(0.05)
    'net_benefit_at_0.05'
    """
    return f"net_benefit_at_{threshold:g}"


def performance_metrics(test: TestSet, grid: RunGrid, predicted: Predicted) -> Iterator[MetricSamples]:
    """All of this module, for the table of findings.

    Args:
        test: The test split.
        grid: The runs.
        predicted: What they predict.
    """
    yield from calibration_samples(test, grid, predicted)
    yield from operating_point_samples(test, grid, predicted)
    yield from net_benefit_samples(test, grid, predicted.logits)


def _lines(logits: Scores, labels: Scores, multiplicity: Counts) -> list[Measured]:
    lines = calibration_line(logits, labels)
    reason = next((line.reason for line in lines if line.reason), "")
    intercept, slope = np.array([(line.intercept, line.slope) for line in lines]).T
    both = resampled_calibration_line(logits, labels, multiplicity)
    return [Measured(intercept, both[0], reason), Measured(slope, both[1], reason)]


def _shares(differences: Scores, labels: Scores, multiplicity: Counts, *, names: tuple[str, ...]) -> list[Measured]:
    """Shares on the right side of 0."""
    zero = np.zeros(differences.shape[1])
    found = []
    for name in names:
        plain, resampled = _ON_THE_RIGHT_SIDE[name]
        found.append(Measured(plain(differences, labels, zero), resampled(differences, labels, zero, multiplicity)))
    return found


_ON_THE_RIGHT_SIDE = {
    "sensitivity": (sensitivity_at_threshold, resampled_sensitivity),
    "specificity": (specificity_at_threshold, resampled_specificity),
    "specificity_at_sensitivity": (specificity_at_threshold, resampled_specificity),
}
