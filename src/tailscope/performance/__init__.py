"""How well does a classifier rank and calibrate?

Comes in: scores or logits (N, K) and labels (N, K) in {0, 1, NaN}, as arrays. Goes out: one number per class, their
means over classes and class groups, and the same on resamples given as multiplicities. May import: core (NumPy, SciPy,
numba, pandas; no torch, no other room).
"""

from tailscope.performance.calibration import (
    CalibrationLine,
    brier,
    calibration_line,
    expected_calibration_error,
    log_loss,
)
from tailscope.performance.grouping import macro
from tailscope.performance.operating_point import (
    sensitivity_at_specificity,
    sensitivity_at_threshold,
    threshold_at_specificity,
)
from tailscope.performance.ranking import (
    ap_gain,
    auroc,
    average_precision,
    expected_random_ap,
    resampled_auroc,
    resampled_average_precision,
)
from tailscope.performance.table import performance_table

__all__ = [
    "CalibrationLine",
    "ap_gain",
    "auroc",
    "average_precision",
    "brier",
    "calibration_line",
    "expected_calibration_error",
    "expected_random_ap",
    "log_loss",
    "macro",
    "performance_table",
    "resampled_auroc",
    "resampled_average_precision",
    "sensitivity_at_specificity",
    "sensitivity_at_threshold",
    "threshold_at_specificity",
]
