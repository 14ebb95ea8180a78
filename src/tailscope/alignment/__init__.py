"""Does the classifier look where the expert drew?

Comes in: saliency maps (float, any grid), annotation masks (bool, on the evaluation frame), patients. Goes out: one
value, reference and excess for each pair and metric, with the reason where one is missing; reference maps; size groups.
May import: core, NumPy, numba, SciPy, pandas; never torch.
"""

from tailscope.alignment.mass import MassInside
from tailscope.alignment.overlap import IoBB, IoR, IoU
from tailscope.alignment.pairing import degenerate_maps
from tailscope.alignment.pointing import PointingGame
from tailscope.alignment.ranking import IouAtArea, PixelAp
from tailscope.alignment.reference_maps import REFERENCE_MAPS, CentreGaussian, Random, ReferenceMap, Uniform
from tailscope.alignment.registry import METRICS, AlignmentMetric, CrossScored
from tailscope.alignment.scoring import cross_scores, score_pairs
from tailscope.alignment.stratifying import size_groups

__all__ = [
    "METRICS",
    "REFERENCE_MAPS",
    "AlignmentMetric",
    "CentreGaussian",
    "CrossScored",
    "IoBB",
    "IoR",
    "IoU",
    "IouAtArea",
    "MassInside",
    "PixelAp",
    "PointingGame",
    "Random",
    "ReferenceMap",
    "Uniform",
    "cross_scores",
    "degenerate_maps",
    "score_pairs",
    "size_groups",
]
