"""The predicted precision in plain warnings: what this experiment cannot say, however long it trains."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.experiment.predicting import Design

_NAMES = {"auroc": "AUROC", "average_precision": "AP", "mass_inside": "mass inside"}
_KINDS = (
    ("auroc", "positives", "positive", ""),
    ("auroc", "negatives", "negative", ""),
    ("mass_inside", "positives", "annotated", " in mass inside"),
)
_SHOWN = 5  # classes that are named in one sentence
Rows = list[dict[str, Any]]


def warnings_of(precision: pd.DataFrame, design: Design) -> tuple[str, ...]:
    """What the experiment cannot decide, one sentence each; none where it can decide everything.

    Args:
        precision: From :func:`tailscope.experiment.predicting.predicted_precision`.
        design: The same design.
    """
    rows: Rows = [{str(name): value for name, value in row.items()} for row in precision.to_dict("records")]
    if not rows:
        return ()
    told = [_seeds(design), *_no_verdict(rows, design)]
    if design.seeds >= design.settings.min_seeds:
        told += [*_equivalence(rows), _hidden(rows)]
    return tuple(sentence for sentence in told if sentence)


def _seeds(design: Design) -> str:
    needed = design.settings.min_seeds
    if design.seeds >= needed:
        return ""
    if design.seeds == 1:
        return f"With one seed nobody knows the noise of training, so no verdict is possible ({needed} seeds needed)."
    return (
        f"With {design.seeds} seeds a difference is a candidate at most, and nothing is equivalent ({needed} needed)."
    )


def _no_verdict(rows: Rows, design: Design) -> list[str]:
    """Classes with fewer patients than a verdict needs; each is named once."""
    least, told, known = design.settings.min_patients, [], set[str]()
    for metric, count, kind, about in _KINDS:
        few = [row for row in rows if row["metric"] == metric and row[count] < least and row["class"] not in known]
        known |= {row["class"] for row in few}
        if len(few) == 1:
            number = f"{few[0][count]} {kind} test patient{'' if few[0][count] == 1 else 's'}"
            told.append(f"With {number} no verdict on {few[0]['class']}{about} is possible ({least} needed).")
        elif few:
            names = _listed([f"{row['class']} ({row[count]})" for row in few])
            told.append(f"Too few {kind} test patients for a verdict{about} ({least} needed): {names}.")
    return told


def _equivalence(rows: Rows) -> list[str]:
    told = []
    for metric, name in _NAMES.items():
        mine = [row for row in rows if row["metric"] == metric]
        if not mine:
            continue
        within = f"equivalent in {name} within ±{mine[0]['margin']:g}"
        reached = [row for row in mine if row["equivalent"] != "no"]
        if not reached:
            told.append(f"No class can be called {within}, even where nothing differs: {_nearest(mine)}.")
        elif missed := [row for row in mine if row["equivalent"] == "no"]:
            names = _listed([row["class"] for row in reached])
            told.append(f"Only {names} can be called {within}; {len(missed)} of {len(mine)} classes cannot.")
    return told


def _nearest(rows: Rows) -> str:
    """The class that needs the fewest patients more, in proportion."""
    known = [row for row in rows if math.isfinite(row["positives_needed"]) and row["positives"]]
    if not known:
        return "seeds scatter too much, so more seeds are needed, not more patients alone"
    best = min(known, key=lambda row: float(row["positives_needed"] / row["positives"]))
    needed = f"about {_round(best['positives_needed']):,} positive patients"
    return f"{best['class']} comes nearest and needs {needed} to make it likely (it has {best['positives']:,})"


def _hidden(rows: Rows) -> str:
    within = {(row["class"], row["metric"]) for row in rows if row["equivalent"] != "no"}
    if any((name, "auroc") in within and (name, "average_precision") in within for name, _ in within):
        return ""
    return "No hidden difference can be shown: that needs a class that is equivalent in both AUROC and AP."


def _round(number: float) -> int:
    """Two digits: a prediction knows no more.

    >>> _round(623.0), _round(54.0)
    (630, 54)
    """
    step = int(10 ** max(len(str(int(number))) - 2, 0))
    return math.ceil(number / step) * step


def _listed(names: list[str]) -> str:
    shown = names[:_SHOWN] + ([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
