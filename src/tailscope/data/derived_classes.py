"""Classes made from classes: another name, several as one, and a parent that follows its children."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import STATES, Dataset
from tailscope.core.registry import nearest
from tailscope.data.settings import ClassMap, DataSettings
from tailscope.data.states import Readings, readings_of
from tailscope.data.tables import label_table

# What several labels say together: one positive decides; else one doubt does; else one silence; all must be negative.
_PRECEDENCE = np.array([STATES.index(state) for state in ("positive", "uncertain", "unmentioned", "negative")])


def derived_dataset(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The data set with the hierarchy closed and then the classes mapped, as far as the settings ask for it.

    Raises:
        DataError: As :func:`closed_classes` and :func:`mapped_classes`.
    """
    if settings.hierarchy is not None:
        dataset = closed_classes(dataset, settings.hierarchy)
    if settings.class_map is not None:
        dataset = mapped_classes(dataset, settings.class_map)
    return dataset


def mapped_classes(dataset: Dataset, class_map: ClassMap) -> Dataset:
    """The data set with classes of its own making, and those only.

    A class of several is positive where any of them is; else uncertain, else unmentioned, where any of them is; and
    negative where all are. Its shapes are theirs.

    Args:
        dataset: From a source.
        class_map: New name to the classes it is made of, in the order of the new classes; one class is renamed.

    Raises:
        DataError: A class is unknown, used twice, or a new one is made of none; lists every problem.
    """
    problems = _unknown(dataset, class_map, "class_map")
    used = [name for members in class_map.values() for name in members]
    twice = sorted({name for name in used if used.count(name) > 1})
    if twice:
        problems.append(
            f"`class_map` uses {', '.join(map(repr, twice))} more than once; each class makes one new class"
        )
    if problems:
        raise DataError(problems)
    read = {name: readings_of(dataset, tuple(members)) for name, members in class_map.items()}
    states = np.stack([_together(readings.states) for readings in read.values()], axis=-1)
    readings = Readings(states, next(iter(read.values())).readers)
    new_name = {member: name for name, members in class_map.items() for member in members}
    shapes = dataset.annotations[dataset.annotations["class"].isin(list(new_name))]
    return replace(
        dataset,
        classes=tuple(class_map),
        labels=_labels(dataset, tuple(class_map), readings),
        annotations=shapes.assign(**{"class": shapes["class"].map(new_name)}).reset_index(drop=True),
        notes=(*dataset.notes, *(_mapping_note(name, members) for name, members in class_map.items())),
    )


def closed_classes(dataset: Dataset, hierarchy: ClassMap) -> Dataset:
    """The data set with every parent positive where a child of it is, through all generations.

    Args:
        dataset: From a source.
        hierarchy: Parent to its children; a child may be a parent.

    Raises:
        DataError: A class is unknown, has no child, or is its own ancestor; lists every problem.
    """
    problems = _unknown(dataset, hierarchy, "hierarchy")
    problems += [
        f"`hierarchy`: class {name!r} is its own ancestor; remove one of its links" for name in _rings(hierarchy)
    ]
    if problems:
        raise DataError(problems)
    readings = readings_of(dataset, dataset.classes)
    states = readings.states
    place = {name: at for at, name in enumerate(dataset.classes)}
    notes = []
    for parent in hierarchy:
        children = sorted(place[name] for name in _descendants(parent, hierarchy))
        raised = (states[..., children] == STATES.index("positive")).any(axis=-1) & (states[..., place[parent]] != 0)
        states[raised, place[parent]] = STATES.index("positive")
        images = int(raised.any(axis=0).sum())
        notes.append(f"{parent!r} became positive on {images} images where a class below it is")
    return replace(dataset, labels=_labels(dataset, dataset.classes, readings), notes=(*dataset.notes, *notes))


def _together(states: NDArray[np.int8]) -> NDArray[np.int8]:
    """(…) what (…, M) states say together."""
    rank = np.argsort(_PRECEDENCE)
    return np.asarray(_PRECEDENCE[rank[states].min(axis=-1)], dtype=np.int8)


def _labels(dataset: Dataset, classes: tuple[str, ...], readings: Readings) -> pd.DataFrame:
    """The table of labels; every reader keeps a reading of the new classes."""
    image_ids = dataset.images["image_id"].to_numpy(dtype=object)
    parts = []
    for states, readers, is_read in zip(readings.states, readings.readers, readings.is_read, strict=True):
        part = label_table(image_ids[is_read].tolist(), classes, np.asarray(STATES)[states[is_read]], "")
        parts.append(part.assign(reader=np.repeat(readers[is_read], len(classes))))
    return pd.concat(parts, ignore_index=True)


def _unknown(dataset: Dataset, made: ClassMap, setting: str) -> list[str]:
    problems = [] if made else [f"`{setting}` is empty; name at least one class"]
    for name, members in made.items():
        if not members:
            problems.append(f"`{setting}`: {name!r} is made of no class; name at least one")
        named = (name, *members) if setting == "hierarchy" else members
        problems += [
            f"`{setting}`: data set {dataset.name!r} has no class {one!r}{nearest(one, dataset.classes)}"
            for one in named
            if one not in dataset.classes
        ]
    return problems


def _descendants(parent: str, hierarchy: ClassMap) -> set[str]:
    found: set[str] = set()
    waiting = list(hierarchy.get(parent, ()))
    while waiting:
        child = waiting.pop()
        if child not in found:
            found.add(child)
            waiting += hierarchy.get(child, ())
    return found


def _rings(hierarchy: ClassMap) -> list[str]:
    return sorted(name for name in hierarchy if name in _descendants(name, hierarchy))


def _mapping_note(name: str, members: Sequence[str]) -> str:
    if list(members) == [name]:
        return f"class {name!r} kept"
    return f"class {name!r} is {' or '.join(map(repr, members))}"
