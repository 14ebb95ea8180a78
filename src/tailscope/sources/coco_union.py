"""What several COCO instance files say together; one image may stand in several of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.places import unpacked_names
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.coco_documents import CocoDocument, CocoImage
from tailscope.sources.coco_shapes import CocoShapes, coco_shape
from tailscope.sources.placed_images import PlacedImages, ReferenceSizes

READER = "annotator"
_NEGATIVE_LIST = "neg_category_ids"  # of LVIS, whose images are each searched for some categories only


@dataclass
class CocoUnion:
    """Takes in one instance file after another, then gives the tables of all.

    Args:
        places: The images on disk.
        shapes: As in :func:`~tailscope.sources.coco_shapes.coco_shape`.
        exhaustive: Whether an image without annotation of a class is negative, else unmentioned.
        patient_key: Key of an image's entry that names the patient.
    """

    places: PlacedImages
    shapes: CocoShapes
    exhaustive: bool
    patient_key: str | None
    classes: list[str] = field(default_factory=list, init=False)
    _splits: dict[str, str | None] = field(default_factory=dict, init=False)  # by path, as all below
    _patients: dict[str, str | None] = field(default_factory=dict, init=False)
    _sizes: dict[str, Size] = field(default_factory=dict, init=False)
    _states: dict[tuple[str, str], str] = field(default_factory=dict, init=False)
    _drawn: dict[tuple[str, str, str, str], Shape] = field(default_factory=dict, init=False)
    _where: list[str] = field(default_factory=list, init=False)
    _problems: list[str] = field(default_factory=list, init=False)
    _counts: Counter[str] = field(default_factory=Counter, init=False)
    _files: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._references = ReferenceSizes(self.places.root)

    def add(self, document: CocoDocument) -> None:
        """Take in one file."""
        self._problems += document.problems
        self.classes += [name for name in document.categories.values() if name not in self.classes]
        path_of = self._place(document)
        reference: dict[Any, Size] = {}
        for key, path in path_of.items():
            image = document.images[key]
            self._describe(document, image, path)
            try:
                reference[key], self._sizes[path] = self._references(path, image.size)
            except DataError as error:
                self._problems.append(f"{document.name}: {error}")
        self._draw(document, path_of, reference)
        split = document.split or "no split stated"
        images, annotations = len(document.images), len(document.annotations)
        self._files.append(f"{document.name}: {images} images, {annotations} annotations, {split}")

    def _place(self, document: CocoDocument) -> dict[Any, str]:
        """Image id to path, of the images that are on disk."""
        path_of: dict[Any, str] = {}
        absent: list[str] = []
        taken: dict[str, Any] = {}
        for key, image in document.images.items():
            try:
                path = self.places.find(image.name, beside=document.folder, split=document.split)
            except DataError as error:
                self._problems.append(f"{document.name}: {error}")
                continue
            if path is None:
                absent.append(image.name)
                continue
            if path in taken:
                self._problems.append(
                    f"{document.name}: image ids {taken[path]!r} and {key!r} name one file, {path}; expected one id"
                )
            taken.setdefault(path, key)
            path_of[key] = path
        if absent:
            self._problems.append(
                f"{document.name}: {len(absent)} of {len(document.images)} images are missing below "
                f"{self.places.root}: {some(absent)}; restore them, or set `images` or `annotations`"
            )
        return path_of

    def _describe(self, document: CocoDocument, image: CocoImage, path: str) -> None:
        """Split, patient and the states of the categories that nobody drew."""
        split, known = document.split, self._splits.get(path)
        if None not in (split, known) and split != known:
            self._problems.append(f"{document.name}: image {path} is {split} here and {known} in another; expected one")
        self._splits[path] = known or split
        if self.patient_key is not None:
            patient = image.values.get(self.patient_key)
            self._patients[path] = self._patients.get(path) or (None if patient in (None, "") else str(patient))
        negatives = image.values.get(_NEGATIVE_LIST)
        for key, name in document.categories.items():
            if self.exhaustive and (negatives is None or key in negatives):
                self._states.setdefault((path, name), "negative")

    def _draw(self, document: CocoDocument, path_of: dict[Any, str], reference: dict[Any, Size]) -> None:
        for place, annotation in document.annotations:
            key, name = annotation["image_id"], document.categories[annotation["category_id"]]
            if key not in reference:
                continue  # an image that is missing or unreadable, a problem of its own
            self._states[path_of[key], name] = "positive"
            self._counts["crowds"] += bool(annotation.get("iscrowd"))
            try:
                drawn = coco_shape(annotation, self.shapes)
            except DataError as error:
                self._problems.append(f"{place}: {error}")
                continue
            if drawn is None:
                self._counts["without shape"] += 1
                continue
            kind, geometry = drawn
            identity = (path_of[key], name, kind, json.dumps(geometry))
            if identity in self._drawn:
                self._counts["repeated"] += 1
                continue
            self._counts[kind] += 1
            self._drawn[identity] = (path_of[key], name, kind, geometry, reference[key])
            self._where.append(place)

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Images, labels and annotations of all files, sorted.

        Raises:
            DataError: Anything was wrong with any of the files.
        """
        id_of = unpacked_names(self._splits)
        paths = sorted(id_of, key=id_of.__getitem__)
        ids = [id_of[path] for path in paths]
        annotations = annotation_table(self._drawn.values(), READER)
        if not paths and not self._problems:
            self._problems.append(f"{self.places.root}: no file lists an image; expected at least one")
        raise_problems([*self._problems, *annotation_problems(annotations, set(paths), self.classes, self._where)])
        order = sorted(range(len(annotations)), key=list(self._drawn).__getitem__)
        images = image_table(
            {
                "image_id": ids,
                "path": paths,
                "split": [self._splits[path] for path in paths],
                "patient_id": [self._patients.get(path) for path in paths],
                "height": [self._sizes[path][0] for path in paths],
                "width": [self._sizes[path][1] for path in paths],
            }
        )
        rows = [[self._states.get((path, name), "unmentioned") for name in self.classes] for path in paths]
        states = np.array(rows, dtype=object).reshape(len(paths), len(self.classes))
        labels = label_table(ids, self.classes, states, READER)
        annotations = annotations.iloc[order].reset_index(drop=True)
        return images, labels, annotations.assign(image_id=annotations["image_id"].map(id_of))

    def notes(self) -> tuple[str, ...]:
        """What was read and how, one sentence each."""
        return (*self._files, *self._summary())

    def _summary(self) -> Iterator[str]:
        counts = self._counts
        yield f"{counts['polygon']} polygons, {counts['rle']} masks and {counts['box']} boxes"
        optional = {
            "crowds": "annotations are of crowds and count as their class",
            "without shape": "annotations draw nothing and only say that their class is present",
            "repeated": "annotations stand there more than once and were read once",
        }
        yield from (f"{counts[name]} {words}" for name, words in optional.items() if counts[name])
        absent = "negative, as in COCO" if self.exhaustive else "unmentioned (`exhaustive` is false)"
        yield f"a class without annotation on an image is {absent}"
        drawn = {name for (_, name), state in self._states.items() if state == "positive"}
        if idle := [name for name in self.classes if name not in drawn]:
            yield f"categories without any annotation: {', '.join(idle)}"
        if stray := len(self.places) - len(self._splits):
            yield f"{stray} images on disk stand in no file and were left out"
        yield from self._references.notes()
        if not any(self._patients.values()):
            yield "no patient is known: every image is its own cluster"
