"""From label states to targets: which classes, what uncertain means, what silence means; applied late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import STATES, Dataset
from tailscope.core.registry import nearest
from tailscope.data.settings import DataSettings

ANY_FINDING = "any finding"
_POSITIVE, _NEGATIVE, _UNCERTAIN, _UNMENTIONED = range(4)


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
        DataError: A chosen class does not exist; the nearest is proposed.
    """
    classes = choose_classes(dataset, settings)
    states = state_matrix(dataset, classes)
    targets = targets_of(states, settings)
    annotations = dataset.annotations[dataset.annotations["class"].isin(classes)].reset_index(drop=True)
    notes = [
        f"{int((states == code).sum())} {STATES[code]} labels became {policy}"
        for code, policy in ((_UNCERTAIN, settings.uncertain), (_UNMENTIONED, settings.unmentioned))
        if (states == code).any()
    ]
    if settings.labels == "binary":
        targets = _any_positive(targets)
        annotations = annotations.assign(**{"class": ANY_FINDING})
        notes.append(f"one class {ANY_FINDING!r}: positive where any of {len(classes)} classes is")
        classes = (ANY_FINDING,)
    return LabelView(classes, targets, annotations, tuple(notes))


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


def state_matrix(dataset: Dataset, classes: tuple[str, ...]) -> NDArray[np.int8]:
    """(N, K) index into :data:`~tailscope.core.STATES` per image and class; a label without row is unmentioned."""
    labels = dataset.labels
    rows = pd.Index(dataset.images["image_id"]).get_indexer(pd.Index(labels["image_id"]))
    columns = pd.Index(list(classes)).get_indexer(pd.Index(labels["class"]))
    codes = pd.Index(list(STATES)).get_indexer(pd.Index(labels["state"]))
    states = np.full((len(dataset.images), len(classes)), _UNMENTIONED, dtype=np.int8)
    used = (rows >= 0) & (columns >= 0)
    states[rows[used], columns[used]] = codes[used]
    return states


def targets_of(states: NDArray[np.int8], settings: DataSettings) -> NDArray[np.float32]:
    """Targets (N, K) in {0, 1, NaN} of states.

    >>> import numpy as np
    >>> targets_of(np.array([[0, 1, 2, 3]], dtype=np.int8), DataSettings(uncertain="ones")).tolist()
    [[1.0, 0.0, 1.0, 0.0]]
    """
    value = np.empty(len(STATES), dtype=np.float32)
    value[_POSITIVE], value[_NEGATIVE] = 1, 0
    value[_UNCERTAIN] = {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}[settings.uncertain]
    value[_UNMENTIONED] = {"negative": 0.0, "ignore": np.nan}[settings.unmentioned]
    return value[states]


def _any_positive(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 where any class is positive, else NaN where any is unknown, else 0."""
    positive = (targets == 1).any(axis=1)
    unknown = np.isnan(targets).any(axis=1)
    return np.where(positive, 1.0, np.where(unknown, np.nan, 0.0)).astype(np.float32)[:, None]
