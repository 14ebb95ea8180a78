"""BUSI: breast ultrasound with the outlines of lesions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import encode_rle
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.mask_rasters import read_foreground

CLASSES = ("benign", "malignant", "normal")
_FOLDER = "Dataset_BUSI_with_GT"
_NAME = re.compile(r"(?P<image>(?:benign|malignant|normal) \(\d+\))(?P<mask>_mask(?:_\d+)?)?\.png", re.IGNORECASE)


@DATASETS.register("busi")
@dataclass(frozen=True)
class Busi:
    """780 breast ultrasound images: 437 benign, 210 malignant, 133 normal, with one or several masks each.

    Expects the folders ``benign``, ``malignant`` and ``normal``, in the root or in ``Dataset_BUSI_with_GT``, with
    ``benign (1).png``, its mask ``benign (1)_mask.png`` and, for further lesions, ``benign (1)_mask_1.png``. Each
    mask is a shape of its own. Masks of normal images are empty. No patient, split, age or sex is published.

    Args:
        masks: Read the masks.

    Source: Al-Dhabyani et al. (2020), "Dataset of breast ultrasound images", Data in Brief 28. Errata: Pawłowska,
    Karwat, Żołek (2023), Data in Brief 48: duplicates, lesions in two classes, images of the armpit, drawn marks.
    """

    masks: bool = True
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "not stated clearly; copies say CC BY 4.0: ask before redistribution", "open: Cairo University, Kaggle"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.masks, bool):
            raise InputError(f"`masks` must be true or false; got {self.masks!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The three folders, with a first image of the published names in one of them."""
        home = _home(root)
        if home is None:
            return None
        named = any((home / name / f"{name} (1).png").is_file() for name in CLASSES)
        return "benign, malignant and normal, with names such as benign (1).png" if named else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Folders, images or masks are missing or wrong; all at once.
        """
        root = require_root(root, "busi")
        home = _home(root)
        if home is None:
            raise DataError(f"{root} holds no folders {', '.join(CLASSES)}; expected them there or in {_FOLDER}")
        images, masks, problems = _files(root, home)
        names = sorted(images)
        class_of = {name: name.partition(" ")[0].lower() for name in names}
        notes = [
            f"{len(names)} images; no patient is published: every image is its own cluster",
            "the set is known to hold 235 repeated images, 8 lesions in two classes, and drawn marks; only images of "
            "equal content are kept in one split",
        ]
        shapes: list[Shape] = []
        if self.masks:
            shapes, bad_masks, mask_notes = _read_masks(root, images, masks, class_of)
            problems += bad_masks
            notes += mask_notes
        annotations = annotation_table(shapes, "expert")
        raise_problems([*problems, *annotation_problems(annotations, images, CLASSES)])
        table = image_table({"image_id": names, "path": [images[name] for name in names]})
        files = ImageFiles(root, tuple(table["path"]))
        states = np.array([["positive" if class_of[name] == one else "negative" for one in CLASSES] for name in names])
        return Dataset(
            name="busi",
            classes=CLASSES,
            images=table,
            labels=label_table(names, CLASSES, states.reshape(len(names), len(CLASSES)), "expert"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=tuple(notes),
            flips_allowed=True,
        )


def _home(root: Path) -> Path | None:
    """The folder that holds the three folders."""
    places = (root, root / _FOLDER)
    return next((place for place in places if all((place / name).is_dir() for name in CLASSES)), None)


def _files(root: Path, home: Path) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """Image name to its path and to the paths of its masks, sorted; and files that do not belong."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    problems = []
    for folder in CLASSES:
        for path in walk_images(home / folder):
            relative = path.relative_to(root).as_posix()
            match = _NAME.fullmatch(path.name)
            if match is None or not path.name.lower().startswith(folder):
                problems.append(f"{relative} is not named as published, such as {folder} (1).png; restore its name")
            elif match["mask"]:
                masks.setdefault(match["image"], []).append(relative)
            else:
                images[match["image"]] = relative
    problems += [
        f"{masks[name][0]} has no image; expected {name}.png beside it: restore it or remove the mask"
        for name in sorted(set(masks) - set(images))
    ]
    return images, masks, problems


def _read_masks(
    root: Path, images: Mapping[str, str], masks: Mapping[str, list[str]], class_of: Mapping[str, str]
) -> tuple[list[Shape], list[str], list[str]]:
    """Shapes, problems, and what to note."""
    shapes: list[Shape] = []
    problems: list[str] = []
    several = empty = 0
    for name in sorted(set(images) & set(masks)):
        try:
            size = raster_size(root / images[name])
            drawn = [read_foreground(root / path, size) for path in sorted(masks[name])]
        except DataError as error:
            problems += error.problems
            continue
        filled = [one for one in drawn if one.any()]
        if filled and class_of[name] == "normal":
            problems.append(f"{images[name]} is normal and has a mask that is not empty; restore the published files")
        several += len(filled) > 1
        empty += len(drawn) - len(filled) if class_of[name] != "normal" else 0
        shapes += [(name, class_of[name], "rle", encode_rle(one), size) for one in filled]
    unmasked = sum(class_of[name] != "normal" for name in set(images) - set(masks))
    counted = {
        "images have several masks": several,
        "masks of benign or malignant images are empty and were left out": empty,
        "benign or malignant images have no mask file": unmasked,
    }
    return shapes, problems, [f"{count} {what}" for what, count in counted.items() if count]
