"""From counts to the tables of the lens: units, concept counts, and the layer's summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.dissection.concepts import ConceptCounts
from tailscope.dissection.counts import DETECTOR_IOU, LEAST_ATTAINABLE, attainable_iou
from tailscope.dissection.images import MatchedSet

NOT_ATTAINABLE = "not attainable"
NOT_ANNOTATED = "no annotated test image"

_UNIT_COLUMNS = (
    "class", "unit", "value", "attainable", "iou_matched", "threshold", "matched_threshold", "reason",
)  # fmt: skip
_KINDS = ("units", "components")


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """What is known of the layer before any class is looked at.

    Args:
        shape: (N, U, h, w).
        top_fraction: Of the fixed-fraction threshold.
        thresholds: (U,) float32.
        lowest: (U,) float32 smallest activation.
        highest: (U,) float32 largest activation.
    """

    shape: tuple[int, ...]
    top_fraction: float
    thresholds: NDArray[np.float32]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(U,) units that are constant on the reference set."""
        return np.asarray(self.lowest == self.highest)

    @property
    def sparse(self) -> NDArray[np.bool_]:
        """(U,) live units whose threshold is their minimum: active on no more than the top fraction."""
        return np.asarray(~self.dead & (self.thresholds == self.lowest))

    @property
    def live(self) -> int:
        """Units that are not dead."""
        return int((~self.dead).sum())


@dataclass(frozen=True, eq=False)
class ClassEvidence:
    """What was counted for one class.

    Args:
        matched: Its matched set.
        iou_matched: (U,) float64.
        matched_threshold: (U,) float32.
        fixed_inside: (U,) int64 pixels above the fixed threshold inside the class's masks.
        regions: Concept counts of its annotated images.
    """

    matched: MatchedSet
    iou_matched: NDArray[np.float64]
    matched_threshold: NDArray[np.float32]
    fixed_inside: NDArray[np.int64]
    regions: ConceptCounts

    @property
    def pixels(self) -> int:
        """Mask pixels of the class."""
        return int(self.matched.bank.sum())

    def share(self) -> float:
        """φ of the fixed-fraction pool: mask pixels over all pixels of annotated and negative images."""
        count, height, width = self.matched.bank.shape
        return float(self.pixels / ((count + self.matched.negatives) * height * width))

    def fixed_iou(self, activated: NDArray[np.int64]) -> NDArray[np.float64]:
        """(U,) IoU from the (U,) pixels activated over the pool."""
        return np.asarray(self.fixed_inside / (activated + self.pixels - self.fixed_inside))


def units_table(
    facts: LayerFacts,
    classes: tuple[str, ...],
    evidence: Mapping[str, ClassEvidence],
    activated: NDArray[np.int64],
) -> pd.DataFrame:
    """One row per class and unit; see :class:`tailscope.dissection.lens.Dissection`."""
    units = facts.shape[1]
    tables = []
    for index, name in enumerate(classes):
        columns: dict[str, Any] = {
            "class": name,
            "unit": np.arange(units),
            "value": np.nan,
            "attainable": np.nan,
            "iou_matched": np.nan,
            "threshold": facts.thresholds,
            "matched_threshold": np.float32(np.nan),
            "reason": NOT_ANNOTATED,
        }
        if name in evidence:
            found = evidence[name]
            attainable = _attainable(facts, found)
            columns |= {
                "value": found.fixed_iou(activated[:, index]),
                "attainable": attainable,
                "iou_matched": found.iou_matched,
                "matched_threshold": found.matched_threshold,
                "reason": NOT_ATTAINABLE if attainable < LEAST_ATTAINABLE else "",
            }
        tables.append(pd.DataFrame(columns, index=range(units)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(_UNIT_COLUMNS))


def counts_table(facts: LayerFacts, image_ids: NDArray[np.str_], evidence: Mapping[str, ClassEvidence]) -> pd.DataFrame:
    """One row per annotated image and class; see :class:`tailscope.dissection.lens.Dissection`."""
    tables = []
    for name, found in evidence.items():
        rows = found.matched.rows[found.matched.annotated]
        columns: dict[str, Any] = {"row": rows, "image_id": image_ids[rows], "class": name}
        for kind in _KINDS:
            columns |= _per_hundred(kind, found.regions, facts)
        alone = np.isnan(found.regions.null_units)
        reasons = np.where(alone, "no annotated image of another patient", "" if facts.live else "no live unit")
        tables.append(pd.DataFrame(columns | {"reason": reasons}))
    if not tables:
        columns = {"row": [], "image_id": [], "class": []}
        for kind in _KINDS:
            columns |= {column: [] for column in _count_names(kind)}
        return pd.DataFrame(columns | {"reason": []})
    return pd.concat(tables, ignore_index=True)


def layer_summary(
    facts: LayerFacts,
    classes: tuple[str, ...],
    evidence: Mapping[str, ClassEvidence],
    activated: NDArray[np.int64],
) -> dict[str, Any]:
    """Facts of the layer for the report.

    Returns:
        ``units``, ``dead``, ``sparse``, ``live`` (counts), ``live_share``, ``images``, ``grid`` (h, w), ``mask_grid``
        (H, W) or None, ``top_fraction``, ``annotated_pairs``, ``above_rule`` (class to the number of units with a
        fixed-fraction IoU > 0.04; None where it is not attainable or nothing is annotated), and ``coverage``: the
        share of classes with a number there that have at least one such unit, NaN if no class has a number. The rule
        is NetDissect's; it is not the test against deranged masks.
    """
    above = dict.fromkeys(classes, None) | {
        name: int((evidence[name].fixed_iou(activated[:, index]) > DETECTOR_IOU).sum())
        for index, name in enumerate(classes)
        if name in evidence and _attainable(facts, evidence[name]) >= LEAST_ATTAINABLE
    }
    counted = [number > 0 for number in above.values() if number is not None]
    masks = next(iter(evidence.values())).matched.bank if evidence else None
    return {
        "units": facts.shape[1],
        "dead": int(facts.dead.sum()),
        "sparse": int(facts.sparse.sum()),
        "live": facts.live,
        "live_share": facts.live / facts.shape[1],
        "images": facts.shape[0],
        "grid": tuple(facts.shape[2:]),
        "mask_grid": None if masks is None else tuple(masks.shape[1:]),
        "top_fraction": facts.top_fraction,
        "annotated_pairs": sum(len(found.matched.bank) for found in evidence.values()),
        "above_rule": above,
        "coverage": float(np.mean(counted)) if counted else float("nan"),
    }


def _attainable(facts: LayerFacts, found: ClassEvidence) -> float:
    return float(attainable_iou(np.array(found.share()), facts.top_fraction))


def _count_names(kind: str) -> tuple[str, ...]:
    return (
        kind,
        f"{kind}_null",
        f"{kind}_per_100",
        f"{kind}_excess_per_100",
        f"{kind}_per_100_live",
        f"{kind}_excess_per_100_live",
    )


def _per_hundred(kind: str, regions: ConceptCounts, facts: LayerFacts) -> dict[str, NDArray[Any]]:
    count, null = getattr(regions, kind), getattr(regions, f"null_{kind}")
    layer = 100 / facts.shape[1]
    live = 100 / facts.live if facts.live else np.nan
    values = (count, null, count * layer, (count - null) * layer, count * live, (count - null) * live)
    return dict(zip(_count_names(kind), values, strict=True))
