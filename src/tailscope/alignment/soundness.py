"""Is a saliency method sound? From measured values to a verdict for each method, arm and check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tailscope.core import Estimate, InputError

CLASSES_DIFFER = "class discriminative"
PARAMETERS_RANDOMISED = "parameters randomised"
LABELS_PERMUTED = "labels permuted"
DELETION_INSERTION = "deletion and insertion"
AGREEMENT = "agreement with "
"""Begins the name of a descriptive check; the other method's name follows."""
ALL_WEIGHTS = "all weights"
"""The stage of :data:`PARAMETERS_RANDOMISED` on which the verdict rests; all others are descriptive."""

VALUE_COLUMNS = ("method", "arm", "check", "stage", "value", "patient")
VERDICT_COLUMNS = (
    *("method", "arm", "check", "verdict", "value", "lo", "hi", "limit", "n", "patients", "undefined", "sentence"),
)
_ORDER = ("fails", "undecided", "not measured", "sound")  # the worst verdict of a method's checks is the method's
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class SoundnessLimits:
    """Where a check is failed. Conventions, stated before any result; no paper gives a number.

    Args:
        other_class: Mean rank correlation of the maps of different classes on one image. 0.9: with more, four fifths of
            the variance of the ranks (0.9² = 0.81) do not depend on the class, and the map shows where something is
            rather than what. Findings share the chest, so that a good method may well reach half of it.
        random_weights: Mean absolute rank correlation with the map of the same network with random weights. 0.5: a
            quarter of the variance of the ranks would come from the image and the architecture alone. Absolute, because
            random weights may turn the sign around (Adebayo et al., section 3); smooth maps on a grid of 8 × 8 places
            reach about 0.25 by chance.
        permuted_labels: The same with the map of a network that learned permuted labels. 0.5, for the same reason.

    Raises:
        InputError: A limit is not between 0 and 1.
    """

    other_class: float = 0.9
    random_weights: float = 0.5
    permuted_labels: float = 0.5

    def __post_init__(self) -> None:
        if not all(0 < limit < 1 for limit in (self.other_class, self.random_weights, self.permuted_labels)):
            raise InputError(f"each limit must lie between 0 and 1; got {self}")


@dataclass(frozen=True)
class _Check:
    """What is asked of one check: whether the mean lies below its limit, or above it."""

    name: str
    limit: float
    is_below: bool
    measure: str
    good: str
    bad: str

    def verdict(self, found: Estimate) -> str:
        if np.isnan(found.value):
            return "not measured"
        if self.is_below:
            good, bad = found.hi < self.limit, found.lo > self.limit
        else:
            good, bad = found.lo > self.limit, found.hi < self.limit
        return "sound" if good else "fails" if bad else "undecided"  # NaN intervals compare as False

    def sentence(self, found: Estimate, verdict: str, undefined: int) -> str:
        if verdict == "not measured":
            return f"Not measured: {found.reason or 'no value'}."
        interval = f"{found.lo:.2f} to {found.hi:.2f}" if np.isfinite(found.lo) else f"no interval: {found.reason}"
        told = {
            "sound": self.good,
            "fails": self.bad,
            "undecided": f"too uncertain to tell from the limit of {self.limit:g}",
        }
        left_out = f" {undefined} of {found.n + undefined} pairs are undefined." if undefined else ""
        return f"{self.measure} {found.value:.2f} ({interval}): {told[verdict]}.{left_out}"


def _checks(limits: SoundnessLimits) -> tuple[_Check, ...]:
    random = "Mean absolute rank correlation with the maps of"
    return (
        _Check(
            *(CLASSES_DIFFER, limits.other_class, True),
            "Mean rank correlation between maps of different classes on one image",
            "the maps depend on the class",
            "the maps hardly depend on the class",
        ),
        _Check(
            *(PARAMETERS_RANDOMISED, limits.random_weights, True),
            f"{random} the network with random weights",
            "the maps depend on what the network learned",
            "much of the map comes from the image, whatever the network learned",
        ),
        _Check(
            *(LABELS_PERMUTED, limits.permuted_labels, True),
            f"{random} a network trained on permuted labels",
            "the maps depend on the labels",
            "much of the map is there without any relation between image and label",
        ),
        _Check(
            *(DELETION_INSERTION, 0.0, False),
            "Insertion area − deletion area, above that of a random order,",
            "the logit follows the pixels that the map calls important",
            "the logit follows the pixels less than those of a random order",
        ),
    )


def soundness_verdicts(values: pd.DataFrame, limits: SoundnessLimits | None = None) -> pd.DataFrame:
    """A verdict for each (method, arm, check): sound, fails, undecided or not measured.

    The value is the mean over patients of each patient's mean over its pairs, with its 95 % t interval over patients; a
    check is sound (fails) where the whole interval lies on the good (bad) side of the limit.

    Args:
        values: One row per measured pair: method, arm, check, stage, value (NaN where undefined), patient, and
            ``reason`` if there is one. Rank correlations come with their sign.
        limits: By default :class:`SoundnessLimits`.

    Returns:
        method, arm, check, verdict, value, lo, hi, limit, n (defined pairs), patients, undefined (pairs), sentence;
        the four checks for every method and arm, then the agreements with other methods, whose verdict is empty.

    Raises:
        InputError: A column is missing.

    Example:
        >>> pairs = pd.DataFrame({"method": "gradcam", "arm": "control", "check": "deletion and insertion",
        ...     "stage": "", "value": [0.2, 0.3, 0.4], "patient": ["a", "b", "c"]})
        >>> found = soundness_verdicts(pairs).set_index("check").loc["deletion and insertion"]
        >>> found["verdict"], round(float(found["lo"]), 4)  # 0.3 − 4.3027 · 0.1/√3
        ('sound', 0.0516)
    """
    if missing := [name for name in VALUE_COLUMNS if name not in values]:
        raise InputError(f"`values` lacks the columns {', '.join(missing)}; got {', '.join(values.columns)}")
    rows = []
    for (method, arm), part in values.groupby(["method", "arm"], sort=False):
        named = {"method": method, "arm": arm}
        rows += [{**named, **row} for row in _rows(part, limits or SoundnessLimits())]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def method_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The worst verdict of each method over all arms and checks: fails, undecided, not measured, sound.

    Args:
        verdicts: From :func:`soundness_verdicts`.

    Returns:
        method, verdict, and a sentence that names the checks and arms with it; methods in the order of their rows.
    """
    judged = verdicts[verdicts["verdict"] != ""]
    rows = []
    for method, part in judged.groupby("method", sort=False):
        verdict = next(one for one in _ORDER if (part["verdict"] == one).any())
        rows.append({"method": method, "verdict": verdict, "sentence": _summary(part, verdict)})
    return pd.DataFrame(rows, columns=["method", "verdict", "sentence"])


def stage_estimates(values: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute rank correlation with the trained network's map, stage by stage of the randomisation, in [0, 1].

    Args:
        values: As :func:`soundness_verdicts` takes them.

    Returns:
        method, arm, stage, value, lo, hi, n; stages in the order of their rows.
    """
    part = values[values["check"] == PARAMETERS_RANDOMISED]
    rows = []
    for (method, arm, stage), pairs in part.groupby(["method", "arm", "stage"], sort=False):
        found = _estimate(pairs, np.abs)
        named = {"method": method, "arm": arm, "stage": stage}
        rows.append({**named, "value": found.value, "lo": found.lo, "hi": found.hi, "n": found.n})
    return pd.DataFrame(rows, columns=["method", "arm", "stage", "value", "lo", "hi", "n"])


def _rows(part: pd.DataFrame, limits: SoundnessLimits) -> Iterator[dict[str, object]]:
    """The checks of one method in one arm."""
    for check in _checks(limits):
        pairs = part[part["check"] == check.name]
        if check.name == PARAMETERS_RANDOMISED:
            pairs = pairs[pairs["stage"] == ALL_WEIGHTS]
        is_absolute = check.name in (PARAMETERS_RANDOMISED, LABELS_PERMUTED)
        found = _estimate(pairs, np.abs if is_absolute else np.asarray)
        verdict, undefined = check.verdict(found), len(pairs) - found.n
        sentence = check.sentence(found, verdict, undefined)
        yield {**_row(check.name, found, undefined), "verdict": verdict, "limit": check.limit, "sentence": sentence}
    for name in dict.fromkeys(part["check"]):
        if str(name).startswith(AGREEMENT):
            pairs = part[part["check"] == name]
            found = _estimate(pairs, np.asarray)
            sentence = f"Mean rank correlation with the maps of {str(name).removeprefix(AGREEMENT)}: {found.value:.2f}."
            yield {**_row(str(name), found, len(pairs) - found.n), "verdict": "", "limit": np.nan, "sentence": sentence}


def _row(check: str, found: _Clustered, undefined: int) -> dict[str, object]:
    values = {"value": found.value, "lo": found.lo, "hi": found.hi, "n": found.n}
    return {"check": check, **values, "patients": found.clusters, "undefined": undefined}


@dataclass(frozen=True)
class _Clustered(Estimate):
    """An estimate that knows its number of patients."""

    clusters: int = 0


def _estimate(pairs: pd.DataFrame, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> _Clustered:
    """Mean over patients with its t interval; pairs of one patient count together as one."""
    values = of(pairs["value"].to_numpy(dtype=np.float64))
    defined = np.isfinite(values)
    if not defined.any():
        reasons = pairs["reason"] if "reason" in pairs else pd.Series(dtype=str)
        told = reasons[reasons.fillna("") != ""].value_counts()
        return _Clustered(np.nan, reason=str(told.index[0]) if len(told) else "no value")
    patients = pairs["patient"].to_numpy()[defined]
    means = pd.Series(values[defined]).groupby(patients).mean().to_numpy(dtype=np.float64)
    value, n, count = float(means.mean()), int(defined.sum()), len(means)
    if count < 2:
        return _Clustered(value, n, reason="fewer than 2 patients", clusters=count)
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * means.std(ddof=1) / np.sqrt(count))
    return _Clustered(value, n, value - half, value + half, clusters=count)


def _summary(part: pd.DataFrame, verdict: str) -> str:
    if verdict == "sound":
        return "Sound in every check."
    arms = part["arm"].nunique()
    named = []
    for check, rows in part[part["verdict"] == verdict].groupby("check", sort=False):
        places = "" if len(rows) == arms else f" ({', '.join(map(str, rows['arm']))})"
        named.append(f"{check}{places}")
    word = {"fails": "Fails", "undecided": "Undecided", "not measured": "Not measured"}[verdict]
    return f"{word}: {'; '.join(named)}."
