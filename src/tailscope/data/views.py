"""From label states to targets: which classes, whose labels, what uncertain and silence mean; applied late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import STATES, Dataset
from tailscope.core.registry import nearest
from tailscope.data.label_readers import EACH, is_unread, reader_notes, require_label_reader, shares, voted
from tailscope.data.policies import UNCERTAIN, is_soft, training_value
from tailscope.data.settings import DataSettings
from tailscope.data.states import Readings, readings_of

ANY_FINDING = "any finding"
_POSITIVE, _NEGATIVE, _UNCERTAIN, _UNMENTIONED = range(4)


@dataclass(frozen=True)
class LabelView:
    """Labels as an experiment uses them.

    Args:
        classes: K names.
        targets: (N, K) float32 in {0, 1, NaN}, rows as in the table of images.
        training: (N, K) float32 in [0, 1] or NaN: what a training image would be trained with; ``targets`` where no
            label is soft.
        annotations: Shapes of these classes.
        notes: What was decided.
    """

    classes: tuple[str, ...]
    targets: NDArray[np.float32]
    training: NDArray[np.float32]
    annotations: pd.DataFrame
    notes: tuple[str, ...]

    def dealt(self, split: NDArray[np.str_]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """What the splits take of both.

        Args:
            split: (N,) names.

        Returns:
            Targets (N, K) in {0, 1, NaN}, NaN where training has a probability; and these probabilities, (N, K) in
            (0, 1), NaN everywhere else, or None where there is none.
        """
        if self.training is self.targets:
            return self.targets, None
        trained = (split == "train")[:, None]
        is_probability = trained & (self.training > 0) & (self.training < 1)
        if not is_probability.any():
            return np.where(trained, self.training, self.targets), None
        hard = np.where(trained, self.training, self.targets)
        unknown = np.float32(np.nan)
        return np.where(is_probability, unknown, hard), np.where(is_probability, self.training, unknown)


def view_labels(dataset: Dataset, settings: DataSettings) -> LabelView:
    """Apply the label policies of the settings.

    Raises:
        DataError: A chosen class, or one with a policy of its own, does not exist; the nearest is proposed.
        UnknownNameError: Nobody of the name in ``settings.label_readers`` labelled.
    """
    classes = choose_classes(dataset, settings)
    _require_named(settings, classes)
    readings = readings_of(dataset, classes)
    require_label_reader(settings.label_readers, readings)
    states = voted(readings, settings.label_readers)
    targets = targets_of(states, classes, settings)
    targets[is_unread(readings, settings.label_readers)] = np.nan
    training = _training_targets(readings, states, targets, classes, settings)
    annotations = dataset.annotations[dataset.annotations["class"].isin(classes)].reset_index(drop=True)
    notes = [*reader_notes(readings, settings.label_readers), *_notes(states, classes, settings)]
    if settings.labels == "binary":
        targets = training = _any_positive(targets)
        annotations = annotations.assign(**{"class": ANY_FINDING})
        notes.append(f"one class {ANY_FINDING!r}: positive where any of {len(classes)} classes is")
        classes = (ANY_FINDING,)
    return LabelView(classes, targets, training, annotations, tuple(notes))


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
    hard = ["ignore" if is_soft(policy) else policy for policy in map(settings.uncertain_of, classes)]
    return _values(states, hard, settings)


def _training_targets(
    readings: Readings,
    states: NDArray[np.int8],
    targets: NDArray[np.float32],
    classes: tuple[str, ...],
    settings: DataSettings,
) -> NDArray[np.float32]:
    """Targets with probabilities; ``targets`` itself where the settings ask for none."""
    policies = [settings.uncertain_of(name) for name in classes]
    if settings.label_readers == EACH and readings.has_several:
        return shares(np.stack([_values(one, policies, settings) for one in readings.states]), readings)
    if not any(map(is_soft, policies)):
        return targets
    return np.where(np.isnan(targets) & (states == _UNCERTAIN), _values(states, policies, settings), targets)


def _values(states: NDArray[np.int8], policies: list[str], settings: DataSettings) -> NDArray[np.float32]:
    """(N, K) values of states, with a policy for the uncertain labels of each class."""
    value = np.empty((len(STATES), len(policies)), dtype=np.float32)
    value[_POSITIVE], value[_NEGATIVE] = 1, 0
    value[_UNCERTAIN] = [training_value(policy) for policy in policies]
    value[_UNMENTIONED] = {"negative": 0.0, "ignore": np.nan}[settings.unmentioned]
    return np.take_along_axis(value, states.astype(np.intp), axis=0)


def _notes(states: NDArray[np.int8], classes: tuple[str, ...], settings: DataSettings) -> list[str]:
    """How many labels a policy decided, policy by policy."""
    uncertain = (states == _UNCERTAIN).sum(axis=0)
    asked = {name: settings.uncertain_of(name) for name in classes}
    notes = []
    for policy in dict.fromkeys((*UNCERTAIN[:3], *asked.values())):
        names = [name for name in classes if asked[name] == policy]
        decided = int(sum(uncertain[classes.index(name)] for name in names))
        of = f" ({', '.join(names)})" if len(names) < len(classes) else ""
        soft = "; outside training they are unknown" if is_soft(policy) else ""
        notes += [f"{decided} uncertain labels became {policy}{of}{soft}"] if decided else []
    silent = int((states == _UNMENTIONED).sum())
    return notes + ([f"{silent} unmentioned labels became {settings.unmentioned}"] if silent else [])


def _any_positive(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 where any class is positive, else NaN where any is unknown, else 0."""
    positive = (targets == 1).any(axis=1)
    unknown = np.isnan(targets).any(axis=1)
    return np.where(positive, 1.0, np.where(unknown, np.nan, 0.0)).astype(np.float32)[:, None]
