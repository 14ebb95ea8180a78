"""CBIS-DDSM: digitised mammograms with masks of masses and calcifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size, encode_rle
from tailscope.core.records import Dataset
from tailscope.data.decoding import decode, raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.cbis_tables import MALIGNANT, NAME_OF, Lesion, find_tables, read_lesions
from tailscope.sources.mask_rasters import read_foreground

CLASSES = (MALIGNANT, *NAME_OF.values())
_BLURRED = 0.01  # share of pixels between the two values of a mask, at most
_SAME_ASPECT = 0.01  # published masks of another size keep the aspect ratio of their mammogram, with few exceptions


@DATASETS.register("cbis_ddsm")
@dataclass(frozen=True)
class CbisDdsm:
    """3,103 mammograms of 1,566 women with 3,568 abnormalities: masses and calcifications, benign or malignant.

    Expects ``{mass,calc}_case_description_{train,test}_set.csv`` in the root or a folder below it, and the images
    (DICOM or converted) below folders of the published names (``Mass-Training_P_00001_LEFT_CC``) or of the series. A
    mammogram is malignant if any of its abnormalities is. A set of masses does not say that there is no calcification:
    the other kind is unmentioned. The woman is the patient, in both sets; the published split is kept.

    Args:
        masks: Read the masks, each from its folder, in which crop and mask may have changed names; they are large:
            reading all of them takes many minutes, at every reading of the set.
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
        folders = _by_folder(root)
        path_of, absent, doubtful = _mammograms(by_image, folders)
        problems += doubtful
        if absent and (self.missing == "error" or not path_of):
            remedy = "unpack them, or set `missing: skip` to use the others"
            problems.append(f"{len(absent)} of {len(by_image)} mammograms are missing: {some(absent)}; {remedy}")
        kept = sorted(path_of)
        masks = _Masks(root, path_of, folders)
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
        files = ImageFiles(root, tuple(images["path"]), grey=True)
        states = np.array([_states(by_image[name]) for name in kept], dtype=object)
        return Dataset(
            name="cbis_ddsm",
            classes=CLASSES,
            images=images,
            labels=label_table(kept, CLASSES, states, "pathology"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(kept)} mammograms with {sum(len(by_image[name]) for name in kept)} abnormalities of "
                f"{', '.join(path.name for path in tables.values())}",
                *_split_note(first),
                *(masks.notes() if self.masks else ["masks were not read; set `masks: true`"]),
                *([f"{len(absent)} listed mammograms are not on disk and were skipped"] if absent else []),
            ),
            flips_allowed=True,
        )


def _by_folder(root: Path) -> dict[str, list[str]]:
    """Every folder's name to the images below it, sorted."""
    found: dict[str, list[str]] = {}
    for path in walk_images(root):
        relative = path.relative_to(root)
        for name in set(relative.parts[:-1]):
            found.setdefault(name, []).append(relative.as_posix())
    return found


def _mammograms(
    by_image: Mapping[str, Sequence[Lesion]], folders: Mapping[str, list[str]]
) -> tuple[dict[str, str], list[str], list[str]]:
    """Image to its file, the images without one, and those with several."""
    path_of: dict[str, str] = {}
    absent: list[str] = []
    problems: list[str] = []
    for name, lesions in by_image.items():
        found = next((folders[folder] for folder in lesions[0].folders if folder in folders), [])
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


@dataclass
class _Masks:
    """The masks of abnormalities, found among the files of their folders."""

    root: Path
    path_of: Mapping[str, str]
    folders: Mapping[str, list[str]]
    shapes: list[Shape] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def read(self, lesions: Sequence[Lesion]) -> None:
        for lesion in lesions:
            size = raster_size(self.root / self.path_of[lesion.image])
            drawn = self._mask(lesion, size)
            if drawn is None:
                continue
            shape = encode_rle(drawn)
            frame = (drawn.shape[0], drawn.shape[1])
            names = [NAME_OF[lesion.kind], *([MALIGNANT] if lesion.is_malignant else [])]
            self.shapes += [(lesion.image, name, "rle", shape, frame) for name in names]
            self.where += [lesion.where] * len(names)
            self._count("masks were read")

    def _mask(self, lesion: Lesion, size: Size) -> NDArray[np.bool_] | None:
        """The file as large as the mammogram, whatever it is called; else one of its aspect ratio."""
        found = sorted({path for folder in lesion.mask_folders for path in self.folders.get(folder, [])})
        sizes = {path: raster_size(self.root / path) for path in found}
        best = sorted((path for path in found if _is_alike(sizes[path], size)), key=lambda path: sizes[path] != size)
        for path in best:
            if _has_two_values(self.root / path):
                if sizes[path] != size:
                    self._count("of them have another size than their mammogram and are scaled along")
                return read_foreground(self.root / path, sizes[path])
        self._count(
            "abnormalities have no file that is a mask of their mammogram's shape" if found else "have no mask on disk"
        )
        return None

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def notes(self) -> list[str]:
        first = "masks were read"
        return [f"{self.counts[what]} {what}" for what in sorted(self.counts, key=lambda what: (what != first, what))]


def _is_alike(size: Size, other: Size) -> bool:
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= _SAME_ASPECT


def _has_two_values(path: Path) -> bool:
    """Whether a file is a mask, not a picture: all but the edges, which JPEG blurs, is either of two values."""
    values = decode(path, grey=True).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    margin = (high - low) // 10
    between = (values > low + margin) & (values < high - margin)
    return high > low and float(between.mean()) < _BLURRED
