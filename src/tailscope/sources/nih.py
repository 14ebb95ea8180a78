"""NIH ChestX-ray14."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, index_by_name, inside, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, places_of
from tailscope.sources.nih_det_records import Drawn
from tailscope.sources.nih_labels import LABEL_CHOICES, LabelSet, entry_labels, long_tailed_labels
from tailscope.sources.nih_regions import REGION_CHOICES, Regions, det_regions, nih_boxes
from tailscope.sources.nih_tables import Entry, read_entries


@DATASETS.register("nih_chestxray14")
@dataclass(frozen=True)
class NihChestXray14:
    """112,120 frontal chest radiographs of 30,805 patients, 14 findings mined from reports, 984 boxes on 880 images.

    Expects ``Data_Entry_2017*.csv`` (or ``.csv.gz``) with the images anywhere below ``images*/`` or in archives
    ``images*.tar.gz``, found by name; reads
    ``BBox_List_2017*.csv``, ``train_val_list.txt`` and ``test_list.txt`` where they are. A finding that is not named is
    negative. Most images have no box whatever they show: a missing box says nothing.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, or ``skip`` them; ``tables`` looks for
            none and reads the tables alone, to be inspected and not to be trained on.
        no_finding: Make "No Finding" a class of its own; long-tailed lists always have it.
        labels: ``data_entry`` with the official lists; ``nih_cxr_lt`` (20 exclusive classes), ``nih_cxr_lt_balanced``
            (its balanced test list) or ``prune_cxr`` (20 classes, several per image), labels and splits alike.
        annotations: ``bbox``, NIH's own boxes; ``chestx_det`` or ``chestx_det10``, instances drawn by radiologists.
            Labels stay those of ``labels``: the two differ strongly.
        shapes: Each instance of ChestX-Det as its ``polygons`` or as its ``boxes``.
        det_names: File with published and NIH name of ChestX-Det's images (JSON object or table of two columns),
            relative to the root; :func:`~tailscope.sources.nih_det_records.recovered_names` makes it.

    Source: Wang et al. (2017), "ChestX-ray8: Hospital-scale chest X-ray database and benchmarks", CVPR.
    """

    missing: Missing = "error"
    no_finding: bool = False
    labels: Literal["data_entry", "nih_cxr_lt", "nih_cxr_lt_balanced", "prune_cxr"] = "data_entry"
    annotations: Literal["bbox", "chestx_det", "chestx_det10"] = "bbox"
    shapes: Drawn = "polygons"
    det_names: str | None = None
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "no limits on use; name the NIH Clinical Center, link to the download site, cite the paper",
        "open download from the NIH Clinical Center",
    )

    def __post_init__(self) -> None:
        choices = {
            "missing": get_args(Missing),
            "labels": LABEL_CHOICES,
            "annotations": REGION_CHOICES,
            "shapes": ("polygons", "boxes"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"`{name}` must be {', '.join(known[:-1])} or {known[-1]}; got {getattr(self, name)!r}"
                )

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The table of labels, and whether its header is of 2017 or 2020."""
        path = find_table(root, "Data_Entry*.csv*")
        if path is None:
            return None
        sex = "Patient Sex" if "Patient Sex" in columns_of(path) else "Patient Gender"
        return f"{path.name}, header with {sex}"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, rows or boxes are missing or wrong; all at once.
        """
        root = require_root(root, "nih_chestxray14")
        entry_file = find_table(root, "Data_Entry*.csv*")
        if entry_file is None:
            raise DataError(f"{root} holds no Data_Entry_2017*.csv; expected NIH's label file there")
        entries, problems = read_entries(entry_file)
        labels = self._read_labels(root, entries)
        listed = [entry for entry in entries if entry.image in labels.states]
        names = [entry.image for entry in listed]
        place_of = places_of(names, self.missing, lambda: _index_images(root), lambda name: Path(name).name)
        kept = [entry for entry in listed if entry.image in place_of]
        absent = [name for name in names if name not in place_of]
        problems += absence_problems(absent, len(listed), root, self.missing, what="listed images")
        problems += labels.problems
        regions = self._read_regions(root, labels.classes)
        drawn = annotation_table(regions.shapes, "radiologist")
        known = {entry.image for entry in entries}
        problems += [*regions.problems, *annotation_problems(drawn, known, labels.classes, regions.where)]
        raise_problems(problems)
        images = _image_table(kept, place_of, labels.split_of)
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        is_kept = np.array([name in place_of for name in drawn["image_id"]], dtype=bool)
        states = np.array([labels.states[entry.image] for entry in kept], dtype=object)
        return Dataset(
            name="nih_chestxray14",
            classes=labels.classes,
            images=images,
            labels=label_table([entry.image for entry in kept], labels.classes, states, labels.reader),
            annotations=drawn[is_kept].reset_index(drop=True),
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(kept)} images listed in {entry_file.name}",
                *regions.notes,
                *labels.notes,
                *_absence_notes(kept, absent),
            ),
        )

    def _read_labels(self, root: Path, entries: Sequence[Entry]) -> LabelSet:
        if self.labels == "data_entry":
            return entry_labels(root, entries, no_finding=self.no_finding)
        return long_tailed_labels(root, self.labels, entries)

    def _read_regions(self, root: Path, classes: Sequence[str]) -> Regions:
        if self.annotations == "bbox":
            return nih_boxes(find_table(root, "BBox_List*.csv*"))
        names = None if self.det_names is None else root / inside(self.det_names)
        return det_regions(root, self.annotations, names, self.shapes, classes)


def find_table(root: Path, pattern: str) -> Path | None:
    """The last file of this pattern by name (v2020 comes after 2017), or None."""
    found = sorted(path for path in root.glob(pattern) if path.name.endswith((".csv", ".csv.gz")))
    return found[-1] if found else None


def _index_images(root: Path) -> dict[str, str]:
    folders = sorted(path for path in root.glob("images*") if path.is_dir())  # archives are folders, too
    return index_by_name(root, *(folders or [root]))


def _image_table(entries: list[Entry], place_of: Mapping[str, str], split_of: Mapping[str, str]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": [entry.image for entry in entries],
            "path": [place_of[entry.image] for entry in entries],
            "patient_id": [entry.patient or None for entry in entries],
            "split": [split_of.get(entry.image) for entry in entries],
            "age": [entry.age_years for entry in entries],
            "sex": [entry.sex or None for entry in entries],
            "view": [entry.view or None for entry in entries],
        }
    )


def _absence_notes(kept: Sequence[Entry], absent: Sequence[str]) -> list[str]:
    notes = []
    if absent:
        notes.append(f"{len(absent)} listed images are not on disk and were skipped")
    if ageless := [entry.image for entry in kept if math.isnan(entry.age_years)]:
        notes.append(f"{len(ageless)} ages are missing or above 120 years and were left blank: {some(ageless)}")
    return notes
