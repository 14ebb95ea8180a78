"""MIMIC-CXR-JPG, with its own labels or long-tailed ones, and the boxes of MS-CXR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.chexpert_tables import CLASSES
from tailscope.sources.cxr_lt import find_long_tailed, read_long_tailed
from tailscope.sources.listed_images import TABLES_ALONE, Missing, find_listed, require_missing
from tailscope.sources.mimic_tables import (
    UNMENTIONED,
    Radiograph,
    find_tables,
    read_metadata,
    read_splits,
    read_studies,
)
from tailscope.sources.ms_cxr import find_phrase_boxes, read_phrase_boxes

Labels = Literal["chexpert", "negbio", "cxr_lt", "mimic_cxr_lt"]
_PREFIX = "mimic-cxr-2.*-"
_MINED = ("chexpert", "negbio")
_REPORT, _RADIOLOGIST = "report", "radiologist"


@dataclass
class _Reading:
    """What the tables of a folder say."""

    images: list[Radiograph]
    classes: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    read_by_hand: frozenset[str] = frozenset()  # studies that a radiologist labelled


@DATASETS.register("mimic_cxr_jpg")
@dataclass(frozen=True)
class MimicCxrJpg:
    """377,110 chest radiographs of 227,827 studies, 14 observations mined from reports, or long-tailed labels.

    Expects ``mimic-cxr-2.0.0-metadata.csv``, ``-split.csv`` and ``-chexpert.csv`` or ``-negbio.csv``, plain or gzipped,
    or the tables of CXR-LT or MIMIC-CXR-LT, and the images in ``files`` (or ``files-512``, …), found by name. Labels
    belong to a study and stand on each of its images; blank, 0, -1 and 1 stay apart, and a study without a row is
    unmentioned throughout. The boxes of ``MS_CXR_Local_Alignment_v*.csv`` are read where the file is: they show what a
    phrase means, and no box says nothing. Age and sex are not part of this set.

    Args:
        labels: ``chexpert`` or ``negbio``, the two miners; ``cxr_lt`` (task 1); ``mimic_cxr_lt``, one label per image.
        test_set: Labels of the 687 test studies that radiologists labelled as well: ``report`` or ``radiologist``.
        views: ``frontal``, which is AP and PA, or ``all``.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.

    Source: Johnson et al. (2019), "MIMIC-CXR-JPG, a large publicly available database of labeled chest radiographs",
    arXiv:1901.07042; Holste et al. (2024), "CXR-LT", PhysioNet; Boecking et al. (2022), "Making the most of text
    semantics to improve biomedical vision-language processing", ECCV, for MS-CXR.
    """

    labels: Labels = "chexpert"
    test_set: Literal["report", "radiologist"] = "report"
    views: Literal["frontal", "all"] = "frontal"
    missing: Missing = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "PhysioNet credentialed health data licence: no sharing, of what is derived per row neither",
        "PhysioNet account with training and signed data use agreement",
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)
        if self.labels not in get_args(Labels):
            raise InputError(f"`labels` must be {', '.join(get_args(Labels))}; got {self.labels!r}")
        if self.test_set not in (_REPORT, _RADIOLOGIST):
            raise InputError(f"`test_set` must be report or radiologist; got {self.test_set!r}")
        if self.test_set == _RADIOLOGIST and self.labels not in _MINED:
            raise InputError(f"`test_set: radiologist` needs `labels` chexpert or negbio; got {self.labels!r}")
        if self.views not in ("frontal", "all"):
            raise InputError(f"`views` must be frontal or all; got {self.views!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The tables of metadata, of labels and of boxes, each by its name and header."""
        needed = {"metadata": "ViewPosition", "chexpert": "No Finding", "negbio": "No Finding"}
        tables = [(path, column) for kind, column in needed.items() for path in find_tables(root, f"{_PREFIX}{kind}")]
        found = [path.name for path, column in tables if {"study_id", column} <= set(columns_of(path))]
        found += [
            path.name for labels in ("cxr_lt", "mimic_cxr_lt") for path in find_long_tailed(root, labels).values()
        ]
        boxes = find_phrase_boxes(root)
        return ", ".join([*found, *([boxes.name] if boxes else [])]) if found else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, rows or boxes are missing or wrong; all at once.
        """
        root = require_root(root, "mimic_cxr_jpg")
        reading = self._read_mined(root) if self.labels in _MINED else self._read_long_tailed(root)
        chosen = [image for image in reading.images if image.is_frontal or self.views == "all"]
        listed = find_listed(root, [image.image for image in chosen], _image_folders(root), self.missing)
        used = sorted((image for image in chosen if image.image in listed.paths), key=lambda image: image.image)
        annotations, box_notes, problems = _annotations(root, used, reading.classes)
        raise_problems([*reading.problems, *listed.problems, *problems])
        paths = tuple(listed.paths[image.image] for image in used)
        files = ImageFiles(root, paths, grey=True, absent=self.missing == TABLES_ALONE)
        return Dataset(
            name="mimic_cxr_jpg",
            classes=reading.classes,
            images=_image_table(used, files.paths),
            labels=_label_table(used, reading),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(chosen)} of {len(reading.images)} listed images used; blank stays unmentioned, -1 uncertain",
                *reading.notes,
                *box_notes,
                *([f"{len(listed.absent)} listed images are not on disk and were skipped"] if listed.absent else []),
            ),
        )

    def _read_mined(self, root: Path) -> _Reading:
        paths = {kind: _one_table(root, kind) for kind in ("metadata", self.labels)}
        split_file = next(iter(find_tables(root, f"{_PREFIX}split")), None)
        split_of, split_problems = read_splits(read_text_table(split_file)) if split_file else ({}, [])
        images, problems = read_metadata(read_text_table(paths["metadata"]), split_of)
        studies, label_problems = read_studies(read_text_table(paths[self.labels]))
        reading = _Reading([], CLASSES, [f"labels of {paths[self.labels].name}, one row per study"])
        reading.problems = [*split_problems, *problems, *label_problems]
        if split_file is None:
            reading.notes.append("no table of splits: none is published here")
        if self.test_set == _RADIOLOGIST:
            by_hand, more = read_studies(read_text_table(_one_table(root, "test-set-labeled")), complete=False)
            reading.problems += more
            reading.read_by_hand = frozenset(by_hand)
            reading.notes.append(f"{len(by_hand)} studies carry the labels of radiologists instead")
            studies |= by_hand
        reading.images = [replace(image, states=studies.get(image.study, UNMENTIONED)) for image in images]
        if unlabelled := len({image.study for image in images} - set(studies)):
            reading.notes.append(f"{unlabelled} studies have no row of labels: all their labels are unmentioned")
        return reading

    def _read_long_tailed(self, root: Path) -> _Reading:
        tables = find_long_tailed(root, self.labels)
        if not tables:
            raise DataError(f"{root} holds no table of `labels: {self.labels}`; expected one per split, with dicom_id")
        images, classes, notes, problems = read_long_tailed(tables)
        named = ", ".join(f"{split} {path.name}" for split, path in tables.items())
        return _Reading(images, classes, [f"labels and splits: {named}", *notes], problems)


def _one_table(root: Path, kind: str) -> Path:
    found = find_tables(root, f"{_PREFIX}{kind}")
    if not found:
        raise DataError(f"{root} holds no mimic-cxr-2.*-{kind}.csv or .csv.gz; expected MIMIC-CXR-JPG's table there")
    return found[-1]


def _image_folders(root: Path) -> Sequence[str]:
    """The folder of the images at their full size, or else the first of the reduced ones."""
    return sorted(path.name for path in root.glob("files*") if path.is_dir())[:1]


def _image_table(used: Sequence[Radiograph], paths: Sequence[str]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": [image.image for image in used],
            "path": paths,
            "patient_id": [image.patient for image in used],
            "split": [image.split for image in used],
            "view": [image.view for image in used],
        }
    )


def _label_table(used: Sequence[Radiograph], reading: _Reading) -> pd.DataFrame:
    states = np.array([image.states for image in used], dtype=object).reshape(len(used), len(reading.classes))
    table = label_table([image.image for image in used], reading.classes, states, _REPORT)
    if not reading.read_by_hand:
        return table
    said = [_RADIOLOGIST if image.study in reading.read_by_hand else _REPORT for image in used]
    return table.assign(reader=np.repeat(np.asarray(said, dtype=object), len(reading.classes)))


def _annotations(
    root: Path, used: Sequence[Radiograph], classes: Sequence[str]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The boxes on the used images, notes, and what is wrong with rows."""
    path = find_phrase_boxes(root)
    if path is None:
        return annotation_table([], _RADIOLOGIST), ["no MS_CXR_Local_Alignment file: no annotations"], []
    boxes = read_phrase_boxes(read_text_table(path))
    known = {image.image: image for image in used}
    kept = [place for place, shape in enumerate(boxes.shapes) if shape[0] in known and shape[1] in classes]
    table = annotation_table([boxes.shapes[place] for place in kept], _RADIOLOGIST)
    problems = annotation_problems(table, known, classes, [boxes.where[place] for place in kept])
    notes = [
        f"{len(kept)} of {len(boxes.shapes)} boxes in {path.name} lie on used images, in the frame each row states"
    ]
    if strange := sorted({shape[1] for shape in boxes.shapes} - set(classes)):
        notes.append(f"boxes of {some(strange)} were left out: no class has that name")
    if trained := {known[image].patient for image in table["image_id"] if known[image].split == "train"}:
        notes.append(
            f"{len(trained)} patients of the training split have boxes; "
            "leave them out of training to judge saliency on new patients"
        )
    return table, notes, [*boxes.problems, *problems]
