"""NIH ChestX-ray14."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, index_by_name, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.nih_tables import FINDINGS, NO_FINDING, Entry, read_boxes, read_entries, read_lists


@DATASETS.register("nih_chestxray14")
@dataclass(frozen=True)
class NihChestXray14:
    """112,120 frontal chest radiographs of 30,805 patients, 14 findings mined from reports, 984 boxes on 880 images.

    Expects ``Data_Entry_2017*.csv`` (or ``.csv.gz``) with the images anywhere below ``images*/``, found by name; reads
    ``BBox_List_2017*.csv``, ``train_val_list.txt`` and ``test_list.txt`` where they are. A finding that is not named is
    negative. Most images have no box whatever they show: a missing box says nothing.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, or ``skip`` them.
        no_finding: Make "No Finding" a class of its own.

    Source: Wang et al. (2017), "ChestX-ray8: Hospital-scale chest X-ray database and benchmarks", CVPR.
    """

    missing: Literal["error", "skip"] = "error"
    no_finding: bool = False
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "no limits on use; name the NIH Clinical Center, link to the download site, cite the paper",
        "open download from the NIH Clinical Center",
    )

    def __post_init__(self) -> None:
        if self.missing not in ("error", "skip"):
            raise InputError(f"`missing` must be error or skip; got {self.missing!r}")

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
        index = _index_images(root)
        kept = [entry for entry in entries if Path(entry.image).name in index]
        absent = [entry.image for entry in entries if Path(entry.image).name not in index]
        problems += self._missing_problems(root, absent, len(entries))
        split_of, both = read_lists(root)
        annotations, bad_boxes, box_note = _read_annotations(root, {entry.image for entry in entries})
        raise_problems([*problems, *both, *bad_boxes])
        classes = (*FINDINGS, NO_FINDING) if self.no_finding else FINDINGS
        images = _image_table(kept, index, split_of)
        files = ImageFiles(root, tuple(images["path"]), grey=True)
        notes = [f"{len(kept)} images listed in {entry_file.name}", box_note, _split_note(images)]
        if absent:
            notes.append(f"{len(absent)} listed images are not on disk and were skipped")
        if ageless := sum(math.isnan(entry.age_years) for entry in kept):
            notes.append(f"{ageless} ages are missing or above 120 years and were left blank")
        return Dataset(
            name="nih_chestxray14",
            classes=classes,
            images=images,
            labels=_label_table(kept, classes),
            annotations=annotations[annotations["image_id"].isin(images["image_id"])].reset_index(drop=True),
            read_pixels=files,
            content=FileContent(files),
            notes=tuple(notes),
        )

    def _missing_problems(self, root: Path, absent: Sequence[str], listed: int) -> list[str]:
        if absent and len(absent) == listed:
            return [f"none of {listed} listed images lies below {root}/images*: {some(absent)}; unpack them there"]
        if absent and self.missing == "error":
            remedy = "unpack them, or set `missing: skip` to use the others"
            return [f"{len(absent)} of {listed} listed images are missing below {root}: {some(absent)}; {remedy}"]
        return []


def find_table(root: Path, pattern: str) -> Path | None:
    """The last file of this pattern by name (v2020 comes after 2017), or None."""
    found = sorted(path for path in root.glob(pattern) if path.name.endswith((".csv", ".csv.gz")))
    return found[-1] if found else None


def _index_images(root: Path) -> dict[str, str]:
    folders = sorted(path for path in root.glob("images*") if path.is_dir())
    index: dict[str, str] = {}
    problems = []
    for folder in folders or [root]:
        for name, path in index_by_name(root, folder).items():
            if index.setdefault(name, path) != path:
                problems.append(f"{name} exists twice, as {index[name]} and as {path}; remove one")
    raise_problems(problems)
    return index


def _read_annotations(root: Path, known: set[str]) -> tuple[pd.DataFrame, list[str], str]:
    path = find_table(root, "BBox_List*.csv*")
    if path is None:
        return annotation_table([], "radiologist"), [], "no BBox_List file: no annotations"
    shapes, where, problems = read_boxes(path)
    annotations = annotation_table(shapes, "radiologist")
    problems += annotation_problems(annotations, known, FINDINGS, where)
    return (
        annotations,
        problems,
        f"{len(shapes)} boxes in {path.name}, in the 1024 × 1024 frame",
    )


def _image_table(entries: list[Entry], index: dict[str, str], split_of: Mapping[str, str]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": [entry.image for entry in entries],
            "path": [index[Path(entry.image).name] for entry in entries],
            "patient_id": [entry.patient or None for entry in entries],
            "split": [split_of.get(entry.image) for entry in entries],
            "age": [entry.age_years for entry in entries],
            "sex": [entry.sex or None for entry in entries],
            "view": [entry.view or None for entry in entries],
        }
    )


def _label_table(entries: list[Entry], classes: tuple[str, ...]) -> pd.DataFrame:
    findings = [entry.findings or {NO_FINDING} for entry in entries]
    positive = np.array([[name in found for name in classes] for found in findings])
    states = np.where(positive, "positive", "negative")
    return label_table([entry.image for entry in entries], classes, states, "report")


def _split_note(images: pd.DataFrame) -> str:
    listed = int(images["split"].notna().sum())
    return f"{listed} images stand in the official lists" if listed else "no official list beside the label file"
