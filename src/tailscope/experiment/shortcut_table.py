"""What the shortcut audit says of every class, confounder and arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tailscope.experiment.saliency import ON_OTHER_CLASSES
from tailscope.experiment.shortcuts import ON, REMOVAL
from tailscope.experiment.test_set import RunGrid
from tailscope.stats import ComparisonSettings, MetricSamples, PairedDifference, against_zero, holm

COLUMNS = (
    "class", "confounder", "arm", "share", "chance", "excess", "lo", "hi", "p_adjusted", "removal", "removal_lo",
    "removal_hi", "removal_p_adjusted", "verdict", "reason", "n", "patients",
)  # fmt: skip
NEGLIGIBLE_FALL = 0.1
"""Standard deviations of a logit below which its fall is no effect."""

_UNTESTED = "not tested"
_VERDICTS: Mapping[tuple[str, str], str] = {
    ("yes", "yes"): "shortcut",
    ("yes", "no"): "looks, without effect",
    ("no", "yes"): "effect, without looking",
    ("no", "no"): "none found",
    ("yes", _UNTESTED): "looks, effect not tested",
    (_UNTESTED, "yes"): "effect, looking not tested",
    ("no", _UNTESTED): "none found",
    (_UNTESTED, "no"): "none found",
}
_Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Measure:
    """One of the two measures of one class, confounder and arm."""

    samples: MetricSamples
    found: PairedDifference
    margin: float
    p_adjusted: float = float("nan")


def shortcut_table(
    samples: Iterable[MetricSamples],
    evidence: pd.DataFrame,
    grid: RunGrid,
    settings: ComparisonSettings | None = None,
) -> pd.DataFrame:
    """Both measures of every class, confounder and arm, and what they say together.

    A measure is found (``yes``) if it is above 0 with a Holm-adjusted p below .05; the family is that measure over all
    classes and confounders of the arm. The p is two-sided and one side counts, so a measure makes a false statement on
    an arm with a chance of 2.5 % or less, and both together with 5 % or less. A measure is excluded (``no``) if its
    95 % interval ends below a margin: the lens margin for the excess of saliency, :data:`NEGLIGIBLE_FALL` for the fall
    of the logit.

    A verdict says what a class rests on, not why; a tie in the training data is one reason of several. Verdicts:

    - ``shortcut``: saliency found and fall found;
    - ``looks, without effect``; ``effect, without looking``: one found, the other excluded;
    - ``looks, effect not tested``; ``effect, looking not tested``: one found, the other not measured;
    - ``none found``: all that was measured is excluded;
    - ``undecided``: anything else, fewer than 3 seeds, or fewer than 20 patients who have the confounder.

    Args:
        samples: Of :func:`~tailscope.experiment.shortcut_samples.shortcut_samples`; others are passed over.
        evidence: Evidence ``shortcuts`` of all runs.
        grid: The runs.
        settings: Level, lens margin and minima; by default those of the analysis plan.

    Returns:
        Columns :data:`COLUMNS`, one row per class, confounder and arm. ``share`` and ``chance`` are means over images
        and seeds; intervals are over patients and seeds, not adjusted.
    """
    plan = settings or ComparisonSettings()
    cells = {(cell.metric, cell.class_name): cell for cell in samples if _is_of_the_audit(cell.metric)}
    addresses = list(dict.fromkeys((name, _confounder(metric)) for metric, name in cells))
    shares = _shares(evidence, grid)
    rows: _Rows = []
    for number, arm in enumerate(grid.arms):
        found = {key: _measure(cell, number, plan) for key, cell in cells.items()}
        measures = {**_adjusted(found, ON), **_adjusted(found, REMOVAL)}
        for name, confounder in addresses:
            looks, falls = measures.get((ON + confounder, name)), measures.get((REMOVAL + confounder, name))
            share, chance = shares.get((arm, ON + confounder, name), (float("nan"), float("nan")))
            address = {"class": name, "confounder": confounder, "arm": arm, "share": share, "chance": chance}
            rows.append({**address, **_numbers(looks, falls), **_said(looks, falls, plan)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _is_of_the_audit(metric: str) -> bool:
    """Whether a metric is one of the two measures; alignment has one of its own on other classes' annotations."""
    return metric.startswith((ON, REMOVAL)) and metric != ON_OTHER_CLASSES


def _confounder(metric: str) -> str:
    return metric.removeprefix(ON).removeprefix(REMOVAL)


def _measure(cell: MetricSamples, arm: int, plan: ComparisonSettings) -> _Measure:
    margin = plan.lens_margin if cell.metric.startswith(ON) else NEGLIGIBLE_FALL
    return _Measure(cell, against_zero(cell, arm), margin)


def _adjusted(measures: dict[tuple[str, str], _Measure], kind: str) -> dict[tuple[str, str], _Measure]:
    """Those of one kind, with the p of "above 0" after Holm."""
    family = {key: one for key, one in measures.items() if key[0].startswith(kind)}
    p = [_p_above(one.found) for one in family.values()]
    return {
        key: _Measure(one.samples, one.found, one.margin, float(adjusted))
        for (key, one), adjusted in zip(family.items(), holm(p), strict=True)
    }


def _p_above(found: PairedDifference) -> float:
    """The two-sided p of a value above 0, 1 of any other; NaN where nothing was tested."""
    return found.p if found.p != found.p or found.difference > 0 else 1.0


def _numbers(looks: _Measure | None, falls: _Measure | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one, names in (
        (looks, ("excess", "lo", "hi", "p_adjusted")),
        (falls, ("removal", "removal_lo", "removal_hi", "removal_p_adjusted")),
    ):
        if one is not None:
            found |= dict(zip(names, (one.found.difference, *one.found.interval(0.95), one.p_adjusted), strict=True))
    cell = next(one.samples for one in (looks, falls) if one is not None)
    return {**found, "n": cell.n, "patients": cell.patients}


def _said(looks: _Measure | None, falls: _Measure | None, plan: ComparisonSettings) -> dict[str, str]:
    asked = [one for one in (looks, falls) if one is not None]
    measured = [one for one in asked if not one.samples.why_missing]
    if not measured:
        return {"verdict": "undecided", "reason": asked[0].samples.why_missing}
    if why := next(filter(None, (_why_silent(one, plan) for one in measured)), ""):
        return {"verdict": "undecided", "reason": why}
    answers = (_answer(looks, plan), _answer(falls, plan))
    which = [what for what, answer in zip(("saliency", "removal"), answers, strict=True) if answer == "open"]
    reason = f"the interval of {' and '.join(which)} is too wide" if which else ""
    return {"verdict": _VERDICTS.get(answers, "undecided"), "reason": reason}


def _answer(one: _Measure | None, plan: ComparisonSettings) -> str:
    """``yes``: above 0 after Holm; ``no``: the 95 % interval ends below the margin; else ``open``, or not tested."""
    if one is None or one.samples.why_missing:
        return _UNTESTED
    if one.p_adjusted < plan.alpha:
        return "yes"
    return "no" if one.found.interval(0.95)[1] < one.margin else "open"


def _why_silent(one: _Measure, plan: ComparisonSettings) -> str:
    if one.samples.seeds < plan.min_seeds:
        return f"{one.samples.seeds} seeds, expected {plan.min_seeds} or more"
    if one.samples.patients < plan.min_patients:
        return f"{one.samples.patients} patients have it, expected {plan.min_patients} or more"
    return one.found.reason


def _shares(evidence: pd.DataFrame, grid: RunGrid) -> dict[tuple[str, str, str], tuple[float, float]]:
    """(arm, metric, class) to mean value and mean reference of the saliency on the confounder."""
    looks = evidence[evidence["metric"].astype(str).str.startswith(ON)]
    looks = looks.assign(arm=looks["run"].map(grid.arm_of))
    means = looks.groupby(["arm", "metric", "class"], sort=False, as_index=False)[["value", "reference"]].mean()
    addresses = zip(means["arm"].astype(str), means["metric"].astype(str), means["class"].astype(str), strict=True)
    numbers = zip(means["value"].astype(float), means["reference"].astype(float), strict=True)
    return dict(zip(addresses, numbers, strict=True))
