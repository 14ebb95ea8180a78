"""Did the features change, or only the head?

Comes in: features (N, D) or activations of the same images from several runs, labels, patients, weights of heads.
Goes out: similarity of layers (linear CKA), matched units, balanced linear probes, swapped heads, geometry of the
classes, effective rank. May import: core, models, performance; no torch is needed here.
"""

from tailscope.representation.cka import (
    CONSTANT,
    LEAST_IMAGES,
    CkaMatrix,
    centred_grams,
    cka_matrix,
    hsic1,
    minibatch_cka,
    minibatches,
)
from tailscope.representation.concept_changes import (
    CHANGED_CLASS_COLUMNS,
    CHANGED_UNIT_COLUMNS,
    NOT_TESTED,
    ConceptChanges,
    concept_changes,
)
from tailscope.representation.correlation import activation_correlation
from tailscope.representation.geometry import (
    ClassAngles,
    class_angles,
    cosines,
    effective_rank,
    group_cosine,
    mean_differences,
    resampled_mean_cosine,
)
from tailscope.representation.matching import UNMATCHED, MatchingNull, UnitMatch, match_units, matching_null
from tailscope.representation.probes import RIDGES, LabelledFeatures, Probes, fit_probes
from tailscope.representation.relative_cka import RELATIVE_CKA_COLUMNS, relative_cka
from tailscope.representation.scatter import ClassScatter, ScatterValues, class_scatter
from tailscope.representation.swapping import Halves, Head, Swap, SwapEffects, swap_effects
from tailscope.representation.verdicts import (
    FEATURES_CHANGED,
    HEAD_METRIC,
    NOTHING_CHANGED,
    ONLY_THE_HEAD,
    PROBE_METRIC,
    REPRESENTATION_VERDICT_COLUMNS,
    UNDECIDED,
    representation_verdicts,
)

__all__ = [
    "CHANGED_CLASS_COLUMNS",
    "CHANGED_UNIT_COLUMNS",
    "CONSTANT",
    "FEATURES_CHANGED",
    "HEAD_METRIC",
    "LEAST_IMAGES",
    "NOTHING_CHANGED",
    "NOT_TESTED",
    "ONLY_THE_HEAD",
    "PROBE_METRIC",
    "RELATIVE_CKA_COLUMNS",
    "REPRESENTATION_VERDICT_COLUMNS",
    "RIDGES",
    "UNDECIDED",
    "UNMATCHED",
    "CkaMatrix",
    "ClassAngles",
    "ClassScatter",
    "ConceptChanges",
    "Halves",
    "Head",
    "LabelledFeatures",
    "MatchingNull",
    "Probes",
    "ScatterValues",
    "Swap",
    "SwapEffects",
    "UnitMatch",
    "activation_correlation",
    "centred_grams",
    "cka_matrix",
    "class_angles",
    "class_scatter",
    "concept_changes",
    "cosines",
    "effective_rank",
    "fit_probes",
    "group_cosine",
    "hsic1",
    "match_units",
    "matching_null",
    "mean_differences",
    "minibatch_cka",
    "minibatches",
    "relative_cka",
    "representation_verdicts",
    "resampled_mean_cosine",
    "swap_effects",
]
