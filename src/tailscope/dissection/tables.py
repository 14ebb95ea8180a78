"""From counts to the tables of the lens: units, concept counts, and the layer's summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.dissection.concepts import ConceptCounts
from tailscope.dissection.counts import DETECTOR_IOU, LEAST_ATTAINABLE, attainable_iou
from tailscope.dissection.detectors import LEVEL, adjusted_over_classes, too_few
from tailscope.dissection.evidence import ClassEvidence

NOT_ATTAINABLE = "not attainable"
NOT_ANNOTATED = "no annotated test image"

_UNIT_COLUMNS = (
    "class", "unit", "value", "attainable", "iou_matched", "threshold", "matched_threshold", "reason",
    "p", "p_adjusted", "detector", "position_only", "p_reason",
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
class UnitTests:
    """The units of a layer tested against all classes together.

    Args:
        classes: K names.
        p: (K, U) against the best unit under derangement; NaN where a class cannot be tested.
        reasons: Class to why it cannot be tested; empty if it can.
        iou: (K, U) at the fixed fraction; NaN without annotation.
        attainable: (K,) its largest possible value; NaN without annotation.
    """

    classes: tuple[str, ...]
    p: NDArray[np.float64]
    reasons: Mapping[str, str]
    iou: NDArray[np.float64]
    attainable: NDArray[np.float64]
    adjusted: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adjusted", adjusted_over_classes(self.p))

    @property
    def tested(self) -> NDArray[np.bool_]:
        """(K,) classes that could have a detector."""
        return np.array([not self.reasons[name] for name in self.classes], dtype=bool)

    @property
    def ruled(self) -> NDArray[np.bool_]:
        """(K,) classes to which the 0.04 rule can be applied."""
        return np.asarray(self.attainable >= LEAST_ATTAINABLE)

    @property
    def detector(self) -> NDArray[np.bool_]:
        """(K, U) adjusted p of 5 % or less."""
        return np.asarray((self.adjusted <= LEVEL) & self.tested[:, None])

    @property
    def above_rule(self) -> NDArray[np.bool_]:
        """(K, U) fixed-fraction IoU above 0.04, where that can be met."""
        return np.asarray((self.iou > DETECTOR_IOU) & self.ruled[:, None])

    @property
    def position_only(self) -> NDArray[np.bool_]:
        """(K, U) above the rule, tested, and no detector."""
        return np.asarray(self.above_rule & ~self.detector & self.tested[:, None])


def unit_tests(
    facts: LayerFacts,
    classes: tuple[str, ...],
    evidence: Mapping[str, ClassEvidence],
    fixed: Mapping[str, NDArray[np.float64]],
    derangements: int,
) -> UnitTests:
    """Put the classes' evidence together.

    Args:
        facts: Of the layer.
        classes: K names.
        evidence: By class; a class without annotation is absent.
        fixed: Class to (U,) fixed-fraction IoU.
        derangements: R behind each p.
    """
    missing = np.full(facts.shape[1], np.nan)
    reasons = {name: evidence[name].reason if name in evidence else NOT_ANNOTATED for name in classes}
    family = sum(not reason for reason in reasons.values())
    reasons = {name: reason or too_few(derangements, family) for name, reason in reasons.items()}
    shares = np.array([evidence[name].share() if name in evidence else np.nan for name in classes])
    return UnitTests(
        classes,
        np.array([evidence[name].p if name in evidence else missing for name in classes]),
        reasons,
        np.array([fixed.get(name, missing) for name in classes]),
        attainable_iou(shares, facts.top_fraction),
    )


def units_table(facts: LayerFacts, tests: UnitTests, evidence: Mapping[str, ClassEvidence]) -> pd.DataFrame:
    """One row per class and unit; see :class:`tailscope.dissection.lens.Dissection`."""
    units = facts.shape[1]
    tables = []
    for index, name in enumerate(tests.classes):
        found = evidence.get(name)
        fixed_reason = "" if tests.ruled[index] else NOT_ATTAINABLE
        columns: dict[str, Any] = {
            "class": name,
            "unit": np.arange(units),
            "value": tests.iou[index],
            "attainable": tests.attainable[index],
            "iou_matched": found.iou_matched if found else np.nan,
            "threshold": facts.thresholds,
            "matched_threshold": found.matched_threshold if found else np.float32(np.nan),
            "reason": fixed_reason if found else NOT_ANNOTATED,
            "p": tests.p[index],
            "p_adjusted": tests.adjusted[index],
            "detector": tests.detector[index],
            "position_only": tests.position_only[index],
            "p_reason": tests.reasons[name],
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


def layer_summary(facts: LayerFacts, tests: UnitTests, evidence: Mapping[str, ClassEvidence]) -> dict[str, Any]:
    """Facts of the layer for the report.

    Returns:
        ``units``, ``dead``, ``sparse``, ``live`` (counts), ``live_share``, ``images``, ``grid`` (h, w), ``mask_grid``
        (H, W) or None, ``top_fraction``, ``annotated_pairs``.

        Of the test against deranged masks: ``detectors`` (class to the number of its detectors; None where it cannot
        be tested), ``reasons`` (class to why not; empty if it can), ``detectors_total`` (units that detect any class),
        ``coverage`` (share of the tested classes with a detector; NaN if none is tested), ``redundancy`` (mean number
        of detectors of the classes that have one; NaN if none has), ``position_only`` (class to the number of units
        that pass NetDissect's rule and fail the test; None where either cannot be applied) and
        ``position_only_units`` (units that do so for some class, and detect none).

        Of NetDissect's rule: ``above_rule`` (class to the number of units with a fixed-fraction IoU > 0.04; None where
        it is not attainable or nothing is annotated), and ``above_rule_coverage``: the share of classes with a number
        there that have at least one such unit; NaN if no class has a number.
    """
    masks = next(iter(evidence.values())).matched.bank if evidence else None
    detectors, position = tests.detector, tests.position_only
    found, above = _numbers(detectors, tests.tested), _numbers(tests.above_rule, tests.ruled)
    held = [number for number in found if number]
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
        "detectors": dict(zip(tests.classes, found, strict=True)),
        "reasons": dict(tests.reasons),
        "detectors_total": int(detectors.any(axis=0).sum()),
        "coverage": _share_with_one(found),
        "redundancy": float(np.mean(held)) if held else np.nan,
        "position_only": dict(zip(tests.classes, _numbers(position, tests.tested & tests.ruled), strict=True)),
        "position_only_units": int((position.any(axis=0) & ~detectors.any(axis=0)).sum()),
        "above_rule": dict(zip(tests.classes, above, strict=True)),
        "above_rule_coverage": _share_with_one(above),
    }


def _numbers(units: NDArray[np.bool_], defined: NDArray[np.bool_]) -> list[int | None]:
    """Units of each class; None where that is not defined."""
    return [int(mine.sum()) if known else None for mine, known in zip(units, defined, strict=True)]


def _share_with_one(numbers: list[int | None]) -> float:
    counted = [number > 0 for number in numbers if number is not None]
    return float(np.mean(counted)) if counted else np.nan


def _count_names(kind: str) -> tuple[str, ...]:
    return (
        kind,
        f"{kind}_null",
        f"{kind}_per_100",
        f"{kind}_excess_per_100",
        f"{kind}_per_100_live",
        f"{kind}_excess_per_100_live",
        f"{kind}_shifted_excess_per_100",
    )


def _per_hundred(kind: str, regions: ConceptCounts, facts: LayerFacts) -> dict[str, NDArray[Any]]:
    count, null = getattr(regions, kind), getattr(regions, f"null_{kind}")
    layer = 100 / facts.shape[1]
    live = 100 / facts.live if facts.live else np.nan
    shifted = getattr(regions, f"shifted_{kind}")
    excess, elsewhere = count - null, count - shifted
    values = (count, null, count * layer, excess * layer, count * live, excess * live, elsewhere * layer)
    return dict(zip(_count_names(kind), values, strict=True))
