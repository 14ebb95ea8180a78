"""How sure are we?

Comes in: a metric's values per arm, seed and patient resample (:class:`MetricSamples`), and patient ids. Goes out:
resamples, estimates with intervals, the table of findings with verdicts, and the differences that AUROC and AP hide.
May import: core (NumPy, SciPy, pandas; no torch, no other room).
"""

from tailscope.stats.comparison import FINDING_COLUMNS, compare
from tailscope.stats.delong import clustered_auroc_covariance, delong_covariance
from tailscope.stats.differences import PairedDifference, paired_difference, satterthwaite, seed_variance_floor
from tailscope.stats.estimates import arm_estimate
from tailscope.stats.hidden import HIDDEN_COLUMNS, family_sizes, hidden_differences, positives_needed
from tailscope.stats.levels import against_zero
from tailscope.stats.multiplicity import benjamini_hochberg, holm
from tailscope.stats.permutation import sign_flip_p, swap_p
from tailscope.stats.ranks import RankDistribution, rank_distribution
from tailscope.stats.resampling import Resamples, cluster_multiplicity, cluster_resamples, resampled_mean
from tailscope.stats.samples import AGGREGATES, ComparisonSettings, MetricSamples
from tailscope.stats.seed_noise import seed_scatter
from tailscope.stats.trend import ClassCovariance, TailTrend, class_covariance, tail_trend
from tailscope.stats.verdicts import too_few

__all__ = [
    "AGGREGATES",
    "FINDING_COLUMNS",
    "HIDDEN_COLUMNS",
    "ClassCovariance",
    "ComparisonSettings",
    "MetricSamples",
    "PairedDifference",
    "RankDistribution",
    "Resamples",
    "TailTrend",
    "against_zero",
    "arm_estimate",
    "benjamini_hochberg",
    "class_covariance",
    "cluster_multiplicity",
    "cluster_resamples",
    "clustered_auroc_covariance",
    "compare",
    "delong_covariance",
    "family_sizes",
    "hidden_differences",
    "holm",
    "paired_difference",
    "positives_needed",
    "rank_distribution",
    "resampled_mean",
    "satterthwaite",
    "seed_scatter",
    "seed_variance_floor",
    "sign_flip_p",
    "swap_p",
    "tail_trend",
    "too_few",
]
