"""The audit of what the loss was fed: the labels of the images drawn, and partners of a mix-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.treatments.draws import probabilities_of

_MARKS = 997  # see :func:`labels_audit`; prime, so that batches and strides do not meet it


def labels_audit(
    targets: NDArray[np.floating],
    counts: NDArray[np.integer],
    fed: NDArray[np.integer],
    marked: NDArray[np.integer],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Whether the positives that the loss was fed are the labels of the images that were drawn.

    Beside their number, a sum of marks is compared, one mark per image (its position modulo 997, plus 1): labels that
    are true in number, but belong to other images of the same batch, do not go unseen.

    Args:
        targets: (N, K) in {0, 1, NaN}: the labels.
        counts: (N,) how often the labels of each image were to be fed.
        fed: (K,) positive targets as they came to the loss.
        marked: (K,) the sum of the marks of the images to which they were fed.
        classes: K names.

    Returns:
        ``same``, and ``classes``: per class ``labels`` (positives among the draws), ``fed`` and ``own_images`` (False
        where the number is right and the images are not).

    Example:
        >>> found = labels_audit(np.eye(2), np.array([1, 2]), np.array([1, 1]), np.array([1, 2]), ["mass", "hernia"])
        >>> found["classes"]["hernia"]
        {'labels': 2, 'fed': 1, 'own_images': False}
    """
    positive = targets == 1
    wanted = counts @ positive
    wanted_marks = (counts * marks(np.arange(len(counts)))) @ positive
    return {
        "same": bool(np.array_equal(wanted, fed) and np.array_equal(wanted_marks, marked)),
        "classes": {
            name: {
                "labels": int(wanted[c]),
                "fed": int(fed[c]),
                "own_images": bool(wanted_marks[c] == marked[c]),
            }
            for c, name in enumerate(classes)
        },
    }


def mixing_audit(
    weights: NDArray[np.float64] | None, partner_weights: NDArray[np.float64], pairs: int, own: int
) -> dict[str, Any]:
    """How often a mix-up paired an image with itself, against chance.

    Args:
        weights: (N,) draw weights of the first stream, or None.
        partner_weights: (N,) of the second.
        pairs: Number of pairs.
        own: Pairs of an image with itself.

    Returns:
        ``pairs``, ``own`` and ``own_expected`` = pairs·Σ p_n·q_n for independent streams.

    Example:
        >>> mixing_audit(None, np.ones(4), pairs=8, own=8)
        {'pairs': 8, 'own': 8, 'own_expected': 2.0}
    """
    first = probabilities_of(weights, len(partner_weights))
    second = probabilities_of(partner_weights, len(partner_weights))
    return {"pairs": pairs, "own": own, "own_expected": float(pairs * np.sum(first * second))}


def marks(positions: NDArray[np.integer]) -> NDArray[np.int64]:
    """The mark of each position, see :func:`labels_audit`.

    >>> marks(np.array([0, 1, 997])).tolist()
    [1, 2, 1]
    """
    return np.asarray(positions % _MARKS + 1, dtype=np.int64)
