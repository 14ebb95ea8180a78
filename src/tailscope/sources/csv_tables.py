"""Any folder of images with a table of labels, and optionally a table of annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import IMAGE_SUFFIXES, FileContent, ImageFiles, inside, require_root, walk_images
from tailscope.data.places import image_folder
from tailscope.data.registry import DATASETS
from tailscope.data.tables import STATE_OF, annotation_table, image_table, label_table
from tailscope.data.text_tables import TextTable, read_text_table
from tailscope.data.validation import Collected, annotation_problems, raise_problems, some
from tailscope.sources.csv_columns import further_columns, image_column, label_tables
from tailscope.sources.csv_shapes import BoxFormat, ShapeReader, shape_readers
from tailscope.sources.mask_folders import MaskFolders, MaskPattern
from tailscope.sources.split_words import SPLIT_OF

MASK_READER = "mask files"
_BLANK = ("", "nan", "none", "null", "na", "n/a")  # what programs write for a cell without value


@DATASETS.register("csv")
@dataclass(frozen=True)
class CsvTables:
    """A folder of images, a CSV or TSV with one row per image and one column per class, and masks or other shapes.

    Label cells: 1 positive, 0 negative, -1 uncertain, blank unmentioned; anything else is refused. Other columns, such
    as view or sex, are kept with the images, for samplers that balance groups.

    The annotation table has the columns ``image``, ``class`` and, per shape, ``x0, y0, x1, y1``, or
    ``x, y, width, height``, or a point ``x, y``, or ``mask_file``: an image, relative to the root, in which 0 is
    background and 1 or 255 foreground. A row that leaves its shape blank says nothing. Where there is a column
    ``reader``, it names who drew the shape.

    Masks in a folder per class need no table: ``masks: masks/{class}`` finds ``masks/mass/001.png`` for the class
    ``mass`` and the image ``001.jpg``, and ``masks/{image}_{class}`` finds ``masks/001_mass.png``. A mask has the size
    of its image, 0 for background and 1 or 255 for foreground; an empty one draws nothing.

    Args:
        labels: The table of labels, relative to the root.
        images: The folder of the images, relative to the root.
        image_column: Column with the path of the image below ``images``; the suffix may be left out.
        patient_column: Column with the patient; None where no patient is known.
        split_column: Column with train, val or test; None to cut a split.
        classes: Label columns; None takes every other column that holds only 0, 1, -1 or blank.
        annotations: The table of annotations, relative to the root.
        masks: How mask files are named, relative to the root, with ``{class}`` and ``{image}``.
        box_format: ``xyxy`` or ``xywh``; None tells it from the column names.
        annotation_size: (height, width) of the raster that the coordinates refer to; None: the image's own.
        point_radius_px: Radius of the disc that stands for a point, in pixels of that raster.
        flips_allowed: Whether a left-right flip leaves the labels true.
    """

    labels: str = "labels.csv"
    images: str = "images"
    image_column: str = "image"
    patient_column: str | None = None
    split_column: str | None = None
    classes: tuple[str, ...] | None = None
    annotations: str | None = None
    masks: str | None = None
    box_format: BoxFormat | None = None
    annotation_size: tuple[int, int] | None = None
    point_radius_px: float | None = None
    flips_allowed: bool = False
    is_format: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._require_text()
        if self.box_format not in (None, "xyxy", "xywh"):
            raise InputError(f"`box_format` must be xyxy or xywh; got {self.box_format!r}")
        if self.point_radius_px is not None and not self.point_radius_px > 0:
            raise InputError(f"`point_radius_px` must be above 0; got {self.point_radius_px}")
        if self.annotation_size is not None and (len(self.annotation_size) != 2 or min(self.annotation_size) < 1):
            raise InputError(f"`annotation_size` must be [height, width]; got {self.annotation_size}")
        for name in ("classes", "annotation_size"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))  # YAML gives lists

    def _require_text(self) -> None:
        needed = ("labels", "images", "image_column")
        optional = ("patient_column", "split_column", "annotations", "masks")
        for name in (*needed, *optional):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name in optional):
                raise InputError(f"`{name}` must be text, such as a file name; got {value!r}")
        if isinstance(self.classes, str):
            raise InputError(f"`classes` must be a list of columns, such as [{self.classes}]; got {self.classes!r}")
        if self.masks is not None:
            MaskPattern(self.masks)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """A table with a column of image names."""
        found = next((path for path in label_tables(root) if image_column(path) is not None), None)
        return None if found is None else f"{found.name}, with a column of image names"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the tables and find the files.

        Raises:
            DataError: Columns, cells, files or shapes are missing or wrong; all at once.
        """
        root = require_root(root, "csv")
        table = read_text_table(root / inside(self.labels))
        self._require_columns(table)
        ids, paths, problems = self._find_images(root, table)
        names, ignored = self._choose_classes(table)
        states, bad_cells = _states(table, names)
        patients, splits, bad_splits = self._groups(table)
        problems += bad_cells + bad_splits
        path_of = dict(zip(ids, paths, strict=True))
        shapes, bad_shapes = self._read_annotations(root, path_of, names, ignored)
        masks, bad_masks, mask_notes = self._read_masks(root, path_of, names, ignored)
        raise_problems(problems + bad_shapes + bad_masks)
        further = further_columns(table, ignored)
        images = image_table({"image_id": ids, "path": paths, "patient_id": patients, "split": splits, **further})
        files = ImageFiles(root, tuple(images["path"]))
        notes = [f"{len(ids)} rows of {table.name}; classes {', '.join(names)}"]
        if unlisted := self._unlisted(root, set(paths)):
            notes.append(f"{unlisted} images below {self.images} stand in no row and were left out")
        if further:
            notes.append(f"columns kept beside the labels: {', '.join(further)}")
        if unused := [name for name in ignored if name not in further]:
            notes.append(f"columns not used: {', '.join(unused)}")
        return Dataset(
            name="csv",
            classes=names,
            images=images,
            labels=label_table(ids, names, states, "table"),
            annotations=_joined(shapes, masks),
            read_pixels=files,
            content=FileContent(files),
            notes=(*notes, *mask_notes),
            flips_allowed=self.flips_allowed,
        )

    def _require_columns(self, table: TextTable) -> None:
        checks = Collected()
        named = (self.image_column, self.patient_column, self.split_column, *(self.classes or ()))
        for name in filter(None, named):
            with checks.go_on():
                table.column(name)
        checks.raise_all()

    def _find_images(self, root: Path, table: TextTable) -> tuple[list[str], list[str], list[str]]:
        folder = image_folder(root, inside(self.images)) if self.images not in ("", ".") else root
        ids, paths, problems, absent = [], [], [], []
        seen: dict[str, int] = {}
        for row, name in enumerate(table.column(self.image_column)):
            try:
                file = _existing(folder, inside(name))
            except DataError as error:
                problems.append(f"{table.where(row)}: {error}")
                continue
            if file is None:
                absent.append(f"{name} ({table.where(row)})")
            if name in seen:
                problems.append(f"{table.where(row)}: image {name!r} stands in line {seen[name]} already; keep one row")
            seen.setdefault(name, table.lines[row])
            ids.append(name)
            paths.append((file or folder / inside(name)).relative_to(root).as_posix())
        if absent:
            problems.append(
                f"{len(absent)} of {len(table)} images are missing below {folder}: {some(absent)}; restore them"
            )
        return ids, paths, problems

    def _choose_classes(self, table: TextTable) -> tuple[tuple[str, ...], list[str]]:
        named = {self.image_column, self.patient_column, self.split_column}
        others = [name for name in table.columns if name and name not in named]
        if self.classes is not None:
            return tuple(self.classes), [name for name in others if name not in self.classes]
        shares = {name: _share_of_labels(table.column(name)) for name in others}
        doubtful = [name for name, share in shares.items() if 0.5 < share < 1]
        raise_problems(
            [
                f"{table.name}: column {name!r} is mostly 0, 1, -1 or blank, but not everywhere; "
                f"{_first_bad_cell(table, name)}: correct it, or list the label columns in `classes`"
                for name in doubtful
            ]
        )
        chosen = tuple(name for name, share in shares.items() if share == 1)
        if not chosen:
            raise DataError(f"{table.name} has no column of 0, 1, -1 or blank; name the label columns in `classes`")
        return chosen, [name for name in others if name not in chosen]

    def _groups(self, table: TextTable) -> tuple[list[str | None], list[str | None], list[str]]:
        patients: list[str | None] = [None] * len(table)
        splits: list[str | None] = [None] * len(table)
        problems = []
        if self.patient_column is not None:
            cells = table.column(self.patient_column)
            patients = [None if text.lower() in _BLANK else text for text in cells]
        if self.split_column is not None:
            for row, text in enumerate(table.column(self.split_column)):
                splits[row] = SPLIT_OF.get(text.lower())
                if text and splits[row] is None:
                    problems.append(f"{table.where(row)}: split {text!r} is unknown; expected train, val or test")
        return patients, splits, problems

    def _read_annotations(
        self, root: Path, path_of: dict[str, str], classes: tuple[str, ...], ignored: list[str]
    ) -> tuple[pd.DataFrame, list[str]]:
        if self.annotations is None:
            return annotation_table([], "table"), []
        table = read_text_table(root / inside(self.annotations))
        reader = ShapeReader(root, self._sizes(root, path_of), self.box_format, self.point_radius_px)
        stems = {Path(name).with_suffix("").as_posix(): name for name in path_of}
        shapes, rows, problems = reader.read(table, lambda name: name if name in path_of else stems.get(name, name))
        kept = [place for place, shape in enumerate(shapes) if shape[1] not in ignored]
        rows = [rows[place] for place in kept]
        names, unnamed = shape_readers(table, rows)
        annotations = annotation_table([shapes[place] for place in kept], "table").assign(reader=names)
        where = [table.where(row) for row in rows]
        return annotations, problems + unnamed + annotation_problems(annotations, path_of, classes, where)

    def _read_masks(
        self, root: Path, path_of: dict[str, str], classes: tuple[str, ...], ignored: list[str]
    ) -> tuple[pd.DataFrame, list[str], tuple[str, ...]]:
        if self.masks is None:
            return annotation_table([], MASK_READER), [], ()
        pattern = MaskPattern(inside(self.masks))
        folders = MaskFolders(root, pattern, path_of, _file_sizes(root, path_of))
        folders.read(classes, ignored)
        masks = annotation_table(sorted(folders.shapes, key=lambda shape: shape[:2]), MASK_READER)
        return masks, folders.problems, tuple(folders.notes())

    def _unlisted(self, root: Path, listed: set[str]) -> int:
        """How many images in the folder of the images stand in no row; unknown where that is the root."""
        if self.images in ("", "."):
            return 0
        folder = image_folder(root, inside(self.images))
        return sum(path.relative_to(root).as_posix() not in listed for path in walk_images(folder))

    def _sizes(self, root: Path, path_of: dict[str, str]) -> Callable[[str], Size | None]:
        return _file_sizes(root, path_of) if self.annotation_size is None else lambda _: self.annotation_size


def _joined(shapes: pd.DataFrame, masks: pd.DataFrame) -> pd.DataFrame:
    filled = [table for table in (shapes, masks) if not table.empty]  # pandas warns of joining empty ones
    return pd.concat(filled, ignore_index=True) if filled else shapes


def _file_sizes(root: Path, path_of: dict[str, str]) -> Callable[[str], Size | None]:
    """Image id to the (height, width) of its file, read once; None where it is missing."""
    known: dict[str, Size | None] = {}

    def size_of(image_id: str) -> Size | None:
        if image_id not in known:
            path = root / path_of[image_id] if image_id in path_of else None
            known[image_id] = raster_size(path) if path is not None and path.is_file() else None
        return known[image_id]

    return size_of


def _existing(folder: Path, name: str) -> Path | None:
    """The image file of this name, or of this name with a usual suffix."""
    candidates = [folder / name, *(folder / f"{name}{suffix}" for suffix in IMAGE_SUFFIXES)]
    return next((path for path in candidates if path.is_file()), None)


def _share_of_labels(cells: list[str]) -> float:
    """Share of filled cells that hold a label; 0 for a column without any."""
    filled = [cell for cell in cells if cell]
    return sum(cell in STATE_OF for cell in filled) / len(filled) if filled else 0.0


def _states(table: TextTable, classes: tuple[str, ...]) -> tuple[NDArray[np.str_], list[str]]:
    columns = [[STATE_OF.get(cell) for cell in table.column(name)] for name in classes]
    problems = [
        f"{table.name}: {_first_bad_cell(table, name)}; expected 0, 1, -1 or blank"
        for name, column in zip(classes, columns, strict=True)
        if None in column
    ]
    states = np.array(columns, dtype=object).T.reshape(len(table), len(classes))
    return states, problems


def _first_bad_cell(table: TextTable, column: str) -> str:
    cells = table.column(column)
    bad = [row for row, cell in enumerate(cells) if cell not in STATE_OF]
    more = f" and {len(bad) - 1} more cells" if len(bad) > 1 else ""
    return f"column {column!r} holds {cells[bad[0]]!r} in line {table.lines[bad[0]]}{more}"
