"""Spill-over of a sampler: a class that is drawn more because it comes with a rarer one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DOUBLED = 2.0
_FOR_OTHERS = 1.5
_NUMBERS = ("prevalence", "expected", "inflation", "own", "factor")


def spill_over(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> dict[str, Any]:
    """The class that a sampler inflates most by co-occurrence.

    An image is drawn for the sake of its rarest positive class. The other classes on it ride along. For each class, the
    inflation of its share (expected over prevalence) is set against that of its own images, those on which no rarer
    class is positive; a class without such images is set against 1, the rate of an untreated training.

    Args:
        positive: (N, K).
        probabilities: (N,) chance of each image per draw, sum 1.
        classes: K names.

    Returns:
        ``class``, its ``prevalence`` and ``expected`` share of the draws, ``inflation`` (their ratio), ``own`` (the
        ratio that its own images have), ``factor`` (inflation over own), ``through``, the rarer class that brings most
        of it, and ``confounded``: its share is more than doubled, and by a third or more for the sake of others (factor
        above 1.5). All empty, NaN or False where no class comes with another.

    Example:
        >>> positive = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], dtype=bool)  # hernia comes with mass
        >>> found = spill_over(positive, np.array([0.1, 0.1, 0.7, 0.1]), ["mass", "hernia"])
        >>> found["class"], found["through"], round(found["inflation"], 3), found["own"]  # 0.9 / 0.75, and 0.1 / 0.25
        ('mass', 'hernia', 1.2, 0.4)
    """
    totals = positive.sum(axis=0)
    rarest = _rarest(positive, totals)
    relative = probabilities * len(positive)
    found = [_one(c, positive[:, c], rarest, relative) for c in range(len(classes))]
    shared = [c for c, record in enumerate(found) if record["factor"] > 1]
    if not shared:
        return {"class": "", "through": "", **dict.fromkeys(_NUMBERS, math.nan), "confounded": False}
    worst = max(shared, key=lambda c: (_is_confounded(found[c]), found[c]["inflation"] - found[c]["own"]))
    through = _through(positive[:, worst] & (rarest != worst), rarest, relative)
    return {
        "class": classes[worst],
        "through": classes[through],
        **found[worst],
        "confounded": _is_confounded(found[worst]),
    }


def _is_confounded(record: Mapping[str, float]) -> bool:
    return record["inflation"] > _DOUBLED and record["factor"] > _FOR_OTHERS


def _rarest(positive: NDArray[np.bool_], totals: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the rarest positive class of each image, −1 where there is none."""
    place = np.where(positive, totals, np.iinfo(np.int64).max)
    return np.where(positive.any(axis=1), place.argmin(axis=1), -1)


def _one(
    number: int, mine: NDArray[np.bool_], rarest: NDArray[np.int64], relative: NDArray[np.float64]
) -> dict[str, float]:
    own_images = mine & (rarest == number)
    own = float(relative[own_images].mean()) if own_images.any() else 1.0
    inflation = float(relative[mine].mean()) if mine.any() else math.nan
    alone = bool(own_images.sum() == mine.sum())
    return {
        "prevalence": float(mine.mean()),
        "expected": float(relative[mine].sum() / len(mine)),
        "inflation": inflation,
        "own": own,
        "factor": 1.0 if alone else inflation / own if own else math.inf,
    }


def _through(riding: NDArray[np.bool_], rarest: NDArray[np.int64], relative: NDArray[np.float64]) -> int:
    return int(np.argmax(np.bincount(rarest[riding], weights=relative[riding])))
