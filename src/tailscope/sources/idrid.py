"""IDRiD: fundus photographs with grades, masks of lesions, and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import encode_rle
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.idrid_files import LESIONS, LETTER_OF, File, find_sets, read_grades, read_points, walk_set
from tailscope.sources.mask_rasters import read_foreground

_GRADES = (*(f"retinopathy {grade}" for grade in range(5)), *(f"macular edema risk {risk}" for risk in range(3)))
_POINTS = ("fovea", "optic disc")


@dataclass(frozen=True)
class _Content:
    """What a part says of its images: classes, states per key, shapes with their places, notes."""

    classes: tuple[str, ...]
    states: Mapping[str, NDArray[np.str_]]
    shapes: Sequence[Shape] = ()
    where: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass
class _Part:
    """The images of one part, by key, and the problems found so far."""

    root: Path
    images: Mapping[str, File]
    problems: list[str]

    def size(self, key: str) -> tuple[int, int]:
        return raster_size(self.root / self.images[key].path)


@DATASETS.register("idrid")
@dataclass(frozen=True)
class Idrid:
    """516 fundus photographs with two grades; 81 with masks of four lesions and the optic disc; 516 with two points.

    Expects the folders ``A. Segmentation``, ``B. Disease Grading`` or ``C. Localization``, as they were unpacked. Names
    repeat between them and between training and testing: an image is called ``B/test/IDRiD_001`` here. A lesion without
    a mask file does not occur in that image. Training and testing are the published split; no patient is published.

    Args:
        part: ``grading``: five grades of retinopathy and three of the risk of macular oedema, each a class;
            ``segmentation``: lesions with masks; ``localization``: centres of optic disc and fovea.
        point_radius_px: Radius of the disc that stands for a point, in pixels of 4288 × 2848.

    Source: Porwal et al. (2018), "Indian diabetic retinopathy image dataset (IDRiD)", Data 3(3).
    """

    part: Literal["grading", "segmentation", "localization"] = "grading"
    point_radius_px: float = 50.0
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms("CC BY 4.0", "open: IEEE DataPort, after registration")

    def __post_init__(self) -> None:
        if self.part not in LETTER_OF:
            raise InputError(f"`part` must be {', '.join(LETTER_OF)}; got {self.part!r}")
        if not self.point_radius_px > 0:
            raise InputError(f"`point_radius_px` must be above 0; got {self.point_radius_px}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The three folders, as far as they are there."""
        return ", ".join(find_sets(root)) or None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folders of one part.

        Raises:
            DataError: Folders, tables, images or masks are missing or wrong; all at once.
        """
        root = require_root(root, "idrid")
        files = walk_set(root, LETTER_OF[self.part])
        images = {file.key: file for file in reversed(files) if file.lesion is None}  # the first of two copies
        if not images:
            raise DataError(f"{root} holds no images of the part {self.part!r}; expected IDRiD's folders as unpacked")
        part = _Part(root, images, [])
        content = self._content(part, files)
        annotations = annotation_table(content.shapes, "expert")
        problems = annotation_problems(annotations, images, content.classes, content.where or None)
        raise_problems([*part.problems, *problems])
        keys = sorted(content.states)
        table = image_table(
            {
                "image_id": keys,
                "path": [images[key].path for key in keys],
                "split": [images[key].split for key in keys],
            }
        )
        pixels = ImageFiles(root, tuple(table["path"]))
        states = np.array([content.states[key] for key in keys])
        return Dataset(
            name="idrid",
            classes=content.classes,
            images=table,
            labels=label_table(keys, content.classes, states, "expert"),
            annotations=annotations,
            read_pixels=pixels,
            content=FileContent(pixels),
            notes=(
                f"{len(keys)} images of the part {self.part}",
                "no patient is published: every image is its own cluster",
                *content.notes,
            ),
            flips_allowed=True,
        )

    def _content(self, part: _Part, files: Sequence[File]) -> _Content:
        if self.part == "grading":
            return _grading(part)
        if self.part == "segmentation":
            return _segmentation(part, [file for file in files if file.lesion is not None])
        return self._localization(part)

    def _localization(self, part: _Part) -> _Content:
        points, problems = read_points(part.root)
        part.problems += [*problems, *_strangers(part, [key for key, *_ in points])]
        found = {(key, what) for key, what, *_ in points}
        states = {
            key: np.array(["positive" if (key, what) in found else "unmentioned" for what in _POINTS])
            for key in part.images
        }
        shapes: list[Shape] = []
        where: list[str] = []
        for key, what, x, y, place in points:
            if key in part.images:
                shapes.append((key, what, "disc", [x, y, self.point_radius_px], part.size(key)))
                where.append(place)
        note = f"points became discs of {self.point_radius_px:g} px radius; both are in every image: no class to learn"
        return _Content(_POINTS, states, shapes, where, [note])


def _grading(part: _Part) -> _Content:
    grades, problems = read_grades(part.root)
    part.problems += [*problems, *_strangers(part, [key for key, *_ in grades])]
    states = {
        key: np.array(["positive" if number in (grade, 5 + risk) else "negative" for number in range(len(_GRADES))])
        for key, grade, risk in grades
        if key in part.images
    }
    ungraded = len(part.images) - len(states)
    return _Content(_GRADES, states, notes=[f"{ungraded} images have no grade and were left out"] if ungraded else [])


def _segmentation(part: _Part, masks: Sequence[File]) -> _Content:
    classes = tuple(LESIONS.values())
    states = {key: np.full(len(classes), "negative", dtype=object) for key in part.images}
    shapes: list[Shape] = []
    empty = 0
    part.problems += _strangers(part, [mask.key for mask in masks])
    for mask in {(mask.key, mask.lesion): mask for mask in reversed(masks)}.values():
        if mask.key not in part.images or mask.lesion is None:
            continue
        try:
            size = part.size(mask.key)
            drawn = read_foreground(part.root / mask.path, size)
        except DataError as error:
            part.problems.extend(error.problems)
            continue
        if drawn.any():
            name = LESIONS[mask.lesion]
            shapes.append((mask.key, name, "rle", encode_rle(drawn), size))
            states[mask.key][classes.index(name)] = "positive"
        empty += not drawn.any()
    notes = [f"{len(shapes)} masks; a lesion without a mask file does not occur in its image"]
    notes += [f"{empty} masks are empty, which is negative"] if empty else []
    return _Content(classes, states, sorted(shapes, key=lambda shape: shape[:2]), (), notes)


def _strangers(part: _Part, keys: Sequence[str]) -> list[str]:
    absent = sorted(set(keys) - set(part.images))
    if not absent:
        return []
    return [f"{len(absent)} images are named and not on disk: {some(absent)}; unpack them below {part.root}"]
