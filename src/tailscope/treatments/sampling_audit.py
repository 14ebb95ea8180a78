"""The audit of a sampler: what was drawn, against what the weights promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailscope.treatments.chance import (
    chi_square,
    count_extremes,
    expected_distinct,
    pattern_chi_square,
    ratio,
    standard_errors,
    z_scores,
)
from tailscope.treatments.draws import draw_counts, label_patterns, positives_of, probabilities_of
from tailscope.treatments.process_audit import process_audit
from tailscope.treatments.spill_over import spill_over

_MOST_IN_MATRIX = 32  # classes; beyond it the K × K tables of co-occurrence would swell audit.json
_PAIRS_SHOWN = 10
_STRATA = 10


@dataclass(frozen=True)
class Meant:
    """What a sampler means to do, beyond its weights.

    Args:
        leaves_out: Weights of 0 are meant.
        by_labels: The weights follow the labels alone; those that balance a further column may draw a rare class less
            than a frequent one.
    """

    leaves_out: bool = False
    by_labels: bool = True


def sampling_audit(
    targets: NDArray[np.floating],
    weights: NDArray[np.float64] | None,
    drawn: NDArray[np.integer],
    classes: Sequence[str],
    processes: Sequence[NDArray[np.integer]] = (),
    meant: Meant | None = None,
) -> dict[str, Any]:
    """What an epoch drew, against what the weights promise.

    It serves for planned draws and, by :func:`~tailscope.treatments.draws.draws_of`, for what training really did.

    Args:
        targets: (N, K) in {0, 1, NaN}; NaN is no positive.
        weights: (N,) draw weights, or None where every image is drawn equally often, without replacement.
        drawn: (M,) the images in the order drawn, all processes together.
        classes: K names.
        processes: The draws of each process, where there are several.
        meant: What the plan declares of its weights; None for the defaults.

    Returns:
        Plain numbers and lists, for ``audit.json``:

        - ``images``, ``draws``, ``images_with_zero_weight``, ``leaves_out``, ``by_labels``,
          ``zero_weight_draws``;
        - ``images_drawn`` at least once and ``images_drawn_expected``; ``draw_counts`` (as text: times drawn, to the
          number of images); ``extremes``, see :func:`~tailscope.treatments.chance.count_extremes`;
        - ``strata``: images by ascending weight in at most 10 parts of equal expectation: ``images``, ``expected`` and
          ``realised`` share of the draws, ``z``;
        - ``classes``: per class ``prevalence`` (share of the images), ``expected`` and ``realised`` share of the draws
          that are positive, their ``ratio`` (NaN where nothing is expected), ``inflation`` (expected over prevalence),
          ``inflation_error`` (its standard error from weights that differ among images of the same labels) and ``z``,
          the difference in standard errors of the draw;
        - ``largest_z`` in absolute value; ``largest_ratio``: the ``class`` whose ratio is furthest from 1 (in its
          logarithm) and that ``ratio``;
        - ``chi_square`` over the classes and ``pattern_chi_square`` over label combinations, with p;
        - ``cooccurrence_expected`` and ``cooccurrence_realised``: (K, K) shares of the draws that are positive for
          both, empty beyond 32 classes; ``pairs``: the 10 pairs with the largest z;
        - ``spill_over``, see :func:`~tailscope.treatments.spill_over.spill_over`;
        - ``processes``: per process ``draws``, ``images_drawn``, ``largest_z``, and ``classes`` with ``expected``,
          ``realised`` and ``z``; ``processes_complete``: together they drew what was drawn; ``processes_alike``: pairs
          of processes with the very same draws, where chance cannot explain it.

    Raises:
        InputError: Lengths do not fit, a weight is negative or not finite, none is positive, or an index is out of
            range.

    Example:
        >>> audit = sampling_audit(np.eye(2), np.array([3.0, 1.0]), np.array([0, 1, 0, 0]), ["mass", "hernia"])
        >>> audit["classes"]["mass"]["expected"], audit["classes"]["mass"]["realised"], audit["draw_counts"]
        (0.75, 0.75, {'1': 1, '3': 1})
    """
    positive = positives_of(targets, classes)
    probabilities = probabilities_of(weights, len(positive))
    counts = draw_counts(drawn, len(positive))
    return {
        **_images(probabilities, counts, weights is not None),
        **asdict(meant or Meant()),
        **_shares(positive, probabilities, counts, classes, weights is not None),
        "spill_over": spill_over(positive, probabilities, classes),
        **process_audit(processes, positive, probabilities, counts, classes, weights is not None),
    }


def _images(probabilities: NDArray[np.float64], counts: NDArray[np.int64], with_replacement: bool) -> dict[str, Any]:
    draws = int(counts.sum())
    times, images = np.unique(counts, return_counts=True)
    return {
        "images": len(counts),
        "draws": draws,
        "images_with_zero_weight": int(np.sum(probabilities == 0)),
        "zero_weight_draws": int(counts[probabilities == 0].sum()),
        "images_drawn": int(np.sum(counts > 0)),
        "images_drawn_expected": expected_distinct(probabilities, draws, with_replacement=with_replacement),
        "draw_counts": {str(time): int(number) for time, number in zip(times, images, strict=True)},
        "extremes": count_extremes(probabilities, counts, with_replacement=with_replacement),
        "strata": _strata(probabilities, counts) if with_replacement else [],
    }


def _strata(probabilities: NDArray[np.float64], counts: NDArray[np.int64]) -> list[dict[str, float]]:
    order = np.argsort(probabilities, kind="stable")
    ascending = probabilities[order]
    part = np.minimum((np.cumsum(ascending) - ascending / 2) * _STRATA, _STRATA - 1).astype(np.int64)
    expected = np.asarray(np.bincount(part, weights=ascending), dtype=np.float64)
    realised = np.bincount(part, weights=counts[order]) / counts.sum()
    z = z_scores(realised - expected, standard_errors(expected, int(counts.sum()), None))
    rows = zip(np.bincount(part), expected, realised, z, strict=True)
    return [
        {"images": int(images), "expected": float(e), "realised": float(r), "z": float(score)}
        for images, e, r, score in rows
        if images
    ]


def _shares(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    counts: NDArray[np.int64],
    classes: Sequence[str],
    with_replacement: bool,
) -> dict[str, Any]:
    draws, epoch = int(counts.sum()), None if with_replacement else len(counts)
    rows = sparse.csr_array(positive, dtype=np.float64)
    expected, realised = _pair_shares(rows, probabilities), _pair_shares(rows, counts / draws)
    z = z_scores(realised - expected, standard_errors(expected, draws, epoch))
    patterns = label_patterns(positive)
    noise = _noise(patterns, probabilities)
    own = {
        name: {
            **_share(float(positive[:, c].mean()), float(expected[c, c]), float(realised[c, c]), float(z[c, c])),
            "inflation_error": ratio(noise, math.sqrt(float(positive[:, c].sum()))),
        }
        for c, name in enumerate(classes)
    }
    shown = len(classes) <= _MOST_IN_MATRIX
    return {
        "classes": own,
        "largest_z": float(np.max(np.abs(z.diagonal()), initial=0.0)),
        "largest_ratio": _largest_ratio(own),
        "chi_square": chi_square((realised - expected).diagonal(), expected, draws, epoch),
        "pattern_chi_square": pattern_chi_square(patterns, probabilities, counts, epoch),
        "cooccurrence_expected": expected.tolist() if shown else [],
        "cooccurrence_realised": realised.tolist() if shown else [],
        "pairs": _pairs(expected, realised, z, classes),
    }


def _share(prevalence: float, expected: float, realised: float, z: float) -> dict[str, float]:
    return {
        "prevalence": prevalence,
        "expected": expected,
        "realised": realised,
        "ratio": ratio(realised, expected),
        "inflation": ratio(expected, prevalence),
        "z": z,
    }


def _noise(patterns: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Standard deviation of the weights (mean 1) among images of the same labels: what is not due to the labels."""
    relative = probabilities * len(probabilities)
    images = np.bincount(patterns)
    means = np.bincount(patterns, weights=relative) / images
    freedom = len(patterns) - len(images)
    scatter = relative - means[patterns]
    scatter[np.abs(scatter) < 1e-12 * relative] = 0
    return math.sqrt(float(np.sum(scatter**2)) / freedom) if freedom else 0.0


def _pair_shares(rows: sparse.csr_array[Any, Any], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, K): the share of draws positive for both classes; a class with itself on the diagonal."""
    weighted = sparse.diags_array(probabilities) @ rows
    return np.asarray((rows.T @ weighted).todense(), dtype=np.float64)


def _largest_ratio(own: dict[str, dict[str, float]]) -> dict[str, Any]:
    ratios = {name: record["ratio"] for name, record in own.items() if not math.isnan(record["ratio"])}
    if not ratios:
        return {"class": "", "ratio": math.nan}
    name = max(ratios, key=lambda key: abs(math.log(ratios[key])) if ratios[key] > 0 else math.inf)
    return {"class": name, "ratio": ratios[name]}


def _pairs(
    expected: NDArray[np.float64], realised: NDArray[np.float64], z: NDArray[np.float64], classes: Sequence[str]
) -> list[dict[str, Any]]:
    first, second = np.triu_indices(len(classes), k=1)
    order = np.argsort(-np.abs(z[first, second]), kind="stable")[:_PAIRS_SHOWN]
    return [
        {
            "classes": [classes[a], classes[b]],
            "expected": float(expected[a, b]),
            "realised": float(realised[a, b]),
            "z": float(z[a, b]),
        }
        for a, b in zip(first[order], second[order], strict=True)
        if expected[a, b] > 0 or realised[a, b] > 0
    ]
