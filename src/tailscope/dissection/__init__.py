"""What do single units respond to?

Comes in: activations of layers on the test images (array or memory map), labels, patients, expert masks on one grid;
for the causal check, the network. Goes out: thresholds, exact pixel counts, IoU at a fixed fraction and at a concept's
own area, detectors with their test, cross-fitted best units, concept counts, unit cards, what a class loses without its
detectors. May import: core, models, stats.
"""

from tailscope.dissection.ablation import LinearRest, MeanAblation, ablated_logits, linear_rest, unit_effects
from tailscope.dissection.cards import CardSettings, UnitCard, best_units, unit_cards
from tailscope.dissection.causes import CAUSE_METRICS, CauseMetric, CausePlan, Causes, CauseSettings, plan_causes
from tailscope.dissection.cells import CellGrid, cell_grid
from tailscope.dissection.concepts import ConceptCounts, concept_counts, mask_shifts
from tailscope.dissection.counts import DetectorTally, UnitConceptCounts, attainable_iou, unit_concept_counts
from tailscope.dissection.cross_counts import CrossCounts, cross_counts, row_prefixes
from tailscope.dissection.crossfit import CrossFit
from tailscope.dissection.derangement import derangements
from tailscope.dissection.detectors import deranged_best, detector_p
from tailscope.dissection.evidence import ClassEvidence
from tailscope.dissection.images import AnnotatedImages, MatchedSet, matched_set
from tailscope.dissection.lens import Dissection, dissect
from tailscope.dissection.matched import MatchedIoU, iou_matched
from tailscope.dissection.published import (
    ALL_CLASSES,
    PUBLISHED_DIFFERENCE,
    PublishedConcepts,
    PublishedSettings,
    counts_by_label,
    published_class_counts,
    published_concepts,
    published_report,
)
from tailscope.dissection.settings import DissectionSettings
from tailscope.dissection.streaming_thresholds import ThresholdAccumulator, Thresholds
from tailscope.dissection.tables import NOT_ANNOTATED
from tailscope.dissection.thresholds import Activations, activation_range, activation_thresholds
from tailscope.dissection.unit_facts import MatchedCounts, UnitSizes

__all__ = [
    "ALL_CLASSES",
    "CAUSE_METRICS",
    "NOT_ANNOTATED",
    "PUBLISHED_DIFFERENCE",
    "Activations",
    "AnnotatedImages",
    "CardSettings",
    "CauseMetric",
    "CausePlan",
    "CauseSettings",
    "Causes",
    "CellGrid",
    "ClassEvidence",
    "ConceptCounts",
    "CrossCounts",
    "CrossFit",
    "DetectorTally",
    "Dissection",
    "DissectionSettings",
    "LinearRest",
    "MatchedCounts",
    "MatchedIoU",
    "MatchedSet",
    "MeanAblation",
    "PublishedConcepts",
    "PublishedSettings",
    "ThresholdAccumulator",
    "Thresholds",
    "UnitCard",
    "UnitConceptCounts",
    "UnitSizes",
    "ablated_logits",
    "activation_range",
    "activation_thresholds",
    "attainable_iou",
    "best_units",
    "cell_grid",
    "concept_counts",
    "counts_by_label",
    "cross_counts",
    "deranged_best",
    "derangements",
    "detector_p",
    "dissect",
    "iou_matched",
    "linear_rest",
    "mask_shifts",
    "matched_set",
    "plan_causes",
    "published_class_counts",
    "published_concepts",
    "published_report",
    "row_prefixes",
    "unit_cards",
    "unit_concept_counts",
    "unit_effects",
]
