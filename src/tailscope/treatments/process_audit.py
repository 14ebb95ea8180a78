"""The share of each process in the draws, where several train together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailscope.treatments.chance import LOG_CHANCE, standard_errors, z_scores
from tailscope.treatments.draws import draw_counts


def process_audit(
    processes: Sequence[NDArray[np.integer]],
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    counts: NDArray[np.int64],
    classes: Sequence[str],
    with_replacement: bool,
) -> dict[str, Any]:
    """Entries ``processes``, ``processes_complete`` and ``processes_alike`` of a sampling audit.

    Args:
        processes: The draws of each process; empty where there is one.
        positive: (N, K).
        probabilities: (N,) chance of each image per draw, sum 1.
        counts: (N,) how often each was drawn in total.
        classes: K names.
        with_replacement: Whether images are drawn with replacement.
    """
    if not processes:
        return {"processes": [], "processes_complete": True, "processes_alike": []}
    # Of a single epoch, a share is drawn without replacement; of several, at most as independent draws vary.
    epoch = None if with_replacement or counts.sum() > len(counts) else len(counts)
    own = [draw_counts(drawn, len(counts)) for drawn in processes]
    rows = sparse.csr_array(positive, dtype=np.float64)
    return {
        "processes": [_process(rows, probabilities, mine, classes, epoch) for mine in own],
        "processes_complete": bool(np.array_equal(np.sum(own, axis=0), counts)),
        "processes_alike": _alike(processes, probabilities),
    }


def _process(
    rows: sparse.csr_array[Any, Any],
    probabilities: NDArray[np.float64],
    counts: NDArray[np.int64],
    classes: Sequence[str],
    epoch: int | None,
) -> dict[str, Any]:
    draws = int(counts.sum())
    expected = np.asarray(probabilities @ rows)
    realised = np.asarray(counts @ rows / draws)
    z = z_scores(realised - expected, standard_errors(expected, draws, epoch))
    return {
        "draws": draws,
        "images_drawn": int(np.sum(counts > 0)),
        "largest_z": float(np.max(np.abs(z), initial=0.0)),
        "classes": {
            name: {"expected": float(expected[c]), "realised": float(realised[c]), "z": float(z[c])}
            for c, name in enumerate(classes)
        },
    }


def _alike(processes: Sequence[NDArray[np.integer]], probabilities: NDArray[np.float64]) -> list[list[int]]:
    """Pairs of processes that drew the very same images, where chance cannot explain it."""
    log_same = math.log(float(np.sum(probabilities**2)))  # that one draw agrees
    return [
        [a, b]
        for a in range(len(processes))
        for b in range(a + 1, len(processes))
        if np.array_equal(processes[a], processes[b]) and -log_same * len(processes[a]) > LOG_CHANCE
    ]
