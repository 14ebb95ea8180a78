"""CBIS-DDSM: digitised mammograms with masks of masses and calcifications, as DICOM or converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.cbis_files import CbisFiles
from tailscope.sources.cbis_masks import CbisMasks
from tailscope.sources.cbis_tables import MALIGNANT, NAME_OF, Lesion, find_tables, read_lesions

CLASSES = (MALIGNANT, *NAME_OF.values())


@DATASETS.register("cbis_ddsm")
@dataclass(frozen=True)
class CbisDdsm:
    """3,103 mammograms of 1,566 women with 3,568 abnormalities: masses and calcifications, benign or malignant.

    Expects ``{mass,calc}_case_description_{train,test}_set.csv`` in the root or a folder below it, and the images, as
    DICOM or converted, below folders of the published names (``Mass-Training_P_00001_LEFT_CC``) or of the series. Of a
    DICOM file in folders of other names the series in its header counts, and no other name in it is read. A mammogram
    is malignant if any of its abnormalities is. A set of masses does not say that there is no calcification: the other
    kind is unmentioned. The woman is the patient, in both sets; the published split is kept.

    Args:
        masks: Read the masks, each told from the crop beside it by its size and its two values, since the tables mix
            them up; the notes count what was swapped, scaled or left out. They are large: reading all of them takes
            many minutes, at every reading of the set.
        missing: What to do about listed mammograms that are not on disk: ``error``, or ``skip`` them.

    Source: Lee et al. (2017), "A curated mammography data set for use in computer-aided detection and diagnosis
    research", Scientific Data 4.
    """

    masks: bool = False
    missing: Literal["error", "skip"] = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms("CC BY 3.0", "open: The Cancer Imaging Archive")

    def __post_init__(self) -> None:
        if self.missing not in ("error", "skip"):
            raise InputError(f"`missing` must be error or skip; got {self.missing!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The tables, by their names and columns."""
        found = [path.name for path in find_tables(root).values() if "ROI mask file path" in columns_of(path)]
        return ", ".join(found) or None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Tables, rows, mammograms or masks are missing or wrong; all at once.
        """
        root = require_root(root, "cbis_ddsm")
        tables = find_tables(root)
        if not tables:
            raise DataError(f"{root} holds no mass_case_description_train_set.csv or the like; expected these tables")
        lesions, problems = read_lesions(tables)
        by_image: dict[str, list[Lesion]] = {}
        for lesion in lesions:
            by_image.setdefault(lesion.image, []).append(lesion)
        files = CbisFiles.below(root, {name for one in lesions for name in (one.image, one.series, *one.mask_folders)})
        path_of, absent, doubtful = _mammograms(by_image, files)
        problems += doubtful
        if absent and (self.missing == "error" or not path_of):
            remedy = "unpack them, or set `missing: skip` to use the others"
            problems.append(f"{len(absent)} of {len(by_image)} mammograms are missing: {some(absent)}; {remedy}")
        kept = sorted(path_of)
        masks = CbisMasks(files, path_of)
        if self.masks:
            masks.read([lesion for name in kept for lesion in by_image[name]])
        annotations = annotation_table(masks.shapes, "radiologist")
        raise_problems([*problems, *annotation_problems(annotations, path_of, CLASSES, masks.where)])
        first = [by_image[name][0] for name in kept]
        images = image_table(
            {
                "image_id": kept,
                "path": [path_of[name] for name in kept],
                "patient_id": [one.patient for one in first],
                "split": [one.split for one in first],
                "view": [one.view or None for one in first],
                "laterality": [one.side or None for one in first],
                "breast_density": [one.density or None for one in first],
            }
        )
        pixels = ImageFiles(root, tuple(images["path"]), grey=True)
        states = np.array([_states(by_image[name]) for name in kept], dtype=object)
        return Dataset(
            name="cbis_ddsm",
            classes=CLASSES,
            images=images,
            labels=label_table(kept, CLASSES, states, "pathology"),
            annotations=annotations,
            read_pixels=pixels,
            content=FileContent(pixels),
            notes=(
                f"{len(kept)} mammograms with {sum(len(by_image[name]) for name in kept)} abnormalities of "
                f"{', '.join(path.name for path in tables.values())}",
                *_split_note(first),
                *files.notes(),
                *(masks.notes() if self.masks else ["masks were not read; set `masks: true`"]),
                *([f"{len(absent)} listed mammograms are not on disk and were skipped"] if absent else []),
            ),
            flips_allowed=True,
        )


def _mammograms(
    by_image: Mapping[str, Sequence[Lesion]], files: CbisFiles
) -> tuple[dict[str, str], list[str], list[str]]:
    """Image to its file, the images without one, and those with several."""
    path_of: dict[str, str] = {}
    absent: list[str] = []
    problems: list[str] = []
    for name, lesions in by_image.items():
        found = files.mammogram(name, lesions[0].series)
        if not found:
            absent.append(name)
        elif len(found) > 1:
            problems.append(f"mammogram {name} has {len(found)} files, {found[0]} and {found[1]}; keep one of them")
        else:
            path_of[name] = found[0]
    return path_of, absent, problems


def _states(lesions: Sequence[Lesion]) -> NDArray[np.str_]:
    """Malignant if any abnormality is; of the other kind nothing is said."""
    malignant = any(lesion.is_malignant for lesion in lesions)
    kinds = {lesion.kind for lesion in lesions}
    named = ["positive" if kind in kinds else "unmentioned" for kind in NAME_OF]
    return np.array(["positive" if malignant else "negative", *named], dtype=object)


def _split_note(images: Sequence[Lesion]) -> list[str]:
    splits: dict[str, set[str]] = {}
    for one in images:
        splits.setdefault(one.patient, set()).add(one.split)
    both = sorted(patient for patient, held in splits.items() if len(held) > 1)
    if not both:
        return []
    return [
        f"the published split leaks: {len(both)} women stand in train and test, through the two sets: {some(both)}; "
        "cut by patient (`split.by: patient`), or use one set"
    ]
