"""The tables of performance beyond ranking: calibration, decisions, subgroups."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class PerformanceTables:
    """What is known of probabilities and of subgroups; a table may be None or empty, and its place then says why.

    Args:
        calibration_curves: class, group, arm, version (raw, prior corrected), bin, predicted, observed, n.
        decision_curves: class, group, arm, threshold, net_benefit, lo, hi, treat_all, difference (from control),
            difference_lo, difference_hi.
        uncorrected: arm, reason: arms whose probabilities the prior correction leaves as they are.
        subgroups: column, subgroup, class, group, arm, metric, value, lo, hi, difference, difference_lo,
            difference_hi, n, patients, positives, reason.
        subgroup_gaps: column, subgroup, class, group, arm, metric, gap (to all others), lo, hi, difference,
            difference_lo, difference_hi, reason.
    """

    calibration_curves: pd.DataFrame | None = None
    decision_curves: pd.DataFrame | None = None
    uncorrected: pd.DataFrame | None = None
    subgroups: pd.DataFrame | None = None
    subgroup_gaps: pd.DataFrame | None = None
