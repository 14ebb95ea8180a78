"""Scores and lens values of networks that were never trained: the truth is known, and every kind of noise has a size.

A score is (signal + noise of the run)·label + effects of variance 1 in all: of the patient and the image, common to all
runs; of the patient and the image in this arm; of the image in this run. So a run's AUROC is Φ((signal + noise)/√2),
and its mean over runs, with noise of variance σ², is Φ(signal/√(2 + σ²)): true differences are set exactly, whatever
the noise. A lens value of a pair is built the same way; a difference comes from some images whose map moves far, not
from all moving a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
COMMON = {"patient": 0.35, "image": 0.65}  # shares of the variance that all arms have in common
OWN = {"patient": 0.45, "image": 0.35, "run": 0.2}  # and of the variance that they do not
LENS_VARIANCE = 0.04  # of a lens value, such as an excess of mass_inside
MOVED = 0.25  # share of images whose map moves where a lens differs
ANNOTATED = 0.5  # share of positive images with an annotation
_SAME_LABEL = 0.5  # correlation of two images of a patient behind their labels
_GRID = np.linspace(-8.0, 12.0, 1001)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True, eq=False)
class People:
    """One test set.

    Args:
        patients: (N,) number of each image's patient.
        labels: (N, K).
        annotated: (N, K), positives with an annotation.
    """

    patients: NDArray[np.int64]
    labels: Flags
    annotated: Flags


def draw_people(patients: int, prevalences: Floats, random: np.random.Generator) -> People:
    """Patients with one to five images; findings cluster in patients."""
    owner = np.repeat(np.arange(patients), random.choice([1, 2, 3, 5], patients, p=[0.5, 0.25, 0.15, 0.1]))
    return _labelled(owner, random, _liability(owner, len(prevalences), random) > stats.norm.isf(prevalences))


def draw_positives(positive: int, prevalence: float, random: np.random.Generator) -> People:
    """One class with exactly so many positive patients; the other patients have none."""
    people = draw_people(max(60, round(3 * positive / prevalence)), np.array([prevalence]), random)
    holders = np.unique(people.patients[people.labels[:, 0]])
    if holders.size < positive:
        raise ValueError(f"expected {positive} positive patients; got {holders.size}: draw more patients")
    others = np.setdiff1d(people.patients, holders)
    share = holders.size / np.unique(people.patients).size
    kept = np.concatenate([random.choice(holders, positive, replace=False),
                           random.choice(others, min(others.size, max(60, round(positive * (1 - share) / share))),
                                         replace=False)])  # fmt: skip
    rows = np.isin(people.patients, kept)
    return People(people.patients[rows], people.labels[rows], people.annotated[rows])


def _liability(owner: NDArray[np.int64], classes: int, random: np.random.Generator) -> Floats:
    own = random.normal(size=(owner.size, classes))
    shared = random.normal(size=(int(owner.max()) + 1, classes))[owner]
    return np.sqrt(_SAME_LABEL) * shared + np.sqrt(1 - _SAME_LABEL) * own


def _labelled(owner: NDArray[np.int64], random: np.random.Generator, labels: Flags) -> People:
    return People(owner, labels, labels & (random.random(labels.shape) < ANNOTATED))


@dataclass(frozen=True)
class Noise:
    """Where the values of one class vary.

    Args:
        seed_sd: σ of the noise of a whole run.
        own: Share of the variance between images that the arms do not have in common, in [0, 1].
        seeds: S.
    """

    seed_sd: float
    own: float
    seeds: int


def draw_scores(people: People, number: int, signals: Floats, noise: Noise, random: np.random.Generator) -> Floats:
    """(N, A·S) scores of one class, by arm, then seed.

    Args:
        people: The test set.
        number: Of the class.
        signals: (A,) signal of each arm.
        noise: Of this class.
        random: All draws.
    """
    signal = np.repeat(signals, noise.seeds) + random.normal(size=len(signals) * noise.seeds) * noise.seed_sd
    effects = _effects(people.patients, len(signals), noise, random)
    return np.where(people.labels[:, number, None], signal, 0.0) + effects


def draw_lens_values(
    people: People, number: int, differences: Floats, noise: Noise, random: np.random.Generator
) -> Floats:
    """(M, A·S) lens values of the annotated images of a class; arguments as :func:`draw_scores`.

    ``differences`` (A,) are the true differences to control.
    """
    rows = np.flatnonzero(people.annotated[:, number])
    moved = (random.random((rows.size, len(differences))) < MOVED) * (differences / MOVED)
    runs = random.normal(size=len(differences) * noise.seeds) * noise.seed_sd
    effects = _effects(people.patients[rows], len(differences), noise, random)
    return np.repeat(moved, noise.seeds, axis=1) + runs + np.sqrt(LENS_VARIANCE) * effects


def _effects(owner: NDArray[np.int64], arms: int, noise: Noise, random: np.random.Generator) -> Floats:
    """(N, A·S) of variance 1."""
    patients, images = int(owner.max(initial=0)) + 1, owner.size
    common = np.sqrt(COMMON["patient"]) * random.normal(size=patients)[owner]
    common += np.sqrt(COMMON["image"]) * random.normal(size=images)
    of_arm = np.sqrt(OWN["patient"]) * random.normal(size=(patients, arms))[owner]
    of_arm += np.sqrt(OWN["image"]) * random.normal(size=(images, arms))
    of_run = np.sqrt(OWN["run"]) * random.normal(size=(images, arms * noise.seeds))
    own = np.repeat(of_arm, noise.seeds, axis=1) + of_run
    return np.sqrt(1 - noise.own) * common[:, None] + np.sqrt(noise.own) * own


def signal_of_auroc(auroc: float, seed_sd: float) -> float:
    """The signal at which runs have this AUROC on average.

    >>> round(signal_of_auroc(0.5, 3.0), 6), round(signal_of_auroc(0.8, 0.0), 3)
    (0.0, 1.19)
    """
    return float(np.sqrt(2 + seed_sd**2) * stats.norm.ppf(auroc))


def auroc_of_signal(signal: float, seed_sd: float) -> float:
    """Mean AUROC of runs; the inverse of :func:`signal_of_auroc`.

    >>> round(auroc_of_signal(signal_of_auroc(0.8, 0.3), 0.3), 6)
    0.8
    """
    return float(stats.norm.cdf(signal / np.sqrt(2 + seed_sd**2)))


def precision_of_signal(signal: float, prevalence: float, seed_sd: float) -> float:
    """Mean AP of runs on endless data, ∫ precision d(recall), averaged over the noise of runs.

    >>> round(precision_of_signal(0.0, 0.2, 0.0), 3), round(precision_of_signal(8.0, 0.2, 0.0), 3)
    (0.2, 1.0)
    """
    values = []
    for node in _NODES:
        recall = special.ndtr(signal + seed_sd * node - _GRID)
        passed = (1 - prevalence) * special.ndtr(-_GRID)
        precision = prevalence * recall / np.maximum(prevalence * recall + passed, 1e-300)
        values.append(-np.trapezoid(precision, recall))
    return float(np.dot(_WEIGHTS, values) / _WEIGHTS.sum())


def signal_of_precision(precision: float, prevalence: float, seed_sd: float) -> float:
    """The signal at which runs have this AP on average.

    >>> round(precision_of_signal(signal_of_precision(0.5, 0.1, 0.2), 0.1, 0.2), 4)
    0.5
    """
    return float(
        optimize.brentq(lambda signal: precision_of_signal(signal, prevalence, seed_sd) - precision, -3.0, 8.0)
    )


def seed_sd_of_auroc(sd: float, auroc: float) -> float:
    """σ of a run's noise at which its AUROC varies by this standard deviation, to first order."""
    slope = stats.norm.pdf(stats.norm.ppf(auroc)) / np.sqrt(2)
    return float(sd / slope)
