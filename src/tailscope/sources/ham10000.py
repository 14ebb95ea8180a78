"""HAM10000 and ISIC 2018, with the outlines of lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tailscope.core.errors import DataError
from tailscope.core.geometry import encode_rle
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.ham_tables import CLASSES, Image, find_tables, patient_note, read_images
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, require_missing
from tailscope.sources.mask_rasters import read_foreground

_MASK_END = "_segmentation"


@dataclass(frozen=True)
class _Files:
    """Name without suffix to path below the root, of images and of masks.

    Args:
        images: Of the images.
        masks: Of the masks, by the name of their image.
        repeated: How many images lie in two folders; the published archives are often unpacked twice.
    """

    images: Mapping[str, str]
    masks: Mapping[str, str]
    repeated: int


@DATASETS.register("ham10000")
@dataclass(frozen=True)
class Ham10000:
    """10,015 dermatoscopic images of 7,470 lesions, 7 exclusive diagnoses; with ISIC 2018's validation and test images.

    Expects ``HAM10000_metadata`` (with or without ``.csv``, ``.tab``), or the ``GroundTruth`` tables of ISIC 2018
    task 3, with images and ``…_segmentation.png`` masks anywhere below, found by name. A mask outlines the lesion, and
    so stands for the diagnosis. One lesion has up to six images: the lesion is what splits keep together.

    Args:
        masks: Read the masks.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.

    Source: Tschandl, Rosendahl, Kittler (2018), "The HAM10000 dataset, a large collection of multi-source
    dermatoscopic images of common pigmented skin lesions", Scientific Data 5.
    """

    masks: bool = True
    missing: Missing = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "CC BY-NC 4.0: no commercial use", "open: Harvard Dataverse, doi:10.7910/DVN/DBW86T; ISIC archive"
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The tables of HAM10000 and of ISIC 2018."""
        return ", ".join(path.name for path in find_tables(root).values()) or None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Tables, rows, images or masks are missing or wrong; all at once.
        """
        root = require_root(root, "ham10000")
        tables = find_tables(root)
        if not set(tables) - {"lesions"}:
            raise DataError(
                f"{root} holds neither HAM10000_metadata nor ISIC2018_Task3_…_GroundTruth.csv; expected one"
            )
        listed, problems = read_images(tables)
        files = self._index(root, listed)
        kept = [image for image in listed if image.name in files.images]
        absent = [image.name for image in listed if image.name not in files.images]
        problems += absence_problems(absent, len(listed), root, self.missing)
        shapes, empty, bad_masks = _read_masks(root, kept, files) if self.masks else ([], [], [])
        annotations = annotation_table(shapes, "expert")
        problems += [*bad_masks, *annotation_problems(annotations, {image.name for image in kept}, CLASSES)]
        raise_problems(problems)
        images = image_table(
            {
                "image_id": [image.name for image in kept],
                "path": [files.images[image.name] for image in kept],
                "patient_id": [image.lesion or None for image in kept],
                "split": [image.split for image in kept],
                "age": [image.age_years for image in kept],
                "sex": [image.sex or None for image in kept],
                "localization": [image.site or None for image in kept],
            }
        )
        pixels = ImageFiles(root, tuple(images["path"]), absent=self.missing == TABLES_ALONE)
        states = np.array(
            [["positive" if name == image.diagnosis else "negative" for name in CLASSES] for image in kept]
        )
        counted = {
            "masks of the lesion were read": len(shapes),
            "masks are empty and were left out": len(empty),
            "images lie in two folders; the first was taken": files.repeated,
            "listed images are not on disk and were skipped": len(absent),
        }
        return Dataset(
            name="ham10000",
            classes=CLASSES,
            images=images,
            labels=label_table([image.name for image in kept], CLASSES, states, "expert"),
            annotations=annotations,
            read_pixels=pixels,
            content=FileContent(pixels),
            notes=(
                f"{len(kept)} images of {', '.join(path.name for path in tables.values())}",
                patient_note(kept),
                *(f"{count} {what}" for what, count in counted.items() if count),
            ),
            flips_allowed=True,
        )

    def _index(self, root: Path, listed: Sequence[Image]) -> _Files:
        if self.missing == TABLES_ALONE:
            return _Files({image.name: image.name for image in listed}, {}, 0)
        return _index(root)


def _index(root: Path) -> _Files:
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    repeated = set()
    for path in walk_images(root):
        relative = path.relative_to(root).as_posix()
        if path.stem.endswith(_MASK_END):
            masks.setdefault(path.stem.removesuffix(_MASK_END), relative)
        elif images.setdefault(path.stem, relative) != relative:
            repeated.add(path.stem)
    return _Files(images, masks, len(repeated))


def _read_masks(root: Path, images: Sequence[Image], files: _Files) -> tuple[list[Shape], list[str], list[str]]:
    """Shapes, the images whose mask is empty, and the problems."""
    shapes: list[Shape] = []
    empty: list[str] = []
    problems: list[str] = []
    for image in images:
        if image.name not in files.masks:
            continue
        try:
            size = raster_size(root / files.images[image.name])
            drawn = read_foreground(root / files.masks[image.name], size)
        except DataError as error:
            problems += error.problems
            continue
        if drawn.any():
            shapes.append((image.name, image.diagnosis, "rle", encode_rle(drawn), size))
        else:
            empty.append(image.name)
    return shapes, empty, problems
