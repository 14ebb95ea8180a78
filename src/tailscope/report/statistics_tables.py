"""The tables behind the verdicts: how the treatments stand, and how far the statistics can be trusted here."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class StatisticsTables:
    """What stands behind and beside the verdicts; a table may be None or empty, and its place then says why.

    Args:
        false_alarms: The second control against control, one row per lens, metric and class: columns of the findings,
            and kind; empty without a second control.
        cross_checks: The differences in AUROC by other methods: class, arm, difference, bootstrap_se, formula,
            formula_se, se_ratio, permutation_p, p, p_adjusted, p_bh, percentile_lo, percentile_hi, verdict, reason.
        ranks: metric, arm, mean_rank (1 is best), lo, hi, first, classes, reason.
        trends: metric, arm, slope (change of the difference per tenfold rarer class), lo, hi, p, classes, left_out,
            reason.
        precision: metric, class, arm, n, patients, se, mde, margin, seed_share, patient_share, seeds_needed,
            positives_needed, verdict, reason.
    """

    false_alarms: pd.DataFrame | None = None
    cross_checks: pd.DataFrame | None = None
    ranks: pd.DataFrame | None = None
    trends: pd.DataFrame | None = None
    precision: pd.DataFrame | None = None
