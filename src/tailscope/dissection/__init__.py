"""What do single units respond to?

Comes in: activations of one layer on the test images (array or memory map), labels, patients, expert masks on one grid.
Goes out: thresholds, exact pixel counts, IoU at a fixed fraction and at the concept's own area, cross-fitted best units
that can be re-scored under a bootstrap, concept counts. May import: core only; no torch is needed here.
"""

from tailscope.dissection.cells import CellGrid, cell_grid
from tailscope.dissection.concepts import ConceptCounts, concept_counts
from tailscope.dissection.counts import DetectorTally, UnitConceptCounts, attainable_iou, unit_concept_counts
from tailscope.dissection.crossfit import CrossFit
from tailscope.dissection.derangement import derangements
from tailscope.dissection.images import AnnotatedImages, MatchedSet, matched_set
from tailscope.dissection.lens import Dissection, DissectionSettings, dissect
from tailscope.dissection.matched import MatchedIoU, iou_matched
from tailscope.dissection.published import (
    PublishedConcepts,
    counts_by_label,
    published_concepts,
    published_report,
)
from tailscope.dissection.thresholds import Activations, activation_range, activation_thresholds

__all__ = [
    "Activations",
    "AnnotatedImages",
    "CellGrid",
    "ConceptCounts",
    "CrossFit",
    "DetectorTally",
    "Dissection",
    "DissectionSettings",
    "MatchedIoU",
    "MatchedSet",
    "PublishedConcepts",
    "UnitConceptCounts",
    "activation_range",
    "activation_thresholds",
    "attainable_iou",
    "cell_grid",
    "concept_counts",
    "counts_by_label",
    "derangements",
    "dissect",
    "iou_matched",
    "matched_set",
    "published_concepts",
    "published_report",
    "unit_concept_counts",
]
