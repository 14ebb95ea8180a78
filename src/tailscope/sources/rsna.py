"""RSNA Pneumonia Detection Challenge 2018."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError
from tailscope.core.records import Dataset
from tailscope.data.dicom_facts import fact_columns
from tailscope.data.files import FileContent, ImageFiles, inside, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, ListedImages, Missing, find_listed, require_missing
from tailscope.sources.rsna_tables import (
    CLASSES,
    LABEL_COLUMNS,
    OPACITY,
    read_detailed,
    read_nih_patients,
    read_targets,
)

_FOLDERS = ("stage_2_train_images",)
_MAPPING = "pneumonia-challenge-dataset-mappings*.json"


@DATASETS.register("rsna_pneumonia")
@dataclass(frozen=True)
class RsnaPneumonia:
    """26,684 chest radiographs with boxes around 9,555 lung opacities on 6,012 of them; the others are normal or not.

    Expects ``stage_2_train_labels.csv``, ``stage_2_detailed_class_info.csv`` and the images, DICOM or converted, in
    ``stage_2_train_images`` or anywhere below the folder, found by name. The column ``patientId`` names an image: the
    images are copies of NIH ChestX-ray14's, of 11,439 patients, up to 65 images each. Only with a mapping to NIH's
    images are patients known; without one, a split by image leaks.

    Args:
        nih_mapping: File that maps images to NIH's, relative to the root; None takes RSNA's own
            ``pneumonia-challenge-dataset-mappings_2018.json`` where it lies in the folder.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.
        headers: Read age, sex and view, and nothing else, from the header of every DICOM file.

    Source: Shih et al. (2019), "Augmenting the National Institutes of Health chest radiograph dataset with expert
    annotations of possible pneumonia", Radiology: Artificial Intelligence.
    """

    nih_mapping: str | None = None
    missing: Missing = "error"
    headers: bool = False
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "academic research and education, and other commercial or non-commercial purposes, with attribution",
        "Kaggle account, or download from rsna.org",
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The table of boxes, by its header, and whether there is one of detailed classes."""
        path = _find(root, "*train_labels.csv")
        if path is None or not set(LABEL_COLUMNS) <= set(columns_of(path)):
            return None
        return path.name if _find(root, "*detailed_class_info.csv") else f"{path.name} alone"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, rows or boxes are missing or wrong; all at once.
        """
        root = require_root(root, "rsna_pneumonia")
        path = _find(root, "*train_labels.csv")
        if path is None:
            raise DataError(f"{root} holds no stage_2_train_labels.csv; expected RSNA's table of boxes there")
        table = read_text_table(path)
        targets, shapes, where, problems = read_targets(table)
        detailed, contradictions, class_note = _detailed(root, targets)
        listed = find_listed(root, targets, _FOLDERS, self.missing)
        annotations = annotation_table(shapes, "radiologist")
        problems += annotation_problems(annotations, targets, CLASSES, where)
        raise_problems([*problems, *contradictions, *listed.problems])
        patient_of, patient_note = self._patients(root, listed)
        images = self._image_table(root, listed.paths, patient_of)
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        classes = CLASSES if detailed else (OPACITY,)
        return Dataset(
            name="rsna_pneumonia",
            classes=classes,
            images=images,
            labels=_label_table(list(images["image_id"]), targets, detailed, classes),
            annotations=annotations[annotations["image_id"].isin(listed.paths)].reset_index(drop=True),
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(table)} rows of {path.name} are {len(targets)} images, {sum(targets.values())} with an opacity",
                class_note,
                patient_note,
                *listed.notes(),
            ),
        )

    def _patients(self, root: Path, listed: ListedImages) -> tuple[Mapping[str, str], str]:
        path = root / inside(self.nih_mapping) if self.nih_mapping else _find(root, _MAPPING)
        if path is None:
            note = "`patientId` names images and no mapping to NIH's images lies here: patients are unknown"
            return {}, f"{note}, and one patient's images may stand on both sides of a split"
        if not path.is_file():
            raise DataError(f"{path} does not exist; expected a mapping to NIH's images: correct `nih_mapping`")
        patients, doubtful = read_nih_patients(path)
        unknown = sum(image not in patients for image in listed.paths)
        note = f"patients are NIH's, by {path.name}: {len(listed.paths) - unknown} images have one, {unknown} have none"
        return patients, f"{note}; {doubtful} doubtful matches left out" if doubtful else note

    def _image_table(self, root: Path, paths: Mapping[str, str], patient_of: Mapping[str, str]) -> pd.DataFrame:
        columns: dict[str, list[object]] = {
            "image_id": list(paths),
            "path": list(paths.values()),
            "patient_id": [patient_of.get(image) for image in paths],
        }
        if self.headers and self.missing != TABLES_ALONE:
            columns |= fact_columns(root, list(paths.values()))
        return image_table(columns)


def _find(root: Path, pattern: str) -> Path | None:
    """The last file of this pattern by name (stage 2 comes after stage 1), or None."""
    return max((path for path in root.glob(pattern) if path.is_file()), default=None)


def _detailed(root: Path, targets: Mapping[str, bool]) -> tuple[dict[str, str], list[str], str]:
    path = _find(root, "*detailed_class_info.csv")
    if path is None:
        return {}, [], f"no detailed_class_info.csv: images without {OPACITY} may be normal or not"
    detailed, problems = read_detailed(read_text_table(path), targets)
    return detailed, problems, f"three exclusive classes from {path.name}; rows that repeat an image were collapsed"


def _label_table(
    image_ids: list[str], targets: Mapping[str, bool], detailed: Mapping[str, str], classes: tuple[str, ...]
) -> pd.DataFrame:
    if detailed:
        positive = [[detailed[image] == name for name in classes] for image in image_ids]
    else:
        positive = [[targets[image]] for image in image_ids]
    states = np.where(np.array(positive).reshape(len(image_ids), len(classes)), "positive", "negative")
    return label_table(image_ids, classes, states, "radiologist")
