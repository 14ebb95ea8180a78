"""YOLO: a text file of boxes or polygons per image, beside a list of class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS
from tailscope.data.tables import annotation_table, image_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.drawn_labels import drawn_labels
from tailscope.sources.placed_images import PlacedImages
from tailscope.sources.split_words import split_of_path
from tailscope.sources.yolo_labels import parse_line
from tailscope.sources.yolo_names import YoloNames, find_names, stated_splits
from tailscope.sources.yolo_reading import YoloReading

READER = "annotator"
_LABELS = ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt")
_BESIDE = ("*.txt", "*/*.txt")  # looked at only where there is a list of names


@DATASETS.register("yolo")
@dataclass(frozen=True)
class Yolo:
    """Images with YOLO's label files: in ``labels`` for those in ``images``, else beside each image.

    Folders of the splits may lie above or below ``images`` and ``labels``. A line is ``class x y width height`` (a box
    about its centre), with or without a confidence, or ``class x y x y …`` (a polygon), in shares of the image's
    sides. The names of the classes stand in ``data.yaml`` or another YAML file at the top, in ``classes.txt`` or in
    ``*.names``. An image is known by its path below the root. Its split is the one that ``data.yaml`` states, else the
    word train, val, valid or test in its folders.

    An empty label file says that nothing was found. A missing one says nothing: the image is left out, unless
    ``missing_label`` is ``negative``.

    Args:
        names: Class names by number; None reads them from the folder.
        missing_label: ``unlabelled`` or ``negative``: what an image without label file is.
        exhaustive: Whether a labelled image without shape of a class was found free of it; else that is unmentioned.
        flips_allowed: Whether a left-right flip leaves the labels true.

    Source: the format's pages at docs.ultralytics.com.
    """

    names: tuple[str, ...] | None = None
    missing_label: Literal["unlabelled", "negative"] = "unlabelled"
    exhaustive: bool = True
    flips_allowed: bool = False
    is_format: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.missing_label not in ("unlabelled", "negative"):
            raise InputError(f"`missing_label` must be unlabelled or negative; got {self.missing_label!r}")
        if self.names is not None:
            if isinstance(self.names, str) or not self.names or len(set(self.names)) < len(self.names):
                raise InputError(f"`names` must be a list of different class names; got {self.names!r}")
            object.__setattr__(self, "names", tuple(self.names))  # YAML gives lists

    @staticmethod
    def recognise(root: Path) -> str | None:
        """Label files with lines of YOLO's form."""
        try:
            names = find_names(root)
        except (DataError, OSError, UnicodeDecodeError):
            names = None
        patterns = (*_LABELS, *_BESIDE) if names else _LABELS
        path = next((path for pattern in patterns for path in sorted(root.glob(pattern)) if _is_label_file(path)), None)
        if path is None:
            return None
        where = path.relative_to(root).with_name("*.txt").as_posix()
        return f"{where} and {names.file if names else 'no names'}, YOLO"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the label files and the sizes of the images.

        Raises:
            DataError: Names, files, lines or shapes are missing or wrong; all at once.
        """
        root = require_root(root, "yolo")
        names = self._names(root)
        reading = YoloReading(root, names)
        reading.find(_images(root), keep_unlabelled=self.missing_label == "negative")
        reading.read()
        split_of, split_notes = _splits(root, names.content, sorted(reading.sizes))
        annotations = annotation_table(reading.shapes, READER)
        classes, paths = tuple(names.names.values()), sorted(reading.sizes)
        bad_shapes = annotation_problems(annotations, set(paths), classes, reading.where)
        raise_problems([*reading.problems, *bad_shapes])
        stated = {(path, name): "positive" for path, name, *_ in reading.shapes}
        files = ImageFiles(root, tuple(paths))
        return Dataset(
            name="yolo",
            classes=classes,
            images=_image_table(reading.sizes, split_of),
            labels=drawn_labels(paths, classes, stated, exhaustive=self.exhaustive, reader=READER),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(
                f"{len(classes)} classes of {names.file}",
                *reading.notes(self.missing_label),
                f"a class without shape on a labelled image is {'negative' if self.exhaustive else 'unmentioned'}",
                *split_notes,
                "no patient is known: every image is its own cluster",
            ),
            flips_allowed=self.flips_allowed,
        )

    def _names(self, root: Path) -> YoloNames:
        found = find_names(root)
        if self.names is not None:
            return YoloNames("`names`", dict(enumerate(self.names)), found.content if found else {})
        if found is None:
            raise DataError(f"{root} holds no data.yaml, classes.txt or *.names; expected class names: set `names`")
        return found


def _images(root: Path) -> list[str]:
    """The images of the data set: those below folders ``images`` where there are any, else all."""
    paths = sorted(path.relative_to(root).as_posix() for path in walk_images(root))
    return [path for path in paths if "images" in PurePosixPath(path).parts[:-1]] or paths


def _splits(root: Path, content: Mapping[str, object], paths: Sequence[str]) -> tuple[dict[str, str | None], list[str]]:
    """Path to split, and what to tell of it."""
    stated: dict[str, set[str]] = {}
    places = PlacedImages.below(root)
    for split, place, listed in stated_splits(root, content):
        found = (
            [path for path in paths if path.startswith(f"{place}/")]
            if listed is None
            else [path for name in listed if (path := places.find(name)) is not None]
        )
        for path in found:
            stated.setdefault(path, set()).add(split)
    several = sum(len(splits) > 1 for splits in stated.values())
    notes = [f"{several} images stand in several splits of the YAML file: their split is not used"] if several else []
    split_of = {path: split_of_path(PurePosixPath(path).parent.as_posix()) for path in paths}
    split_of |= {path: next(iter(splits)) if len(splits) == 1 else None for path, splits in stated.items()}
    return split_of, notes


def _image_table(sizes: Mapping[str, Size], split_of: Mapping[str, str | None]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": list(sizes),
            "path": list(sizes),
            "split": [split_of[path] for path in sizes],
            "height": [height for height, _ in sizes.values()],
            "width": [width for _, width in sizes.values()],
        }
    )


def _is_label_file(path: Path) -> bool:
    """Whether the first line of a text file is a shape; an empty file is none."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            parse_line(stream.readline(1 << 16), (1, 1))
    except (DataError, OSError, UnicodeDecodeError):
        return False
    return True
