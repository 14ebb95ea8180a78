"""Does the network use a class's detectors? How far logits fall without them, against like units, held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tailscope.core import InputError, check_choice, generator
from tailscope.dissection.counts import mean_ratio, weightings
from tailscope.dissection.crossfit import LEAST_PATIENTS, patient_halves
from tailscope.dissection.images import AnnotatedImages
from tailscope.dissection.matched import in_id_order
from tailscope.dissection.unit_facts import MatchedCounts

CauseMetric = Literal[
    "own_drop",
    "other_drop",
    "specificity",
    "random_own_drop",
    "random_other_drop",
    "random_specificity",
    "specificity_over_random",
]
CAUSE_METRICS: tuple[CauseMetric, ...] = get_args(CauseMetric)

# What each metric adds up: (own, other, random own, random other).
_SIGNS: dict[str, tuple[int, int, int, int]] = {
    "own_drop": (1, 0, 0, 0),
    "other_drop": (0, 1, 0, 0),
    "specificity": (1, -1, 0, 0),
    "random_own_drop": (0, 0, 1, 0),
    "random_other_drop": (0, 0, 0, 1),
    "random_specificity": (0, 0, 1, -1),
    "specificity_over_random": (1, -1, -1, 1),
}


@dataclass(frozen=True)
class CauseSettings:
    """How the causal check is made.

    Args:
        detectors: m, units that are set to their mean together.
        splits: Splits of the patients; each is used both ways.
        seed: Root seed of the splits and of the random units, the same for all runs.

    Raises:
        InputError: A setting is below 1.
    """

    detectors: int = 5
    splits: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.detectors < 1 or self.splits < 1:
            raise InputError(f"`detectors` and `splits` must be 1 or more; got {self.detectors} and {self.splits}")


@dataclass(frozen=True, eq=False)
class CausePlan:
    """Which units are set to their mean for one class, and on which images the logits are then read.

    Args:
        number: c, the class.
        rows: (n,) image rows of its annotated positives.
        scored: (2S, N) bool, the test images of the half that did not rank.
        detectors: (2S, m) the units that the other half ranks first, best first.
        random: (2S, m) live units like them, one by one, none of them.
    """

    number: int
    rows: NDArray[np.int64]
    scored: NDArray[np.bool_]
    detectors: NDArray[np.int64]
    random: NDArray[np.int64]

    @cached_property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """J different sets of units; the first is empty: the whole network."""
        every = {tuple(sorted(one)) for one in np.concatenate([self.detectors, self.random]).tolist()}
        return ((), *sorted(every))

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """(n, J) which set is needed on which image."""
        wanted = np.zeros((len(self.rows), len(self.sets)), dtype=bool)
        wanted[:, 0] = True
        for half, places in zip(self.scored[:, self.rows], self._places.T, strict=True):
            wanted[np.ix_(half, places)] = True
        return wanted

    @property
    def _places(self) -> NDArray[np.int64]:
        """(2, 2S) where the detectors and the random units of each half stand among the sets."""
        place = {one: number for number, one in enumerate(self.sets)}
        halves = (self.detectors, self.random)
        return np.array([[place[tuple(sorted(one))] for one in units.tolist()] for units in halves])

    def drops(self, logits: NDArray[np.floating], ablated: NDArray[np.floating]) -> Causes | str:
        """The record of what was found, or why there is none.

        A logit that is constant over a half has no drop in standard deviations there: of the own class that leaves no
        record, of another class it is left out of that half's mean.

        Args:
            logits: (N, K) of all test images.
            ablated: (n, J, K) of the annotated positives, without each of ``sets``; what is not wanted is not read.

        Raises:
            InputError: The shapes do not fit, or a logit that is read is not finite.
        """
        shape = (len(self.rows), len(self.sets), logits.shape[1])
        if ablated.shape != shape or len(logits) != self.scored.shape[1]:
            raise InputError(
                f"expected `logits` ({self.scored.shape[1]}, K) and `ablated` {shape}; got {logits.shape} and "
                f"{ablated.shape}"
            )
        if not np.isfinite(logits).all() or not np.isfinite(ablated[self.wanted]).all():
            raise InputError("logits must be finite; found NaN or infinity: check the network's numbers")
        spread = np.stack([_spread(logits[half]) for half in self.scored])
        others = np.delete(spread, self.number, axis=1)
        if np.isnan(spread[:, self.number]).any():
            return "the class's logit is constant over a half of the test images"
        if np.isnan(others).all(axis=1).any():
            return "no other class has a logit that varies over each half of the test images"
        scored = self.scored[:, self.rows]
        found = np.zeros((4, *scored.shape))
        for half, (seen, places) in enumerate(zip(scored, self._places.T, strict=True)):
            fall = (ablated[seen, :1] - ablated[seen][:, places]) / spread[half]
            found[::2][:, half, seen] = fall[:, :, self.number].T
            found[1::2][:, half, seen] = np.nanmean(np.delete(fall, self.number, axis=2), axis=2).T
        return Causes(self.rows, scored, self.detectors, self.random, found)


@dataclass(frozen=True, eq=False)
class Causes:
    """Per-image drops of one class, ready to be averaged under any weights of the images.

    In each of 2S halves, the annotated positives of the half that did not rank. Units, splits and standard deviations
    stay as they are under weights.

    Args:
        rows: (n,) image rows of the annotated positives.
        scored: (2S, n) bool, which of them each half scores.
        detectors: (2S, m) units.
        random: (2S, m) units.
        falls: (4, 2S, n) in standard deviations, positive where the logit falls: the class's own and the mean of the
            other classes' without the detectors, then both without the random units; 0 where not scored.

    Example:
        >>> falls = np.array([[2.0, 0.0], [0.5, 0.0], [0.5, 0.0], [0.25, 0.0]])[:, None]
        >>> found = Causes(np.array([3, 8]), np.array([[True, False]]), np.array([[1]]), np.array([[4]]), falls)
        >>> [found.value(metric) for metric in ("own_drop", "specificity", "specificity_over_random")]
        [2.0, 1.5, 1.25]
    """

    rows: NDArray[np.int64]
    scored: NDArray[np.bool_]
    detectors: NDArray[np.int64]
    random: NDArray[np.int64]
    falls: NDArray[np.float64]

    def value(self, metric: CauseMetric = "specificity") -> float:
        """The mean over the halves of the mean over their images; positive: the logit rests on the units."""
        return float(self.score(None, metric)[0])

    def score(
        self, weights: NDArray[np.floating] | None = None, metric: CauseMetric = "specificity"
    ) -> NDArray[np.float64]:
        """The value under R weightings of the images.

        Args:
            weights: (R, n) 0 or more, aligned with ``rows``; e.g. how often a bootstrap drew each image's patient.
                None is one weighting with all 1.
            metric: One of :data:`CAUSE_METRICS`.

        Returns:
            (R,) standard deviations. Halves without weight are left out of the mean; NaN where all are.

        Raises:
            InputError: ``weights`` has another shape, or a negative entry; the metric is unknown.
        """
        check_choice("metric", metric, CAUSE_METRICS)
        drawn = weightings(weights, len(self.rows))
        terms = np.tensordot(np.array(_SIGNS[metric], dtype=np.float64), self.falls, axes=1)
        return mean_ratio(drawn, terms, self.scored.astype(np.float64))


def plan_causes(
    images: AnnotatedImages,
    number: int,
    counts: MatchedCounts,
    units: tuple[NDArray[np.bool_], NDArray[np.floating]],
    settings: CauseSettings = CauseSettings(),
) -> CausePlan | str:
    """Rank the units of a class on each half of the patients, and draw random units like the first m.

    All test images are halved by patient, so that the half that scores also gives the logits' standard deviations.
    Ranked is by ``iou_matched`` pooled over the ranking half; of equals the first unit comes first. The random units
    of a half are drawn among a random half of the other live units: those that are, one by one, most like the first m
    in importance (least sum of differences, each used once).

    Args:
        images: The N test images.
        number: The class.
        counts: Of its matched set.
        units: (U,) which units live, and (U,) how important each is to the class's logit: mean ``|w_c · A|``.
        settings: m, S and the seed.

    Returns:
        The plan; the same for any order of the images. Or why there is none: fewer than 7 annotated patients, or
        fewer than 2m live units.

    Source:
        METHODS section 5, cause.
    """
    matched, (live, importance) = counts.matched, units
    if matched.annotated_patients < LEAST_PATIENTS:
        return f"{matched.annotated_patients} annotated patients; at least {LEAST_PATIENTS} are needed"
    if not live.any():
        return "no live unit"
    if live.sum() < 2 * settings.detectors:
        return f"{live.sum()} live units; {settings.detectors} detectors and as many others are needed"
    name = images.classes[number]
    rows = matched.rows[matched.annotated]
    halves = _halves(images, rows, settings, name)
    scored = np.concatenate([~halves, halves])
    iou = np.where(live, counts.iou(~scored[:, matched.rows]), -np.inf)
    detectors = np.argsort(-iou, axis=1, kind="stable")[:, : settings.detectors]
    random = generator(settings.seed, "causes", "random units", name)
    others = [np.setdiff1d(np.flatnonzero(live), chosen) for chosen in detectors]
    drawn = [like_units(*pair, importance, random) for pair in zip(detectors, others, strict=True)]
    return CausePlan(number, rows, scored, detectors, np.array(drawn))


def like_units(
    chosen: NDArray[np.int64],
    others: NDArray[np.int64],
    importance: NDArray[np.floating],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """As many other units, each as important as its partner as a random half of the others allows.

    Args:
        chosen: (m,) units.
        others: (V,) units to draw from, m or more.
        importance: (U,).
        generator: Source of the draw.

    Returns:
        (m,) different units, in the order of their partners.

    Example:
        >>> importance = np.array([5.0, 1.0, 1.1, 5.2])
        >>> like_units(np.array([0, 1]), np.array([2, 3]), importance, np.random.default_rng(0))
        array([3, 2])
    """
    size = max(len(chosen), (len(others) + 1) // 2)
    drawn = np.sort(generator.permutation(others)[:size])
    partners = linear_sum_assignment(np.abs(importance[chosen][:, None] - importance[drawn]))[1]
    return np.asarray(drawn[partners])


def _halves(
    images: AnnotatedImages, annotated: NDArray[np.int64], settings: CauseSettings, name: str
) -> NDArray[np.bool_]:
    """(S, N) the first halves of all test images, drawn in the order of their ids."""
    order = in_id_order(np.arange(len(images.ids)), images.ids)
    patients = pd.factorize(images.patient_codes[order])[0].astype(np.int64)
    random = generator(settings.seed, "causes", "halves", name)
    halves = np.empty((settings.splits, len(order)), dtype=bool)
    halves[:, order] = patient_halves(patients, np.isin(order, annotated), settings.splits, random)
    return halves


def _spread(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """(K,) standard deviation; NaN where all are equal."""
    return np.where(np.ptp(logits, axis=0) > 0, logits.std(axis=0, dtype=np.float64), np.nan)
