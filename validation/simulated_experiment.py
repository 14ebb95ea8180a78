"""One simulated experiment: from a truth to what the library's own statistics say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from simulated_scores import (
    Floats,
    Noise,
    People,
    draw_lens_values,
    draw_people,
    draw_positives,
    draw_scores,
    precision_of_signal,
    seed_sd_of_auroc,
    signal_of_auroc,
    signal_of_precision,
)

from tailscope.core import generator
from tailscope.performance import resampled_auroc, resampled_average_precision
from tailscope.stats import (
    ComparisonSettings,
    MetricSamples,
    Resamples,
    cluster_resamples,
    compare,
    hidden_differences,
    resampled_mean,
)

AUROC, AP, LENS = "auroc", "average_precision", "mass_inside"
SETTINGS = ComparisonSettings(primary=(LENS,))
_RANKING = {AUROC: resampled_auroc, AP: resampled_average_precision}
_PILOTS = 12  # experiments from which the size of the patient noise is taken


@dataclass(frozen=True)
class Design:
    """What is true, and how much is seen of it.

    Args:
        name: Names the random numbers.
        prevalences: K.
        aurocs: K, of control.
        patients: Test patients; with ``positive`` as many as that takes.
        shifts: T, the true difference of each treatment in AUROC.
        precision_shifts: T, the true difference in AP, where it is set instead: NaN elsewhere. Empty for none.
        lens_differences: T, the true difference of the lens.
        seeds: S.
        noise: Standard deviation of a metric between seeds over its patient standard error √v_P, for AUROC and the
            lens; AP's follows from the scores.
        own: Share of the variance between images that the arms do not have in common.
        resamples: R.
        positive: Exact number of positive patients of a single class; 0 where it is left to chance.
    """

    name: str
    prevalences: tuple[float, ...]
    aurocs: tuple[float, ...]
    patients: int = 1000
    shifts: tuple[float, ...] = (0.0,) * 4
    precision_shifts: tuple[float, ...] = ()
    lens_differences: tuple[float, ...] = (0.0,) * 4
    seeds: int = 3
    noise: float = 1.0
    own: float = 0.3
    resamples: int = 200
    positive: int = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Control and T treatments."""
        return ("control", *(f"treatment {number}" for number in range(1, 1 + len(self.shifts))))

    def people(self, random: np.random.Generator) -> People:
        """A test set."""
        if self.positive:
            return draw_positives(self.positive, self.prevalences[0], random)
        return draw_people(self.patients, np.array(self.prevalences), random)


@dataclass(frozen=True)
class Truth:
    """Of one class.

    Args:
        signals: A.
        precisions: A, AP of an arm's runs on average.
        seed_sd: σ of a run's noise in the signal.
        lens_seed_sd: And in the lens value.
    """

    signals: tuple[float, ...]
    precisions: tuple[float, ...]
    seed_sd: float
    lens_seed_sd: float


def truth_of(design: Design) -> tuple[Truth, ...]:
    """The truth of each class; the noise of runs is scaled to the patient noise of a few experiments without any."""
    classes = range(len(design.prevalences))
    still = tuple(_truth(design, number, 0.0, 0.0) for number in classes)
    if design.noise == 0:
        return still
    quiet = replace(design, name=f"{design.name}, pilot")
    variances = np.nanmean([_patient_variances(quiet, still, number) for number in range(_PILOTS)], axis=0)
    noise = design.noise * np.sqrt(variances)
    return tuple(_truth(design, number, float(noise[number, 0]), float(noise[number, 1])) for number in classes)


def _truth(design: Design, number: int, auroc_sd: float, lens_sd: float) -> Truth:
    prevalence, auroc = design.prevalences[number], design.aurocs[number]
    seed_sd = seed_sd_of_auroc(auroc_sd, auroc)
    signals = [signal_of_auroc(auroc + shift, seed_sd) for shift in (0.0, *design.shifts)]
    precision = precision_of_signal(signals[0], prevalence, seed_sd)
    for arm, shift in enumerate(design.precision_shifts, 1):
        if np.isfinite(shift):
            signals[arm] = signal_of_precision(precision + shift, prevalence, seed_sd)
    precisions = [precision_of_signal(signal, prevalence, seed_sd) for signal in signals]
    return Truth(tuple(signals), tuple(precisions), seed_sd, lens_sd)


def _patient_variances(design: Design, truths: tuple[Truth, ...], number: int) -> Floats:
    """(K, 2) v_P of AUROC and of the lens, control against the first treatment."""
    by_class: dict[str, dict[str, float]] = {}
    for cell in simulate(design, truths, number):
        if not cell.why_missing:
            by_class.setdefault(cell.class_name, {})[cell.metric] = patient_variance(cell)
    names = [_name(design, place) for place in range(len(design.prevalences))]
    return np.array([[by_class.get(name, {}).get(metric, np.nan) for metric in (AUROC, LENS)] for name in names])


def patient_variance(cell: MetricSamples) -> float:
    """v_P of the first treatment against control."""
    return float((cell.resampled[1] - cell.resampled[0]).var(ddof=1))


def simulate(design: Design, truths: tuple[Truth, ...], number: int) -> list[MetricSamples]:
    """AUROC, AP and the lens metric of every class, arm, seed and patient resample in one experiment.

    Args:
        design: What is seen.
        truths: From :func:`truth_of`.
        number: Of the experiment; its random numbers depend on this and the design's name alone.
    """
    random = generator(0, "simulated experiment", design.name, number)
    people = design.people(random)
    seed = int(random.integers(2**62))
    plain = cluster_resamples(people.patients, design.resamples, seed)
    cells = []
    for place, truth in enumerate(truths):
        noise = Noise(truth.seed_sd, design.own, design.seeds)
        scores = draw_scores(people, place, np.array(truth.signals), noise, random)
        noise = Noise(truth.lens_seed_sd, design.own, design.seeds)
        lens = draw_lens_values(people, place, np.array([0.0, *design.lens_differences]), noise, random)
        label = people.labels[:, place]
        draws = _keeping(plain, people, np.stack([label, ~label], axis=1), seed)
        cells += [_ranking_cell(design, people, place, metric, scores, draws) for metric in _RANKING]
        draws = _keeping(plain, people, people.annotated[:, [place]], seed)
        cells.append(_lens_cell(design, people, place, lens, draws))
    return cells


def _keeping(plain: Resamples, people: People, required: NDArray[np.bool_], seed: int) -> Resamples | None:
    """Resamples that hold an image of each required column; None where there is no such image."""
    if not required.any(axis=0).all():
        return None
    if all(plain.multiplicity[:, column].any(axis=1).all() for column in required.T):
        return plain
    return cluster_resamples(people.patients, len(plain.multiplicity), seed, required=required)


def _ranking_cell(
    design: Design, people: People, place: int, metric: str, scores: Floats, draws: Resamples | None
) -> MetricSamples:
    label = people.labels[:, place]
    if draws is None:
        return _cell(design, people, place, metric, None)
    columns = np.repeat(label[:, None], scores.shape[1], axis=1)
    counts = np.vstack([np.ones_like(draws.multiplicity[:1]), draws.multiplicity])  # the sample itself comes first
    return _cell(design, people, place, metric, _RANKING[metric](scores, columns, counts))


def _lens_cell(design: Design, people: People, place: int, values: Floats, draws: Resamples | None) -> MetricSamples:
    if draws is None:
        return _cell(design, people, place, LENS, None)
    rows = np.flatnonzero(people.annotated[:, place])
    drawn = np.stack([resampled_mean(run, rows, draws.multiplicity) for run in values.T], axis=1)
    return _cell(design, people, place, LENS, np.concatenate([values.mean(axis=0)[None], drawn]))


def _cell(design: Design, people: People, place: int, metric: str, found: Floats | None) -> MetricSamples:
    """The values of a metric, (1 + R, A·S) with the sample itself first, as the statistics want them."""
    label, arms = people.labels[:, place], len(design.arms)
    positive = people.annotated[:, place] if metric == LENS else label
    positives, negatives = (np.unique(people.patients[rows]).size for rows in (positive, ~label))
    reason = "" if found is not None else "no positive or no negative test image"
    values = np.full((1 + design.resamples, arms * design.seeds), np.nan) if found is None else found
    by_arm = values.reshape(len(values), arms, design.seeds)
    return MetricSamples(
        lens="alignment" if metric == LENS else "performance",
        metric=metric,
        class_name=_name(design, place),
        group="head",
        arms=design.arms,
        values=by_arm[0],
        resampled=by_arm[1:].mean(axis=2).T,
        n=int(positive.sum()) if metric == LENS else len(label),
        patients=positives if metric == LENS else min(positives, negatives),
        positive_patients=positives,
        negative_patients=negatives,
        reason=reason,
    )


def _name(design: Design, place: int) -> str:
    return f"{place + 1}: {design.prevalences[place]:.3g}"


def judge(cells: list[MetricSamples]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The findings of one experiment, and its hidden differences."""
    findings = compare(cells, SETTINGS)
    return findings, hidden_differences(findings, SETTINGS)
