"""All performance metrics of one run in one long table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tailscope.core import GROUPS, InputError
from tailscope.performance.calibration import brier, calibration_line, expected_calibration_error, log_loss
from tailscope.performance.cells import columns_of
from tailscope.performance.grouping import macro
from tailscope.performance.operating_point import sensitivity_at_threshold, specificity_at_threshold
from tailscope.performance.ranking import ap_gain, auroc, average_precision

Floats = NDArray[np.float64]


def performance_table(
    logits: ArrayLike,
    targets: ArrayLike,
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    thresholds: ArrayLike | None = None,
) -> pd.DataFrame:
    """Every metric of every class, and its mean over all classes and over the classes of each group.

    Args:
        logits: (N, K).
        targets: (N, K) in {0, 1, NaN}.
        classes: K names.
        groups: K names out of head, medium and tail, from :func:`tailscope.core.class_groups`; without them
            there are only class and macro rows.
        thresholds: (K,) operating points chosen on the validation split, e.g. by
            :func:`tailscope.performance.threshold_at_specificity`; without them there are no sensitivity and
            specificity rows. The rows ``sensitivity_at_half`` and ``specificity_at_half`` are at logit 0, probability
            one half: the run's own threshold.

    Returns:
        Columns class, metric, value, positives, negatives, n, reason. In class rows n counts labelled images; in the
        rows ``macro``, ``head``, ``medium`` and ``tail`` it counts the classes that the mean is over.

    Raises:
        InputError: Names, groups and columns differ in number, or as :func:`tailscope.performance.auroc`.

    Example:
        >>> table = performance_table([[-1.0], [1.0]], [[0], [1]], ["mass"])
        >>> table.loc[table["metric"] == "auroc", ["class", "value", "n"]].values.tolist()
        [['mass', 1.0, 2], ['macro', 1.0, 1]]
    """
    score, label = columns_of(logits, targets)
    if len(classes) != score.shape[1] or (groups is not None and len(groups) != len(classes)):
        given = "none" if groups is None else len(groups)
        raise InputError(f"expected {score.shape[1]} class names and groups; got {len(classes)} and {given}")
    positives, negatives = (label == 1).sum(axis=0), (label == 0).sum(axis=0)
    rows: list[dict[str, Any]] = []
    for metric, (values, reasons) in _metrics(score, label, thresholds).items():
        for number, name in enumerate(classes):
            counts = (int(positives[number]), int(negatives[number]))
            reason = _why_missing(counts) or reasons[number]
            rows.append(_row((name, metric), float(values[number]), counts, sum(counts), reason))
        for name, chosen in _aggregates(groups, len(classes)).items():
            mean = macro(values[chosen])
            counts = (int(positives[chosen].sum()), int(negatives[chosen].sum()))
            rows.append(_row((name, metric), mean.value, counts, mean.n, mean.reason))
    return pd.DataFrame(rows)


def _metrics(score: Floats, label: Floats, thresholds: ArrayLike | None) -> dict[str, tuple[Floats, list[str]]]:
    none = [""] * score.shape[1]
    lines = calibration_line(score, label)
    line_reasons = [line.reason for line in lines]
    metrics = {
        "auroc": (auroc(score, label), none),
        "average_precision": (average_precision(score, label), none),
        "ap_gain": (ap_gain(score, label), none),
        "brier": (brier(score, label), none),
        "log_loss": (log_loss(score, label), none),
        "expected_calibration_error": (expected_calibration_error(score, label), none),
        "calibration_slope": (np.array([line.slope for line in lines]), line_reasons),
        "calibration_intercept": (np.array([line.intercept for line in lines]), line_reasons),
    }
    sensitivity, specificity = _at_thresholds(score, label, np.zeros(score.shape[1]))
    metrics |= {"sensitivity_at_half": (sensitivity, none), "specificity_at_half": (specificity, none)}
    return metrics if thresholds is None else metrics | _at_operating_point(score, label, thresholds)


def _at_operating_point(score: Floats, label: Floats, thresholds: ArrayLike) -> dict[str, tuple[Floats, list[str]]]:
    chosen = np.asarray(thresholds, dtype=np.float64)
    reasons = ["" if known else "no operating point on validation" for known in np.isfinite(chosen)]
    sensitivity, specificity = _at_thresholds(score, label, chosen)
    return {"sensitivity": (sensitivity, reasons), "specificity": (specificity, reasons)}


def _at_thresholds(score: Floats, label: Floats, thresholds: Floats) -> tuple[Floats, Floats]:
    """Sensitivity and specificity per class; NaN for a class without both sides, as every metric of the table."""
    has_both = (label == 1).any(axis=0) & (label == 0).any(axis=0)
    chosen = np.where(has_both, thresholds, np.nan)
    return sensitivity_at_threshold(score, label, chosen), specificity_at_threshold(score, label, chosen)


def _aggregates(groups: Sequence[str] | None, count: int) -> dict[str, NDArray[np.bool_]]:
    chosen = {"macro": np.ones(count, dtype=np.bool_)}
    if groups is not None:
        names = np.asarray(groups)
        chosen |= {group: names == group for group in GROUPS}
    return chosen


def _why_missing(counts: tuple[int, int]) -> str:
    missing = [name for name, count in zip(("positive", "negative"), counts, strict=True) if not count]
    return f"no {' and no '.join(missing)} image" if missing else ""


def _row(address: tuple[str, str], value: float, counts: tuple[int, int], n: int, reason: str) -> dict[str, Any]:
    return {
        "class": address[0],
        "metric": address[1],
        "value": value,
        "positives": counts[0],
        "negatives": counts[1],
        "n": n,
        "reason": reason,
    }
