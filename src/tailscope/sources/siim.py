"""SIIM-ACR Pneumothorax Segmentation 2019."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tailscope.core.errors import DataError
from tailscope.core.records import Dataset
from tailscope.data.dicom_facts import fact_columns
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.text_tables import TextTable, columns_of, read_text_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, Missing, find_listed, require_missing
from tailscope.sources.run_lengths import rle_from_relative

PNEUMOTHORAX = "Pneumothorax"
FRAME = (1024, 1024)  # height, width of every published image, which all run lengths refer to
TABLES = ("stage_2_train.csv", "train-rle.csv")  # the later stage holds the images of the earlier one and its test set
_COLUMNS = ("ImageId", "EncodedPixels")
_FOLDERS = ("dicom-images-train", "stage_2_images")
_NO_MASK = "-1"


@DATASETS.register("siim_pneumothorax")
@dataclass(frozen=True)
class SiimPneumothorax:
    """12,047 chest radiographs, 2,669 with a pneumothorax, outlined in 3,576 masks.

    Expects ``train-rle.csv`` or ``stage_2_train.csv`` and the images, DICOM or converted, in ``dicom-images-train`` or
    ``stage_2_images``, else anywhere below the folder, found by name. A mask is pairs of numbers, each a gap after the
    run before and a length, down the columns of 1024 × 1024 pixels; ``-1`` says that there is none. An image with
    several masks has several rows: each mask is an annotation of its own. No patient is published.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none; some copies of the table list images that were never published.
        headers: Read age, sex and view, and nothing else, from the header of every DICOM file.

    Source: SIIM-ACR Pneumothorax Segmentation challenge, 2019.
    """

    missing: Missing = "error"
    headers: bool = False
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms("rules of the Kaggle competition; not verified here", "Kaggle account")

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The table of masks, by its name and header."""
        path = _find_table(root)
        return path.name if path and set(_COLUMNS) <= set(columns_of(path)) else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, rows or masks are missing or wrong; all at once.
        """
        root = require_root(root, "siim_pneumothorax")
        path = _find_table(root)
        if path is None:
            raise DataError(f"{root} holds no {' or '.join(TABLES)}; expected the table of masks there")
        table = read_text_table(path)
        shapes, where, problems = read_masks(table)
        ids = sorted(set(table.column("ImageId")))
        listed = find_listed(root, ids, _FOLDERS, self.missing)
        annotations = annotation_table(shapes, "radiologist")
        problems += annotation_problems(annotations, set(ids), (PNEUMOTHORAX,), where)
        raise_problems([*problems, *listed.problems])
        paths = list(listed.paths.values())
        facts = fact_columns(root, paths) if self.headers and self.missing != TABLES_ALONE else {}
        images = image_table({"image_id": list(listed.paths), "path": paths, **facts})
        drawn = {shape[0] for shape in shapes}
        states = np.array([["positive" if image in drawn else "negative"] for image in images["image_id"]])
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        return Dataset(
            name="siim_pneumothorax",
            classes=(PNEUMOTHORAX,),
            images=images,
            labels=label_table(list(images["image_id"]), (PNEUMOTHORAX,), states, "radiologist"),
            annotations=annotations[annotations["image_id"].isin(listed.paths)].reset_index(drop=True),
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(table)} rows of {path.name} are {len(ids)} images, {len(drawn)} with {len(shapes)} masks",
                _several(shapes),
                "no patient is published, and the images are said to be NIH ChestX-ray14's: every image is its own "
                "cluster, and one patient's images may stand on both sides of a split",
                *listed.notes(),
            ),
        )


def read_masks(table: TextTable) -> tuple[list[Shape], list[str], list[str]]:
    """Masks, the place of each, and what is wrong with rows.

    Raises:
        DataError: A column is missing.
    """
    shapes: list[Shape] = []
    where, problems = [], []
    without: dict[str, str] = {}
    for row, (image, text) in enumerate(zip(*(table.column(name) for name in _COLUMNS), strict=True)):
        place = table.where(row)
        if text == _NO_MASK:
            without.setdefault(image, place)
            continue
        try:
            if not text:
                raise DataError(f"the mask of {image!r} is blank; expected pairs of numbers, or -1 for none")
            shapes.append((image, PNEUMOTHORAX, "rle", rle_from_relative(text, FRAME), FRAME))
            where.append(place)
        except DataError as error:
            problems.append(f"{place}: {error}")
    contradicted = [(image, at) for (image, *_), at in zip(shapes, where, strict=True) if image in without]
    problems += [
        f"{at}: image {image!r} has a mask, and none by {without[image]}; keep one of the rows"
        for image, at in contradicted
    ]
    return shapes, where, problems


def _find_table(root: Path) -> Path | None:
    return next((root / name for name in TABLES if (root / name).is_file()), None)


def _several(shapes: list[Shape]) -> str:
    counts = Counter(shape[0] for shape in shapes)
    several = sum(count > 1 for count in counts.values())
    return f"{several} images have several masks, which were kept apart and are united when drawn"
