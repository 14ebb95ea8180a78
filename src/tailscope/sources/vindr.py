"""VinDr-CXR, as on PhysioNet and as in Kaggle's competition of 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.dicom_facts import fact_columns
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import ANY_SIZE, annotation_table, image_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, Missing, find_listed, require_missing
from tailscope.sources.reader_votes import Votes, read_labels, readers_note
from tailscope.sources.vindr_tables import (
    BOX_COLUMNS,
    KAGGLE_CLASSES,
    PHYSIONET_CLASSES,
    Boxes,
    read_boxes,
    read_image_labels,
    read_sizes,
    unlabelled_boxes,
)

_SPLITS = ("train", "test")
_PLACES = ("annotations", "", *_SPLITS)
_KAGGLE = "train.csv"
_SIZES = "train_meta.csv"


@dataclass
class _Reading:
    """What the tables of a folder say."""

    variant: str
    votes: Votes = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    boxes: list[tuple[str, str, list[float], str]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    split_of: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add_boxes(self, boxes: Boxes) -> None:
        self.boxes += boxes.rows
        self.where += boxes.where
        self.problems += boxes.problems


@DATASETS.register("vindr_cxr")
@dataclass(frozen=True)
class VinDrCxr:
    """18,000 chest radiographs, each of 15,000 read by three of 17 radiologists who drew boxes, 3,000 by consensus.

    Expects PhysioNet's ``annotations/image_labels_*.csv`` and ``annotations_*.csv``, with 27 findings, or Kaggle's
    ``train.csv``, with 14; and the images, DICOM or converted, in ``train`` and ``test``, else anywhere below.
    PhysioNet's two parts are the published split. Readers differ much, so every box and every label keeps its reader;
    whose labels count is decided by the view (``data.label_readers``: any reader's, unless told otherwise). Boxes refer
    to the stored raster; for a reduced copy, to the sizes in ``train_meta.csv``
    (``image_id, dim0, dim1``: height and width). No patient is published.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.
        headers: Read age, sex and view, and nothing else, from the header of every DICOM file.

    Source: Nguyen et al. (2022), "VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations",
    Scientific Data.
    """

    missing: Missing = "error"
    headers: bool = False
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "PhysioNet credentialed health data use agreement; the other copy under the rules of the Kaggle competition",
        "PhysioNet account with training and signed agreement, or Kaggle account",
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """PhysioNet's tables, or Kaggle's by its header."""
        names = [f"{kind}_{split}.csv" for kind in ("image_labels", "annotations") for split in _SPLITS]
        found = [path.name for name in names if (path := _find(root, name)) and "image_id" in columns_of(path)]
        if found:
            return f"PhysioNet, {', '.join(found)}"
        return "Kaggle, train.csv" if {*BOX_COLUMNS, "rad_id"} <= set(columns_of(root / _KAGGLE)) else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, rows or boxes are missing or wrong; all at once.
        """
        root = require_root(root, "vindr_cxr")
        reading = _read_physionet(root) or _read_kaggle(root)
        listed = find_listed(root, sorted(reading.votes), _SPLITS, self.missing)
        alone = self.missing == TABLES_ALONE
        annotations, problems, size_notes = _annotations(root, reading, listed.paths, alone=alone)
        raise_problems([*reading.problems, *listed.problems, *problems])
        images = self._image_table(root, listed.paths, reading.split_of)
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=alone)
        return Dataset(
            name="vindr_cxr",
            classes=reading.classes,
            images=images,
            labels=read_labels(reading.votes, list(images["image_id"]), reading.classes),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{reading.variant}: {len(reading.votes)} images, {len(reading.boxes)} boxes",
                readers_note(reading.votes),
                "no patient is published: every image is its own cluster",
                *reading.notes,
                *size_notes,
                *listed.notes(),
            ),
        )

    def _image_table(self, root: Path, paths: Mapping[str, str], split_of: Mapping[str, str]) -> pd.DataFrame:
        facts = fact_columns(root, list(paths.values())) if self.headers and self.missing != TABLES_ALONE else {}
        columns: dict[str, list[Any]] = {
            "image_id": list(paths),
            "path": list(paths.values()),
            "split": [split_of.get(name) for name in paths],
        }
        return image_table({**columns, **facts})


def _find(root: Path, name: str) -> Path | None:
    return next((path for place in _PLACES if (path := root / place / name).is_file()), None)


def _read_physionet(root: Path) -> _Reading | None:
    reading = _Reading("PhysioNet's tables")
    seen: set[str] = set()
    for split in _SPLITS:
        labels, annotations = _find(root, f"image_labels_{split}.csv"), _find(root, f"annotations_{split}.csv")
        boxes = read_boxes(read_text_table(annotations)) if annotations else Boxes()
        votes, problems = boxes.votes, list[str]()
        if labels:
            votes, classes, problems = read_image_labels(read_text_table(labels))
            seen |= set(classes)
        elif annotations:
            seen |= set(PHYSIONET_CLASSES)
            reading.notes.append(f"no image_labels_{split}.csv: labels follow from the boxes")
        if labels and (stray := unlabelled_boxes(boxes, votes)):
            reading.notes.append(f"{stray} boxes of the {split} part show a finding that their reader did not tick")
        reading.add_boxes(boxes)
        reading.problems += problems
        reading.problems += [
            f"image {image!r} stands in both parts; keep one" for image in votes if image in reading.votes
        ]
        reading.votes |= votes
        reading.split_of |= dict.fromkeys(votes, split)
    reading.classes = tuple(name for name in PHYSIONET_CLASSES if name in seen)
    return reading if reading.votes or reading.problems else None


def _read_kaggle(root: Path) -> _Reading:
    path = root / _KAGGLE
    if not path.is_file():
        raise DataError(
            f"{root} holds neither annotations/image_labels_train.csv nor {_KAGGLE}; expected PhysioNet's tables "
            "or Kaggle's there"
        )
    boxes = read_boxes(read_text_table(path))
    reading = _Reading("Kaggle's train.csv", votes=boxes.votes, classes=KAGGLE_CLASSES)
    reading.add_boxes(boxes)
    strangers = sorted(
        {name for by in boxes.votes.values() for found in by.values() for name in found - {*KAGGLE_CLASSES}}
    )
    reading.problems += [f"{_KAGGLE}: class {name!r} is none of Kaggle's 14; correct the name" for name in strangers]
    return reading


def _annotations(
    root: Path, reading: _Reading, paths: Mapping[str, str], *, alone: bool
) -> tuple[pd.DataFrame, list[str], tuple[str, ...]]:
    """The boxes of the images that are there, in the frame of each image."""
    kept = [(box, at) for box, at in zip(reading.boxes, reading.where, strict=True) if box[0] in paths]
    sizes_file = root / _SIZES
    stated = read_sizes(read_text_table(sizes_file)) if sizes_file.is_file() else {}
    drawn_on = sorted({box[0] for box, _ in kept})
    known = {**dict.fromkeys(drawn_on, ANY_SIZE), **stated} if alone else stated
    sizes, problems = _sizes(root, drawn_on, paths, known)
    kept = [(box, at) for box, at in kept if box[0] in sizes]
    table = annotation_table(
        ((image, name, "box", edges, sizes[image]) for (image, name, edges, _), _ in kept), "reader"
    )
    table = table.assign(reader=pd.Series([box[3] for box, _ in kept], dtype=object))
    problems += annotation_problems(table, reading.votes, reading.classes, [at for _, at in kept])
    note = f"boxes refer to the sizes of {len(stated)} images in {_SIZES}"
    return table, problems, (note,) if stated else ()


def _sizes(
    root: Path, images: Sequence[str], paths: Mapping[str, str], stated: Mapping[str, Size]
) -> tuple[dict[str, Size], list[str]]:
    sizes: dict[str, Size] = {}
    problems = []
    for image in images:
        try:
            sizes[image] = stated[image] if image in stated else raster_size(root / paths[image])
        except DataError as error:
            problems.append(str(error))
    return sizes, problems
