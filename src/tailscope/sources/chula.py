"""Chula RBC-12: blood smears with a point in the middle of every red cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems

CLASSES = (
    "normal cell",
    "macrocyte",
    "microcyte",
    "spherocyte",
    "target cell",
    "stomatocyte",
    "ovalocyte",
    "teardrop",
    "burr cell",
    "schistocyte",
    "uncategorised",
    "hypochromia",
    "elliptocyte",
)
FRAME = (480, 640)  # height, width of every image, which the points refer to


@DATASETS.register("chula_rbc12")
@dataclass(frozen=True)
class ChulaRbc12:
    """623 labelled blood smears of 640 × 480 pixels, 13 classes of red cells, every cell marked by a point.

    Expects ``Dataset/N.jpg`` and ``Label/N.txt`` with lines ``x y class``. An image without a label file is unlabelled
    and left out; an empty label file says that nothing was found. A class is positive where it has a point, else
    negative. No patient is known: every image is its own cluster.

    Args:
        radius_px: Radius of the disc that stands for a cell; cells are 70 to 80 pixels wide.

    Source: Naruenatthanaset et al. (2021), "Red blood cell segmentation with overlapping cell separation and
    classification on imbalanced dataset", arXiv:2012.01321. Its text counts 12 classes; the files hold 13.
    """

    radius_px: float = 35.0
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms("MIT", "open: github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset")

    def __post_init__(self) -> None:
        if not self.radius_px > 0:
            raise InputError(f"`radius_px` must be above 0; got {self.radius_px}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The folders ``Dataset`` and ``Label``."""
        return "Dataset and Label" if all((root / name).is_dir() for name in ("Dataset", "Label")) else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Folders, images or lines are missing or wrong; all at once.
        """
        root = require_root(root, "chula_rbc12")
        listed, unlabelled = _pair_files(root)
        shapes, where = self._points(root, listed)
        images = image_table(
            {
                "image_id": listed,
                "path": [f"Dataset/{name}.jpg" for name in listed],
                "height": [FRAME[0]] * len(listed),
                "width": [FRAME[1]] * len(listed),
            }
        )
        annotations = annotation_table(shapes, "expert")
        raise_problems(annotation_problems(annotations, set(listed), CLASSES, where))
        states = np.full((len(listed), len(CLASSES)), "negative", dtype=object)
        rows = {name: row for row, name in enumerate(listed)}
        for image_id, name, *_ in shapes:
            states[rows[image_id], CLASSES.index(name)] = "positive"
        files = ImageFiles(root, tuple(images["path"]))
        return Dataset(
            name="chula_rbc12",
            classes=CLASSES,
            images=images,
            labels=label_table(listed, CLASSES, states, "expert"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(listed)} labelled images; {unlabelled} images without a label file left out",
                f"points became discs of {self.radius_px:g} px radius in the 640 × 480 frame",
                "no patient is published: every image is its own cluster",
            ),
            flips_allowed=True,
        )

    def _points(self, root: Path, listed: list[str]) -> tuple[list[Shape], list[str]]:
        shapes: list[Shape] = []
        where, problems = [], []
        for image_id in listed:
            for place, fields in _lines(root / "Label" / f"{image_id}.txt"):
                try:
                    x, y, number = (int(field) for field in fields)
                    if not 0 <= number < len(CLASSES):
                        raise ValueError
                except ValueError:
                    problems.append(
                        f"{place}: {' '.join(fields)!r}; expected `x y class`, whole numbers, class 0 to 12"
                    )
                    continue
                shapes.append((image_id, CLASSES[number], "disc", [x, y, self.radius_px], FRAME))
                where.append(place)
        raise_problems(problems)
        return shapes, where


def _pair_files(root: Path) -> tuple[list[str], int]:
    """Names of the images with a label file, sorted, and how many have none."""
    absent = [
        f"folder {root / name} does not exist; expected it"
        for name in ("Dataset", "Label")
        if not (root / name).is_dir()
    ]
    raise_problems(absent)
    pictures = {path.stem for path in (root / "Dataset").glob("*.jpg")}
    labels = sorted(path.stem for path in (root / "Label").glob("*.txt"))
    if not labels:
        raise DataError(f"folder {root / 'Label'} holds no label file; expected N.txt beside Dataset/N.jpg")
    raise_problems(
        [
            f"Label/{name}.txt has no image; expected Dataset/{name}.jpg: restore it or remove the label file"
            for name in labels
            if name not in pictures
        ]
    )
    return labels, len(pictures - set(labels))


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield f"Label/{path.name}, line {number}", line.split()
