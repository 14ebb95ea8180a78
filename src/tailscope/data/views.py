"""From label states to targets: which classes, what uncertain means, what silence means; applied late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import STATES, Dataset
from tailscope.core.registry import nearest
from tailscope.data.settings import UNCERTAIN, DataSettings
from tailscope.data.states import state_matrix

ANY_FINDING = "any finding"
_POSITIVE, _NEGATIVE, _UNCERTAIN, _UNMENTIONED = range(4)
_OF_UNCERTAIN = {"zeros": 0.0, "ones": 1.0, "ignore": float("nan")}


@dataclass(frozen=True)
class LabelView:
    """Labels as an experiment uses them.

    Args:
        classes: K names.
        targets: (N, K) float32 in {0, 1, NaN}, rows as in the table of images.
        annotations: Shapes of these classes.
        notes: What was decided.
    """

    classes: tuple[str, ...]
    targets: NDArray[np.float32]
    annotations: pd.DataFrame
    notes: tuple[str, ...]


def view_labels(dataset: Dataset, settings: DataSettings) -> LabelView:
    """Apply the label policies of the settings.

    Raises:
        DataError: A chosen class, or one with a policy of its own, does not exist; the nearest is proposed.
    """
    classes = choose_classes(dataset, settings)
    _require_named(settings, classes)
    states = state_matrix(dataset, classes)
    targets = targets_of(states, classes, settings)
    annotations = dataset.annotations[dataset.annotations["class"].isin(classes)].reset_index(drop=True)
    notes = _notes(states, classes, settings)
    if settings.labels == "binary":
        targets = _any_positive(targets)
        annotations = annotations.assign(**{"class": ANY_FINDING})
        notes.append(f"one class {ANY_FINDING!r}: positive where any of {len(classes)} classes is")
        classes = (ANY_FINDING,)
    return LabelView(classes, targets, annotations, tuple(notes))


def _require_named(settings: DataSettings, classes: tuple[str, ...]) -> None:
    named = settings.uncertain if isinstance(settings.uncertain, Mapping) else {}
    if strange := [name for name in named if name not in classes]:
        raise DataError(f"`uncertain` names {strange[0]!r}, which is no class used here{nearest(strange[0], classes)}")


def choose_classes(dataset: Dataset, settings: DataSettings) -> tuple[str, ...]:
    """The chosen classes, or all of the data set.

    Raises:
        DataError: A class is unknown or chosen twice, or none is chosen.
    """
    chosen = dataset.classes if settings.classes is None else tuple(settings.classes)
    problems = [
        f"`classes`: data set {dataset.name!r} has no class {name!r}{nearest(name, dataset.classes)}"
        for name in chosen
        if name not in dataset.classes
    ]
    if len(set(chosen)) < len(chosen):
        problems.append(f"`classes` names a class twice: {', '.join(chosen)}")
    if not chosen:
        problems.append("`classes` is empty; choose at least one class")
    if problems:
        raise DataError(problems)
    return chosen


def targets_of(states: NDArray[np.int8], classes: tuple[str, ...], settings: DataSettings) -> NDArray[np.float32]:
    """Targets (N, K) in {0, 1, NaN} of states.

    >>> import numpy as np
    >>> states = np.array([[0, 2], [1, 2], [3, 3]], dtype=np.int8)
    >>> targets_of(states, ("mass", "edema"), DataSettings(uncertain={"edema": "ones"})).tolist()
    [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    """
    value = np.empty((len(STATES), len(classes)), dtype=np.float32)
    value[_POSITIVE], value[_NEGATIVE] = 1, 0
    value[_UNCERTAIN] = [_OF_UNCERTAIN[settings.uncertain_of(name)] for name in classes]
    value[_UNMENTIONED] = {"negative": 0.0, "ignore": np.nan}[settings.unmentioned]
    return np.take_along_axis(value, states.astype(np.intp), axis=0)


def _notes(states: NDArray[np.int8], classes: tuple[str, ...], settings: DataSettings) -> list[str]:
    """How many labels a policy decided, policy by policy."""
    uncertain = (states == _UNCERTAIN).sum(axis=0)
    policies = {policy: [name for name in classes if settings.uncertain_of(name) == policy] for policy in UNCERTAIN}
    notes = []
    for policy, names in policies.items():
        decided = int(sum(uncertain[classes.index(name)] for name in names))
        of = f" ({', '.join(names)})" if len(names) < len(classes) else ""
        notes += [f"{decided} uncertain labels became {policy}{of}"] if decided else []
    silent = int((states == _UNMENTIONED).sum())
    return notes + ([f"{silent} unmentioned labels became {settings.unmentioned}"] if silent else [])


def _any_positive(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 where any class is positive, else NaN where any is unknown, else 0."""
    positive = (targets == 1).any(axis=1)
    unknown = np.isnan(targets).any(axis=1)
    return np.where(positive, 1.0, np.where(unknown, np.nan, 0.0)).astype(np.float32)[:, None]
