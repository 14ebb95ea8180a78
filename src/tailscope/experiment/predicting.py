"""What an experiment will be able to say, foretold from its numbers, so that nobody trains in vain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tailscope.experiment.assumed_spread import Spread, assumed_spread
from tailscope.experiment.test_set import TestSet
from tailscope.stats import ComparisonSettings, PairedDifference, satterthwaite

METRICS = ("auroc", "average_precision", "mass_inside")
PRECISION_COLUMNS = (
    "class", "group", "metric", "positives", "negatives", "se", "seed_share", "mde", "margin", "equivalent",
    "positives_needed", "source",
)  # fmt: skip
_POWER = 0.8
Counts = Mapping[str, Any]


@dataclass(frozen=True)
class Design:
    """What is known of a comparison before it is made.

    Args:
        treatments: T, arms that are compared with control in one family.
        seeds: S.
        settings: The frozen plan.
    """

    treatments: int
    seeds: int
    settings: ComparisonSettings


def patients_behind(test: TestSet, annotated: Mapping[str, int]) -> pd.DataFrame:
    """Patients behind every number: class, group, metric, positives, negatives.

    Args:
        test: The test split.
        annotated: Patients with an annotated positive image, by class; no class where nothing looks at annotations.
    """
    records = []
    for number, (name, group) in enumerate(zip(test.classes, test.groups, strict=True)):
        positives, negatives = test.label_patients(number)
        by_metric = {"auroc": positives, "average_precision": positives, "mass_inside": annotated.get(name)}
        records += [
            {"class": name, "group": group, "metric": metric, "positives": count, "negatives": negatives}
            for metric, count in by_metric.items()
            if count is not None
        ]
    return pd.DataFrame(records, columns=["class", "group", "metric", "positives", "negatives"])


def observed_spreads(findings: pd.DataFrame) -> dict[tuple[str, str], Spread]:
    """What finished runs say of the spread, by (metric, class): means over arms of both parts of the variance.

    Args:
        findings: ``findings.parquet`` of the same experiment, with two seeds or more.
    """
    known = findings[findings["metric"].isin(METRICS) & (findings["seeds"] > 1) & np.isfinite(findings["seed_share"])]
    table = pd.DataFrame(
        {
            "metric": known["metric"],
            "class": known["class"],
            "patients": known["se"] ** 2 * (1 - known["seed_share"]),
            "seeds": known["se"] ** 2 * known["seed_share"] * known["seeds"] / 2,
            "level": known["se"] / known["ratio_se"],  # the standard error of a log ratio is that of a share of it
        }
    )
    return {
        (row["metric"], row["class"]): Spread(row["patients"], 0.0, row["seeds"], row["level"])
        for row in table.groupby(["metric", "class"], as_index=False).mean().to_dict("records")
    }


def predicted_precision(
    counts: pd.DataFrame, design: Design, observed: Mapping[tuple[str, str], Spread] | None = None
) -> pd.DataFrame:
    """Standard error, minimum detectable effect, and whether equivalence can be reached, per class and metric.

    v = 2·s²_w/S + v_P with the degrees of freedom and the family of the comparison itself; s²_w and v_P by rule of
    thumb (:func:`~tailscope.experiment.assumed_spread.assumed_spread`), or from finished runs of the folder.

    Args:
        counts: From :func:`patients_behind`.
        design: Arms, seeds, margins.
        observed: From :func:`observed_spreads`; what is not in it is assumed.

    Returns:
        Columns :data:`PRECISION_COLUMNS`; ``equivalent`` is ``likely`` (8 times in 10 or more where nothing differs),
        ``possible`` or ``no``; ``positives_needed``, positive patients at which it would be likely, NaN where it is, or
        where patients alone cannot; ``source`` is ``assumed`` or ``these runs``. One seed has no standard error.

    Source: METHODS section 7; power of two one-sided tests: Schuirmann 1987.
    """
    rows = [{str(name): value for name, value in row.items()} for row in counts.to_dict("records")]
    families = {metric: design.treatments * sum(map(_is_estimable, _of(rows, metric))) for metric in METRICS}
    records = []
    for row in rows:
        spread = (observed or {}).get((row["metric"], row["class"]))
        source = "assumed" if spread is None else "these runs"
        numbers = _missing(design, row)
        if _is_estimable(row) and design.seeds > 1:
            spread = spread or assumed_spread(row["metric"], row["positives"], row["negatives"])
            numbers = _numbers(row, spread, design, families[row["metric"]])
        records.append({**row, **numbers, "source": source})
    return pd.DataFrame(records, columns=list(PRECISION_COLUMNS))


def _of(rows: list[dict[str, Any]], metric: str) -> Iterator[dict[str, Any]]:
    return (row for row in rows if row["metric"] == metric)


def _is_estimable(row: Counts) -> bool:
    return bool(row["positives"] and (row["negatives"] or row["metric"] == "mass_inside"))


def _missing(design: Design, row: Counts) -> dict[str, Any]:
    unknown = dict.fromkeys(("se", "seed_share", "mde", "positives_needed"), math.nan)
    return {**unknown, "margin": design.settings.margin(row["metric"]), "equivalent": "no"}


def _numbers(row: Counts, spread: Spread, design: Design, family: int) -> dict[str, Any]:
    settings = design.settings
    seed_part = 2 * (spread.seeds + spread.seeds_floor) / design.seeds
    fewest = row["positives"] if row["metric"] == "mass_inside" else min(row["positives"], row["negatives"])
    df = satterthwaite((seed_part, (design.treatments + 1) * (design.seeds - 1)), (spread.patients, max(fewest - 1, 1)))
    found = PairedDifference(0.0, seed_part, spread.patients, df)
    room = _room(row["metric"], spread, settings)
    reach = _reach(found, room)
    least = min(row["positives"], row["negatives"])
    if least < settings.min_patients_equivalent or design.seeds < settings.min_seeds:
        reach = "no"
    return {
        "se": found.se,
        "seed_share": found.seed_share,
        "mde": found.detectable(family, settings.alpha),
        "margin": settings.margin(row["metric"]),
        "equivalent": reach,
        "positives_needed": math.nan if reach == "likely" else _needed(row, spread, design, (room, df)),
    }


def _room(metric: str, spread: Spread, settings: ComparisonSettings) -> float:
    """Half the interval that must hold the difference; for a ratio metric its limits count as well."""
    margin = settings.margin(metric)
    if metric not in settings.ratio_metrics or not math.isfinite(spread.level):
        return margin
    lower, upper = settings.ratio_limits
    return min(margin, spread.level * min(-math.log(lower), math.log(upper)))


def _reach(found: PairedDifference, room: float) -> str:
    if found.variance == 0:
        return "likely"
    left = (room - found.interval(0.90)[1]) / found.se
    if left <= 0:
        return "no"
    return "likely" if 2 * stats.t.cdf(left, found.df) - 1 >= _POWER else "possible"


def _needed(row: Counts, spread: Spread, design: Design, target: tuple[float, float]) -> float:
    """Positive patients at which equivalence would be likely, negatives growing along and the seeds as they are."""
    room, df = target
    quantiles = float(stats.t.ppf(0.95, df) + stats.t.ppf((1 + _POWER) / 2, df))
    left = (room / quantiles) ** 2 - 2 * spread.seeds_floor / design.seeds
    if left <= 0 or design.seeds < design.settings.min_seeds:
        return math.nan
    falling = 2 * spread.seeds / design.seeds + spread.patients
    return float(max(math.ceil(row["positives"] * falling / left), design.settings.min_patients_equivalent))
