"""How sure are we?

Comes in: a metric's values per arm, seed and patient resample (:class:`MetricSamples`), and patient ids. Goes out:
resamples, estimates with intervals, the table of findings with verdicts, and the differences that AUROC and AP hide.
May import: core (NumPy, SciPy, pandas; no torch, no other room).
"""

from tailscope.stats.comparison import FINDING_COLUMNS, compare
from tailscope.stats.differences import PairedDifference, paired_difference
from tailscope.stats.estimates import arm_estimate
from tailscope.stats.hidden import HIDDEN_COLUMNS, hidden_differences
from tailscope.stats.levels import against_zero
from tailscope.stats.multiplicity import holm
from tailscope.stats.resampling import Resamples, cluster_multiplicity, cluster_resamples, resampled_mean
from tailscope.stats.samples import AGGREGATES, ComparisonSettings, MetricSamples

__all__ = [
    "AGGREGATES",
    "FINDING_COLUMNS",
    "HIDDEN_COLUMNS",
    "ComparisonSettings",
    "MetricSamples",
    "PairedDifference",
    "Resamples",
    "against_zero",
    "arm_estimate",
    "cluster_multiplicity",
    "cluster_resamples",
    "compare",
    "hidden_differences",
    "holm",
    "paired_difference",
    "resampled_mean",
]
