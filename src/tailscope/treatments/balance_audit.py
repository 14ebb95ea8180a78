"""Does a group still tell the class? Shares of the groups among positives and negatives, before and after weighting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.treatments.attributes import groups_of
from tailscope.treatments.draws import positives_of, probabilities_of


def balance_audit(
    targets: NDArray[np.floating],
    weights: NDArray[np.float64],
    column: tuple[str, NDArray[Any]],
    classes: Sequence[str],
) -> dict[str, Any]:
    """The share of each group among the positive and the negative images of each class, and among their draws.

    Where the draws of the two sides have the same shares, the group no longer tells the class.

    Args:
        targets: (N, K) in {0, 1, NaN}; NaN is on neither side.
        weights: (N,) draw weights.
        column: The column's name and its (N,) values.
        classes: K names.

    Returns:
        ``column``; ``classes``: per class and group ``positives``, ``positives_drawn``, ``negatives`` and
        ``negatives_drawn``, shares in [0, 1], NaN where a side has no image or is never drawn.

    Raises:
        InputError: Lengths do not fit.

    Example:
        >>> tube = np.array([True, True, True, False, False, False, False, True])
        >>> sick = np.array([[1.0]] * 4 + [[0.0]] * 4)
        >>> weights = np.array([1, 1, 1, 3, 1, 1, 1, 3.0])  # four cells of equal mass
        >>> found = balance_audit(sick, weights, ("tube", tube), ["pneumothorax"])["classes"]["pneumothorax"]["True"]
        >>> found["positives"], found["negatives"], found["positives_drawn"], found["negatives_drawn"]
        (0.75, 0.25, 0.5, 0.5)
    """
    name, values = column
    group, names = groups_of(name, values, len(targets))
    positive, chances = positives_of(targets, classes), probabilities_of(weights, len(targets))
    return {
        "column": name,
        "classes": {
            each: _shares(group, names, (positive[:, c], targets[:, c] == 0), chances) for c, each in enumerate(classes)
        },
    }


def _shares(
    group: NDArray[np.int64],
    names: tuple[str, ...],
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    chances: NDArray[np.float64],
) -> dict[str, dict[str, float]]:
    found: dict[str, NDArray[np.float64]] = {}
    for side, chosen in zip(("positives", "negatives"), sides, strict=True):
        for key, mass in ((side, chosen.astype(np.float64)), (f"{side}_drawn", chosen * chances)):
            counted = np.bincount(group, weights=mass, minlength=len(names))
            with np.errstate(invalid="ignore"):
                found[key] = counted / counted.sum()
    return {name: {key: float(shares[number]) for key, shares in found.items()} for number, name in enumerate(names)}
