"""Does the classifier look where the expert drew?

Comes in: saliency maps (float, any grid), annotation masks (bool, on the evaluation frame), patients, images. Goes out:
one value, reference and excess for each pair and metric, with the reason where one is missing; reference maps; boxes at
every limit; size groups; likeness of maps, and the verdict on the methods that made them; what lies outside the body,
and images without a confounder. May import: core, NumPy, numba, SciPy, pandas; never torch.
"""

from tailscope.alignment.body import outside_body
from tailscope.alignment.inpainting import inpaint
from tailscope.alignment.likeness import class_likeness, likeness
from tailscope.alignment.localizing import LocalizedAt, localization_curve
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.mass import MassInside
from tailscope.alignment.overlap import IoBB, IoR, IoU
from tailscope.alignment.pairing import degenerate_maps
from tailscope.alignment.pointing import PointingGame
from tailscope.alignment.ranking import IouAtArea, PixelAp
from tailscope.alignment.readers import human_agreement
from tailscope.alignment.reference_maps import (
    REFERENCE_MAPS,
    CentreGaussian,
    ClassMeanAnnotation,
    Edge,
    Random,
    ReferenceMap,
    ReferenceScene,
    Uniform,
)
from tailscope.alignment.referencing import reference_scores
from tailscope.alignment.registry import METRICS, AlignmentMetric, CrossScored
from tailscope.alignment.scoring import cross_scores, pair_values, score_pairs
from tailscope.alignment.soundness import (
    VERDICT_COLUMNS,
    SoundnessLimits,
    method_verdicts,
    soundness_verdicts,
    stage_estimates,
)
from tailscope.alignment.stratifying import size_groups

__all__ = [
    "METRICS",
    "REFERENCE_MAPS",
    "VERDICT_COLUMNS",
    "AlignmentMetric",
    "CentreGaussian",
    "ClassMeanAnnotation",
    "CrossScored",
    "Edge",
    "IoBB",
    "IoR",
    "IoU",
    "IouAtArea",
    "LocalizedAt",
    "MassInside",
    "PackedMasks",
    "PixelAp",
    "PointingGame",
    "Random",
    "ReferenceMap",
    "ReferenceScene",
    "SoundnessLimits",
    "Uniform",
    "class_likeness",
    "cross_scores",
    "degenerate_maps",
    "human_agreement",
    "inpaint",
    "likeness",
    "localization_curve",
    "method_verdicts",
    "outside_body",
    "pair_values",
    "reference_scores",
    "score_pairs",
    "size_groups",
    "soundness_verdicts",
    "stage_estimates",
]
