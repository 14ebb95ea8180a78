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
from tailscope.performance.calibration_curve import CalibrationCurve, calibration_curve
from tailscope.performance.decision_curve import net_benefit, net_benefit_of_treating_all, resampled_net_benefit
from tailscope.performance.grouping import macro
from tailscope.performance.operating_point import (
    sensitivity_at_specificity,
    sensitivity_at_threshold,
    specificity_at_sensitivity,
    specificity_at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
)
from tailscope.performance.prior_correction import meant_logits, moved_prior, platt_scaled
from tailscope.performance.ranking import (
    ap_gain,
    auroc,
    average_precision,
    expected_random_ap,
    resampled_auroc,
    resampled_average_precision,
)
from tailscope.performance.resampled_calibration import resampled_calibration_error, resampled_calibration_line
from tailscope.performance.table import performance_table
from tailscope.performance.weighted_means import (
    resampled_brier,
    resampled_log_loss,
    resampled_sensitivity,
    resampled_specificity,
)

__all__ = [
    "CalibrationCurve",
    "CalibrationLine",
    "ap_gain",
    "auroc",
    "average_precision",
    "brier",
    "calibration_curve",
    "calibration_line",
    "expected_calibration_error",
    "expected_random_ap",
    "log_loss",
    "macro",
    "meant_logits",
    "moved_prior",
    "net_benefit",
    "net_benefit_of_treating_all",
    "performance_table",
    "platt_scaled",
    "resampled_auroc",
    "resampled_average_precision",
    "resampled_brier",
    "resampled_calibration_error",
    "resampled_calibration_line",
    "resampled_log_loss",
    "resampled_net_benefit",
    "resampled_sensitivity",
    "resampled_specificity",
    "sensitivity_at_specificity",
    "sensitivity_at_threshold",
    "specificity_at_sensitivity",
    "specificity_at_threshold",
    "threshold_at_sensitivity",
    "threshold_at_specificity",
]
