"""Which concepts a network gained, lost or kept, unit by matched unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.matching import UNMATCHED, UnitMatch

CHANGES = ("kept", "lost", "gained")
CHANGED_UNIT_COLUMNS = ("class", "change", "unit_a", "unit_b", "correlation", "iou_a", "iou_b", "elsewhere")
CHANGED_CLASS_COLUMNS = (
    "class", "detectors_a", "detectors_b", "kept", "lost", "gained", "moved", "unmatched_a", "unmatched_b", "reason",
)  # fmt: skip
NOT_TESTED = "no test of detectors in one of the two runs"
_READ = ("class", "unit", "detector", "iou_matched")


@dataclass(frozen=True, eq=False)
class ConceptChanges:
    """What became of the detectors of run A in run B.

    Args:
        units: One row per class and detector of A or of B. ``change``: ``kept`` (detector in A, its partner in B too),
            ``lost`` (in A only), ``gained`` (in B only); ``unit_a``, ``unit_b``: the pair, -1 where a unit has no
            partner; ``correlation`` of the pair; ``iou_a``, ``iou_b``: ``iou_matched`` of both with the class;
            ``elsewhere``: the classes that the other unit detects instead, parted by "; ", empty for ``kept``.
        classes: One row per class: ``detectors_a`` = kept + lost, ``detectors_b`` = kept + gained; ``moved``: those
            lost whose partner detects other classes; ``unmatched_a``, ``unmatched_b``: those lost or gained that have
            no partner at all; NaN with a ``reason`` where detectors were not tested.
    """

    units: pd.DataFrame
    classes: pd.DataFrame


def concept_changes(units_a: pd.DataFrame, units_b: pd.DataFrame, match: UnitMatch) -> ConceptChanges:
    """Concepts gained, lost and kept between two runs.

    "Detector" is the outcome of a test, so some detectors come and go between two seeds of one treatment: read the
    numbers beside those of control against control. A unit may detect several classes; each is counted.

    Args:
        units_a: One row per class and unit of run A: class, unit (0 to U_a - 1), detector (bool; missing where the
            class was not tested), iou_matched. Other columns are ignored.
        units_b: The same of run B, same classes.
        match: Units of A to units of B; give it without the pairs at chance level (:meth:`UnitMatch.only`).

    Returns:
        Tables of units and of classes, in the order of classes in ``units_a``.

    Raises:
        InputError: A column is absent, units are not 0 to U - 1 in each class, or classes or the match do not fit.

    Example:
        >>> import numpy as np
        >>> columns = {"class": ["mass"] * 2, "unit": [0, 1], "iou_matched": [0.4, 0.1]}
        >>> a = pd.DataFrame(columns | {"detector": [True, False]})
        >>> same, crossed = (UnitMatch(np.array(pair), np.ones(2)) for pair in ([0, 1], [1, 0]))
        >>> concept_changes(a, a, same).classes[["kept", "lost", "gained"]].values.tolist()
        [[1.0, 0.0, 0.0]]
        >>> concept_changes(a, a, crossed).classes[["kept", "lost", "gained"]].values.tolist()
        [[0.0, 1.0, 1.0]]
    """
    a, b = _Units.read(units_a, "units_a"), _Units.read(units_b, "units_b")
    if set(a.classes) != set(b.classes) or len(a.classes) != len(b.classes):
        raise InputError(f"both runs must have the same classes; got {list(a.classes)} and {list(b.classes)}")
    width = b.detector.shape[1]
    if len(match.partner) != a.detector.shape[1] or match.partner.max(initial=UNMATCHED) >= width:
        raise InputError(
            f"`match` must pair the {a.detector.shape[1]} units of A with {width} of B; got {len(match.partner)} units"
            f" with partners up to {match.partner.max(initial=UNMATCHED)}"
        )
    b = b.in_order(a.classes)
    both = np.flatnonzero(a.tested & b.tested).tolist()
    found = [row for number in both for row in _class_units(number, a, b, match)]
    units = pd.DataFrame(found, columns=list(CHANGED_UNIT_COLUMNS))
    rows = [_class_row(number, a, b, units) for number in range(len(a.classes))]
    return ConceptChanges(units, pd.DataFrame(rows, columns=list(CHANGED_CLASS_COLUMNS)))


@dataclass(frozen=True, eq=False)
class _Units:
    classes: tuple[str, ...]
    tested: NDArray[np.bool_]  # (K,)
    detector: NDArray[np.bool_]  # (K, U)
    iou: NDArray[np.float64]  # (K, U)

    @classmethod
    def read(cls, table: pd.DataFrame, name: str) -> _Units:
        absent = [column for column in _READ if column not in table.columns]
        if absent:
            raise InputError(f"`{name}` must have the columns {list(_READ)}; {absent} are absent")
        classes = tuple(dict.fromkeys(table["class"]))
        groups = [table[table["class"] == one].sort_values("unit") for one in classes]
        width = len(groups[0]) if groups else 0
        if any(group["unit"].tolist() != list(range(width)) for group in groups):
            raise InputError(f"`{name}` must have units 0 to U - 1, each once, in every class")
        return cls(
            classes,
            np.array([group["detector"].notna().all() for group in groups], dtype=bool),
            np.array([group["detector"].eq(True).fillna(False) for group in groups], dtype=bool).reshape(-1, width),
            np.array([group["iou_matched"] for group in groups], dtype=np.float64).reshape(-1, width),
        )

    def in_order(self, classes: tuple[str, ...]) -> _Units:
        order = [self.classes.index(name) for name in classes]
        return _Units(classes, self.tested[order], self.detector[order], self.iou[order])

    def elsewhere(self, unit: int, number: int) -> str:
        """The classes that a unit detects, unless it detects this class."""
        if unit == UNMATCHED or self.detector[number, unit]:
            return ""
        return "; ".join(self.classes[other] for other in np.flatnonzero(self.detector[:, unit]))


def _class_units(number: int, a: _Units, b: _Units, match: UnitMatch) -> list[dict[str, Any]]:
    origin = {int(partner): unit for unit, partner in enumerate(match.partner) if partner != UNMATCHED}
    pairs = [(int(unit), int(match.partner[unit])) for unit in np.flatnonzero(a.detector[number])]
    met = {partner for _, partner in pairs}
    later = (int(unit) for unit in np.flatnonzero(b.detector[number]) if unit not in met)
    rows = []
    for unit, partner in pairs:
        kept = partner != UNMATCHED and bool(b.detector[number, partner])
        rows.append(_unit_row(number, "kept" if kept else "lost", (unit, partner), (a, b), match))
    rows += [_unit_row(number, "gained", (origin.get(unit, UNMATCHED), unit), (a, b), match) for unit in later]
    return rows


def _unit_row(
    number: int, change: str, pair: tuple[int, int], runs: tuple[_Units, _Units], match: UnitMatch
) -> dict[str, Any]:
    paired = UNMATCHED not in pair
    iou = [float(run.iou[number, unit]) if unit != UNMATCHED else np.nan for run, unit in zip(runs, pair, strict=True)]
    other = 0 if change == "gained" else 1
    return {
        "class": runs[0].classes[number],
        "change": change,
        "unit_a": pair[0],
        "unit_b": pair[1],
        "correlation": float(match.correlation[pair[0]]) if paired else np.nan,
        "iou_a": iou[0],
        "iou_b": iou[1],
        "elsewhere": runs[other].elsewhere(pair[other], number),
    }


def _class_row(number: int, a: _Units, b: _Units, units: pd.DataFrame) -> dict[str, Any]:
    name = a.classes[number]
    if not (a.tested[number] and b.tested[number]):
        return {"class": name, **dict.fromkeys(CHANGED_CLASS_COLUMNS[1:-1], np.nan), "reason": NOT_TESTED}
    own = units[units["class"] == name]
    lost = own["change"] == "lost"
    return {
        "class": name,
        "detectors_a": float(a.detector[number].sum()),
        "detectors_b": float(b.detector[number].sum()),
        **{change: float((own["change"] == change).sum()) for change in CHANGES},
        "moved": float((lost & (own["elsewhere"] != "")).sum()),
        "unmatched_a": float((own["unit_b"] == UNMATCHED).sum()),
        "unmatched_b": float((own["unit_a"] == UNMATCHED).sum()),
        "reason": "",
    }
