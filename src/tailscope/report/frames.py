"""Tables as they come in, made safe to read: every expected column is there, rows run from head to tail."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

GROUPS = ("head", "medium", "tail")
AGGREGATES = ("macro", *GROUPS)

CLASS_COLUMNS = (
    "class", "group", "train_positives", "train_negatives", "val_positives", "test_positives", "test_negatives",
    "unknown", "annotated_test", "prevalence",
)  # fmt: skip
ESTIMATE_COLUMNS = ("lens", "metric", "class", "arm", "value", "lo", "hi", "n", "reason")
FINDING_COLUMNS = (
    "lens", "metric", "class", "group", "arm", "control", "n", "patients", "difference", "lo", "hi", "se", "p",
    "p_adjusted", "seed_noise", "mde", "verdict", "reason", "primary",
)  # fmt: skip
HIDDEN_COLUMNS = (
    "class", "arm", "lens", "metric", "kind", "difference", "lo", "hi", "p", "p_adjusted", "auroc_difference",
    "ap_difference", "positives_needed",
)  # fmt: skip
ALIGNMENT_COLUMNS = (
    "class", "group", "arm", "method", "metric", "value", "reference", "excess", "lo", "hi", "n", "patients",
    "degenerate", "attainable",
)  # fmt: skip
REFERENCE_COLUMNS = ("class", "arm", "method", "reference", "excess")
VIEW_COLUMNS = ("class", "arm", "method", "view", "excess", "n")
SIZE_COLUMNS = ("arm", "method", "size", "area", "value", "reference", "excess", "n")
LOCALIZATION_COLUMNS = ("class", "arm", "method", "overlap", "at", "value", "reference")
SHORTCUT_COLUMNS = (
    "class", "confounder", "arm", "share", "chance", "excess", "lo", "hi", "removal", "removal_lo", "removal_hi",
    "verdict", "n",
)  # fmt: skip
SOUNDNESS_COLUMNS = ("method", "check", "arm", "verdict", "value", "lo", "hi", "limit", "n", "sentence")
STAGE_COLUMNS = ("method", "arm", "stage", "value", "lo", "hi", "n")
UNIT_COLUMNS = (
    "class", "group", "arm", "crossfit", "lo", "hi", "best_iou_fixed", "attainable_fixed", "units_per_100", "n",
    "patients", "reason",
)  # fmt: skip
LAYER_COLUMNS = ("arm", "layer", "grid", "units", "live", "dead")
HISTORY_COLUMNS = ("run", "arm", "seed", "epoch", "train_loss", "val_auroc")
AUDIT_COLUMNS = (
    "arm", "seed", "verdict", "sentence", "problems", "allowed", "weights_from", "images", "images_drawn",
    "images_drawn_expected", "loss_ratio", "gradient_norm_ratio", "trained_norm_ratio", "lr", "selected_epoch",
)  # fmt: skip
SHARE_COLUMNS = ("arm", "moment", "group", "share", "share_control")
DRAW_COLUMNS = ("arm", "class", "prevalence", "expected", "realised")
BALANCE_COLUMNS = (
    "arm", "column", "class", "group", "positives", "positives_drawn", "negatives", "negatives_drawn",
)  # fmt: skip
ENSEMBLE_COLUMNS = (
    "metric", "class", "group", "arm", "value", "lo", "hi", "difference", "difference_lo", "difference_hi",
)  # fmt: skip
TUNING_COLUMNS = ("arm", "trial", "lr", "parameter", "value", "score", "epoch", "selected", "at_edge", "reason")


def filled(frame: pd.DataFrame | None, columns: tuple[str, ...]) -> pd.DataFrame:
    """The wanted columns of a table in this order; a missing table has no rows, a missing column is all NaN.

    >>> filled(None, ("class", "value")).shape
    (0, 2)
    """
    if frame is None:
        return pd.DataFrame(columns=list(columns))
    return frame.reindex(columns=list(columns)).reset_index(drop=True)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries of plain values."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def text_of(value: Any) -> str:
    """A cell as text; missing is the empty string.

    >>> text_of(float("nan")), text_of("mass")
    ('', 'mass')
    """
    return "" if is_missing(value) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell is None, NaN or pandas' NA."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def float_of(value: Any) -> float:
    """A cell as a number; missing or not a number is NaN."""
    try:
        return math.nan if is_missing(value) else float(value)
    except (TypeError, ValueError):
        return math.nan


def has_intervals(rows: list[dict[str, Any]], end: str = "lo") -> bool:
    """Whether some row has an interval; with one seed none has.

    >>> has_intervals([{"lo": None}, {"lo": 0.1}])
    True
    """
    return any(math.isfinite(float_of(row[end])) for row in rows)


def class_order(class_table: pd.DataFrame | None, *others: pd.DataFrame | None) -> tuple[str, ...]:
    """Classes from head to tail (training prevalence descending), then those that only other tables name.

    >>> class_order(pd.DataFrame({"class": ["hernia", "mass"], "prevalence": [0.01, 0.2]}))
    ('mass', 'hernia')
    """
    table = filled(class_table, CLASS_COLUMNS)
    table = table.assign(prevalence=[float_of(value) for value in table["prevalence"]])
    known = table.sort_values("prevalence", ascending=False, kind="stable")["class"]
    names = [text_of(name) for name in known]
    for other in others:
        names += [text_of(name) for name in filled(other, ("class",))["class"].unique()]
    return tuple(name for name in dict.fromkeys(names) if name and name not in AGGREGATES)


def ranked(frame: pd.DataFrame, column: str, order: tuple[str, ...]) -> pd.DataFrame:
    """Rows sorted by the place of ``column`` in ``order``, unknown values last, otherwise as they came."""
    place = {name: number for number, name in enumerate(order)}
    key = [place.get(text_of(value), len(place)) for value in frame[column]]
    return frame.iloc[sorted(range(len(key)), key=key.__getitem__)]
