"""Who has what: patients, splits and label rows of the whole phantom set, with exact counts, before any pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import SPLITS
from tailscope.core.seeding import generator
from tailscope.data.phantom_confounders import BASE_RATES

PREVALENCE: Mapping[str, float] = MappingProxyType(
    {
        "infiltration": 0.18,
        "effusion": 0.12,
        "atelectasis": 0.10,
        "nodule": 0.056,
        "mass": 0.05,
        "pneumothorax": 0.047,
        "cardiomegaly": 0.025,
        "pneumonia": 0.013,
        "hernia": 0.002,
    }
)

# Loadings on what makes findings meet in one patient: being ill at all, fluid, infection, tumour, air.
_LOADINGS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "infiltration": (0.45, 0.30, 0.40, 0.0, 0.0),
        "effusion": (0.45, 0.60, 0.10, 0.10, 0.15),
        "atelectasis": (0.45, 0.50, 0.10, 0.0, 0.15),
        "nodule": (0.30, 0.0, 0.0, 0.65, 0.0),
        "mass": (0.30, 0.10, 0.0, 0.65, 0.0),
        "pneumothorax": (0.30, 0.10, 0.0, 0.10, 0.60),
        "cardiomegaly": (0.25, 0.60, 0.0, 0.0, 0.0),
        "pneumonia": (0.35, 0.15, 0.70, 0.0, 0.0),
        "hernia": (0.10, 0.0, 0.0, 0.0, 0.0),
    }
)


@dataclass(frozen=True)
class Tie:
    """An artifact tied to a class.

    Args:
        finding: The class.
        artifact: What gives it away.
        strength: Share of the positives with the artifact; negatives have it at (1 − strength) times its base rate.
    """

    finding: str
    artifact: str
    strength: float


@dataclass(frozen=True)
class SetPlan:
    """What :func:`plan_set` plans.

    Args:
        sizes: Images per split, in the order of :data:`~tailscope.core.SPLITS`.
        seed: Root seed.
        prevalence: Share of positives per class; also the order of the classes.
        minimum: At least so many positives per class and split.
        per_patient: Fewest and most images of one patient.
        ties: Artifacts tied to classes.
        test_ties: ``free``: in the test split ties do not hold; ``tied``: they do.
    """

    sizes: tuple[int, int, int]
    seed: int
    prevalence: Mapping[str, float]
    minimum: int
    per_patient: tuple[int, int]
    ties: tuple[Tie, ...] = ()
    test_ties: Literal["free", "tied"] = "free"


def positives(prevalence: float, size: int, minimum: int) -> int:
    """Positives of a class in a split.

    >>> positives(0.18, 600, 8), positives(0.002, 600, 8)
    (108, 8)
    """
    return max(minimum, round(prevalence * size))


def plan_set(plan: SetPlan) -> pd.DataFrame:
    """One row per image: split, patient, age, sex, and a boolean column per class and per artifact.

    Counts are exact. Within a split the images with the largest scores on a class get it; scores share factors between
    classes and, for the most part, between the images of one patient, which gives the co-occurrence.

    Returns:
        Rows in the order of the image number: train, val, test.
    """
    parts = [_plan_split(plan, split, size) for split, size in zip(SPLITS, plan.sizes, strict=True)]
    table = pd.concat(parts, ignore_index=True)
    table["patient"] = table.groupby(["split", "patient"], sort=False).ngroup()
    return table


def _plan_split(plan: SetPlan, split: str, size: int) -> pd.DataFrame:
    random = generator(plan.seed, "phantom", "plan", split)
    patient = _patients(random, size, plan.per_patient)
    people = int(patient[-1]) + 1
    table = pd.DataFrame({"split": split, "patient": patient})
    table["age"] = np.clip(random.normal(50, 16, people).round(), 18, 95)[patient]
    table["sex"] = np.where(random.random(people) < 0.55, "M", "F")[patient]
    factors = np.sqrt(0.7) * random.standard_normal((people, 5))[patient]
    factors += np.sqrt(0.3) * random.standard_normal((size, 5))
    own = generator(plan.seed, "phantom", "scores", split).standard_normal((size, len(_LOADINGS)))
    for column, (name, loadings) in enumerate(_LOADINGS.items()):
        if name in plan.prevalence:
            weights = np.array(loadings)
            score = factors @ weights + np.sqrt(1 - weights @ weights) * own[:, column]
            count = positives(plan.prevalence[name], size, plan.minimum)
            table[name] = highest(score, count)
    holds = split != "test" or plan.test_ties == "tied"
    scores = {name: generator(plan.seed, "phantom", name, split).random(size) for name in BASE_RATES}
    return with_artifacts(table, plan.ties, scores, holds=holds)


def with_artifacts(
    table: pd.DataFrame, ties: Sequence[Tie], scores: Mapping[str, NDArray[np.float64]], *, holds: bool
) -> pd.DataFrame:
    """The plan of one split with a boolean column per artifact, in exact counts.

    Args:
        table: One row per image, a boolean column per class.
        ties: All ties of the set.
        scores: Artifact to (N,) numbers; the highest get it.
        holds: Whether the ties hold in this split; otherwise positives and negatives both have the base rate.
    """
    tie_of = {tie.artifact: tie for tie in ties}
    columns = {}
    for artifact, rate in BASE_RATES.items():
        tie = tie_of.get(artifact)
        positive = table[tie.finding].to_numpy(dtype=bool) if tie else np.zeros(len(table), dtype=bool)
        strength = tie.strength if tie and holds else None
        columns[artifact] = _artifact(scores[artifact], positive, rate, strength)
    return table.assign(**columns)


def _patients(random: np.random.Generator, size: int, per_patient: tuple[int, int]) -> NDArray[np.int64]:
    """(size,) patient numbers within a split; the last patient may have fewer images."""
    low, high = per_patient
    counts = random.integers(low, high + 1, size=size)
    return np.repeat(np.arange(size), counts)[:size]


def highest(score: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """(N,) whether a score is among the ``count`` highest; of equal ones the first count.

    >>> highest(np.array([0.1, 0.9, 0.5]), 2).tolist()
    [False, True, True]
    """
    chosen = np.zeros(score.size, dtype=bool)
    chosen[np.argsort(-score, kind="stable")[:count]] = True
    return chosen


def _artifact(
    score: NDArray[np.float64], positive: NDArray[np.bool_], rate: float, strength: float | None
) -> NDArray[np.bool_]:
    """Exact counts among positives and among negatives; both at the base rate where nothing is tied."""
    among = {True: rate, False: rate} if strength is None else {True: strength, False: (1 - strength) * rate}
    present = np.zeros(score.size, dtype=bool)
    for group, share in among.items():
        rows = np.flatnonzero(positive == group)
        present[rows] = highest(score[rows], round(share * rows.size))
    return present
