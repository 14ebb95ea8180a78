"""Angles of classes in feature space and in the head, and the number of dimensions that are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import qr, svdvals
from scipy.special import entr

from tailscope.core import Estimate, InputError
from tailscope.representation.principal import Floats, row_blocks

CLASS_ANGLE_COLUMNS = ("class", "group", "row_norm", "mean_norm", "self_duality", "reason")
GROUP_ANGLE_COLUMNS = ("group", "classes", "row_cosine", "mean_cosine", "self_duality", "row_norm", "reason")
ALL_CLASSES = "all"


@dataclass(frozen=True, eq=False)
class ClassAngles:
    """How the classes lie to each other.

    Args:
        row_cosines: (K, K) cosines in [-1, 1] between rows of the head; NaN for a row of zeros.
        mean_cosines: (K, K) cosines between mean differences (positives minus negatives).
        classes: One row per class: ``row_norm``, ``mean_norm``: lengths of both; ``self_duality``: cosine between them
            (1: the head looks along the features' own difference); ``reason`` where one is NaN.
        groups: One row for all classes and one per group: ``classes``, how many; ``row_cosine``, ``mean_cosine``:
            means over pairs of classes of the group (towards 1: they cannot be told apart, minority collapse);
            ``self_duality`` and ``row_norm``: means over its classes; NaN entries are left out of each mean, and
            ``reason`` says why one is NaN.
    """

    row_cosines: Floats
    mean_cosines: Floats
    classes: pd.DataFrame
    groups: pd.DataFrame


def mean_differences(
    features: NDArray[np.floating], targets: NDArray[np.floating], weights: NDArray[np.number] | None = None
) -> Floats:
    """Mean of the positives minus mean of the negatives, per class; NaN where one side is absent.

    The mean of the positives minus that of all images points the same way: it is 1 - prevalence times this, if all
    labels are known.

    Args:
        features: (N, D) floating, finite.
        targets: (N, K) in {0, 1, NaN}; NaN takes no part.
        weights: (N,) 0 or more, e.g. one resample's multiplicities.

    Returns:
        (K, D) float64.

    Raises:
        InputError: Shapes do not fit, or a feature is not finite.

    Example:
        >>> import numpy as np
        >>> features, targets = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), np.array([[1.0], [1.0], [0.0]])
        >>> mean_differences(features, targets), mean_differences(features, targets, np.array([0, 2, 1]))
        (array([[ 2., -1.]]), array([[ 3., -1.]]))
    """
    count = len(features)
    drawn = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if features.ndim != 2 or targets.ndim != 2 or len(targets) != count or drawn.shape != (count,):
        raise InputError(
            f"expected `features` (N, D), `targets` (N, K) and `weights` (N,); got {features.shape}, {targets.shape} "
            f"and {drawn.shape}"
        )
    return _differences(_shifted(features), targets, drawn)


def cosines(a: NDArray[np.floating], b: NDArray[np.floating] | None = None) -> Floats:
    """Cosines in [-1, 1] of all pairs of rows; NaN for a row of zeros or with NaN.

    Args:
        a: (A, D).
        b: (B, D); by default ``a`` itself.

    Returns:
        (A, B) float64.

    Example:
        >>> import numpy as np
        >>> cosines(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([[3.0, 4.0]]))
        array([[0.6],
               [nan]])
    """
    units = [rows / _positive(np.linalg.norm(rows, axis=1))[:, None] for rows in (a, a if b is None else b)]
    return np.asarray(np.clip(units[0] @ units[1].T, -1, 1))


def group_cosine(cosine: NDArray[np.floating], members: NDArray[np.bool_]) -> float:
    """Mean cosine over the pairs of classes of a group, in [-1, 1]; NaN without a finite pair.

    >>> import numpy as np
    >>> group_cosine(np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]]), np.array([True, False, True]))
    0.2
    """
    among = cosine[np.ix_(members, members)]
    pairs = among[np.triu_indices(len(among), 1)]
    finite = pairs[np.isfinite(pairs)]
    return float(finite.mean()) if finite.size else float("nan")


def class_angles(
    differences: NDArray[np.floating], head: NDArray[np.floating], classes: Sequence[str], groups: Sequence[str]
) -> ClassAngles:
    """Angles between classes, in the features and in the head.

    Where the tail's rows point the same way (cosine towards 1), the head cannot tell its classes apart. Cosines of
    mean differences carry the noise of few positives: compare treatments on the same images, not tail with head, and
    read them beside :attr:`tailscope.representation.scatter.ClassScatter.reliability`.

    Args:
        differences: (K, D) from :func:`mean_differences`.
        head: (K, D) rows of the trained head, of the same features.
        classes: K names.
        groups: K names of groups, e.g. head, medium, tail.

    Returns:
        Cosines and tables.

    Raises:
        InputError: Shapes do not fit, or a row of the head is not finite.

    Source:
        Fang et al. 2021, Exploring deep neural networks via layer-peeled model (minority collapse); Papyan, Han and
        Donoho 2020, Prevalence of neural collapse (self-duality).

    Example:
        >>> import numpy as np
        >>> head = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]])
        >>> found = class_angles(np.eye(3, 2), head, ["a", "b", "c"], ["head", "tail", "tail"])
        >>> found.groups[["group", "classes", "row_cosine"]].round(3).values.tolist()
        [['all', 3, 0.333], ['head', 1, nan], ['tail', 2, 1.0]]
    """
    count = len(classes)
    if differences.shape != head.shape or head.ndim != 2 or {len(head), len(groups)} != {count}:
        raise InputError(
            f"`differences` and `head` must be ({count}, D), with {count} groups; got {differences.shape}, "
            f"{head.shape} and {len(groups)}"
        )
    if not np.isfinite(head).all():
        raise InputError("`head` must be finite; found NaN or infinity: check the network's numbers")
    rows, means = cosines(head), cosines(differences)
    table = pd.DataFrame(
        {
            "class": list(classes),
            "group": list(groups),
            "row_norm": np.linalg.norm(head, axis=1),
            "mean_norm": np.linalg.norm(differences, axis=1),
            "self_duality": np.diag(cosines(head, differences)),
        },
        columns=list(CLASS_ANGLE_COLUMNS),
    )
    table["reason"] = [_why_not(row, mean) for row, mean in zip(np.diag(rows), np.diag(means), strict=True)]
    names = [ALL_CLASSES, *dict.fromkeys(groups)]
    summaries = [_group_row(name, table, rows, means) for name in names]
    return ClassAngles(rows, means, table, pd.DataFrame(summaries, columns=list(GROUP_ANGLE_COLUMNS)))


def resampled_mean_cosine(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    members: NDArray[np.bool_],
    multiplicity: NDArray[np.integer],
) -> Floats:
    """Mean cosine between mean differences over the pairs of a group, on every resample.

    Args:
        features: (N, D) floating, finite.
        targets: (N, K) in {0, 1, NaN}.
        members: (K,) whether a class is in the group.
        multiplicity: (R, N) how often each image is drawn.

    Returns:
        (R,) float64 in [-1, 1]; NaN where no pair is defined.

    Raises:
        InputError: Shapes do not fit, or a feature is not finite.

    Example:
        >>> import numpy as np
        >>> features, targets = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.eye(3, 2)
        >>> resampled_mean_cosine(features, targets, np.ones(2, bool), np.array([[1, 1, 1], [1, 1, 0]])).round(3)
        array([-0.8, -1. ])
    """
    if multiplicity.ndim != 2 or not len(features) == len(targets) == multiplicity.shape[1]:
        raise InputError(
            f"`multiplicity` must be (R, N), one column per row of `features` and `targets`; got {multiplicity.shape}, "
            f"{features.shape} and {targets.shape}"
        )
    chosen, every = targets[:, members], np.ones(int(members.sum()), dtype=bool)
    shifted = _shifted(features)
    return np.array(
        [group_cosine(cosines(_differences(shifted, chosen, np.asarray(row, float))), every) for row in multiplicity]
    )


def effective_rank(features: NDArray[np.floating]) -> Estimate:
    """Dimensions that the features use evenly, in [1, min(N - 1, D)]; neither direction is better.

    Exp of the entropy of the normalised singular values of the centred features: 1 if they lie on a line, near D if
    they spread alike in all directions and N is much greater than D. It grows with N, so compare on the same images;
    it has no resampled form, since a resample repeats images and so loses rank. Read in blocks of rows.

    Args:
        features: (N, D) floating, finite.

    Returns:
        The value and N; NaN with a reason for fewer than 2 different rows.

    Raises:
        InputError: ``features`` is not a matrix, or a value is not finite.

    Source:
        Roy and Vetterli 2007, The effective rank, definition 1.

    Example:
        >>> import numpy as np
        >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).value, 6)
        2.0
    """
    if features.ndim != 2 or min(features.shape) < 1:
        raise InputError(f"`features` must be (N, D), N and D 1 or more; got {features.shape}")
    singular = svdvals(_triangle(features))
    total = singular.sum()
    if total == 0:
        return Estimate.missing("the features are the same on all images", len(features))
    return Estimate(float(np.exp(entr(singular / total).sum())), len(features))


def _shifted(features: NDArray[np.floating]) -> Floats:
    """The features less those of the first image: constant ones are exactly 0 then, and no digits go to an offset."""
    if not np.isfinite(features).all():
        raise InputError("`features` must be finite; found NaN or infinity: check the network's numbers")
    return np.asarray(features.astype(np.float64) - features[:1].astype(np.float64))


def _differences(shifted: Floats, targets: NDArray[np.floating], weights: Floats) -> Floats:
    sides = [(targets == side) * weights[:, None] for side in (1, 0)]
    coefficients = sides[0] / _positive(sides[0].sum(axis=0)) - sides[1] / _positive(sides[1].sum(axis=0))
    # A class without a side has NaN for every image, and 0 · NaN is NaN: nothing is mistaken for a direction.
    return np.asarray(coefficients.T @ shifted)


def _triangle(features: NDArray[np.floating]) -> Floats:
    """A matrix of at most D rows with the singular values of the centred features."""
    origin, total = features[0].astype(np.float64), np.zeros(features.shape[1])
    for block in row_blocks(features):
        if not np.isfinite(block).all():
            raise InputError("`features` must be finite; found NaN or infinity: check the network's numbers")
        total += (block - origin).sum(axis=0)
    triangle = np.zeros((0, features.shape[1]))
    for block in row_blocks(features):
        stacked = np.concatenate([triangle, (block - origin) - total / len(features)])
        triangle = qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][: features.shape[1]]
    return triangle


def _group_row(name: str, table: pd.DataFrame, rows: Floats, means: Floats) -> dict[str, Any]:
    members = np.ones(len(table), dtype=bool) if name == ALL_CLASSES else np.asarray(table["group"] == name)
    row, mean = group_cosine(rows, members), group_cosine(means, members)
    reason = ""
    if np.isnan(row) or np.isnan(mean):
        reason = "one class" if members.sum() < 2 else "no pair of classes with a direction"
    return {
        "group": name,
        "classes": int(members.sum()),
        "row_cosine": row,
        "mean_cosine": mean,
        "self_duality": float(table["self_duality"][members].mean()),
        "row_norm": float(table["row_norm"][members].mean()),
        "reason": reason,
    }


def _why_not(row: float, mean: float) -> str:
    missing = []
    if np.isnan(row):
        missing.append("the head's row is 0")
    if np.isnan(mean):
        missing.append("no difference between positives and negatives, or one of them is absent")
    return "; ".join(missing)


def _positive(values: NDArray[np.floating]) -> Floats:
    """The values, NaN where they are not above 0."""
    return np.where(values > 0, values, np.nan)
