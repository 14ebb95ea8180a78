"""CheXpert, full and small."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import ANY_SIZE, annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.chexpert_regions import ROLES, Form, Listed, Regions, key_of, read_regions, region_files
from tailscope.sources.chexpert_tables import CLASSES, View, read_views
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, require_missing

_VALIDATION_TABLES = ("valid.csv", "val_labels.csv")  # the same images, as released first and with the test set
_TAIL = re.compile(r"patient[^/]+/study[^/]+/[^/]+$")


@DATASETS.register("chexpert")
@dataclass(frozen=True)
class CheXpert:
    """224,316 chest radiographs of 65,240 patients, 14 observations mined from reports as 1, 0, -1 or blank.

    Expects ``train.csv`` and, where they are, ``valid.csv`` and ``test_labels.csv``, in the folder or in a
    ``CheXpert*`` folder below it. Images are found under the listed path, with or without its first folder, or in
    batch folders by ``patient…/study…/view…``, which is also their id. ``train.csv`` is the published training split,
    ``valid.csv`` validation, ``test_labels.csv`` test. Labels belong to a study and stand on each of its views.
    Where CheXlocalize lies beside them, what radiologists drew on validation and test images is read as well; every
    image that its files do not name was looked at and shows none of their ten tasks.

    Args:
        views: ``frontal``, or ``all``.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.
        train_table: Name of the training table, e.g. ``train_visualCheXbert.csv``.
        regions: Whose drawings of CheXlocalize to read, each a reader of this name: ``ground_truth``,
            ``human_benchmark`` (other radiologists, test images only), ``human_points``. With more than one, choose by
            ``readers`` of the data settings whose shapes count: their union mixes reference and benchmark.
        shapes: ``polygons``, as drawn, or ``masks``, as the authors drew them on pixels; whichever exists if one does.

    Source: Irvin et al. (2019), "CheXpert: a large chest radiograph dataset with uncertainty labels and expert
    comparison", AAAI; Saporta et al. (2022), "Benchmarking saliency methods for chest X-ray interpretation", Nature
    Machine Intelligence.
    """

    views: Literal["frontal", "all"] = "frontal"
    missing: Missing = "error"
    train_table: str = "train.csv"
    regions: tuple[str, ...] = ("ground_truth",)
    shapes: Form = "polygons"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "Stanford AIMI research use agreement: no commercial use, no redistribution",
        "registration with the Stanford AIMI centre",
    )

    def __post_init__(self) -> None:
        if self.views not in ("frontal", "all"):
            raise InputError(f"`views` must be frontal or all; got {self.views!r}")
        require_missing(self.missing)
        if self.shapes not in ("polygons", "masks"):
            raise InputError(f"`shapes` must be polygons or masks; got {self.shapes!r}")
        if isinstance(self.regions, str) or not set(self.regions) <= set(ROLES):
            raise InputError(f"`regions` must be a list of {', '.join(ROLES)}; got {self.regions!r}")
        object.__setattr__(self, "regions", tuple(self.regions))  # YAML gives lists

    @staticmethod
    def recognise(root: Path) -> str | None:
        """Tables with CheXpert's header, and the files of CheXlocalize."""
        paths = (find_table(root, name) for name in ("train.csv", *_VALIDATION_TABLES, "test_labels.csv"))
        found = [path.name for path in paths if path and {"Path", "No Finding"} <= set(columns_of(path))]
        return ", ".join([*found, *(path.name for path in region_files(root))]) if found else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Tables, rows or files are missing or wrong; all at once.
        """
        root = require_root(root, "chexpert")
        listed, problems = self._read(root)
        chosen = [view for view in listed if view.is_frontal or self.views == "all"]
        paths = self._find(root, [view.path for view in chosen])
        absent = [view.path for view, path in zip(chosen, paths, strict=True) if path is None]
        used = [(view, path) for view, path in zip(chosen, paths, strict=True) if path is not None]
        annotations, regions = self._read_regions(root, listed, used)
        lost = absence_problems(absent, len(chosen), root, self.missing, what="listed images")
        raise_problems([*problems, *lost, *regions.problems])
        images = _image_table(used)
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        states = np.array([view.states for view, _ in used], dtype=object).reshape(len(used), len(CLASSES))
        return Dataset(
            name="chexpert",
            classes=CLASSES,
            images=images,
            labels=label_table([view.image_id for view, _ in used], CLASSES, states, "report"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(*_notes(listed, chosen, absent), *regions.notes, *_disagreement(used, annotations)),
        )

    def _find(self, root: Path, listed: list[str]) -> Sequence[str | None]:
        return listed if self.missing == TABLES_ALONE else _Finder(root).find(listed)

    def _read_regions(
        self, root: Path, listed: list[View], used: list[tuple[View, str]]
    ) -> tuple[pd.DataFrame, Regions]:
        image_of = {key_of(view.image_id): view.image_id for view in listed}
        sizes = _Sizes(root, {view.image_id: path for view, path in used}, self.missing == TABLES_ALONE)
        split_of = {view.image_id: view.split for view in listed}
        regions = read_regions(root, self.regions, self.shapes, Listed(image_of, split_of, sizes))
        annotations = annotation_table(regions.shapes, "").assign(reader=regions.readers)
        regions.problems += annotation_problems(annotations, sizes.path_of, CLASSES, regions.where)
        return annotations, regions

    def _read(self, root: Path) -> tuple[list[View], list[str]]:
        views: list[View] = []
        problems: list[str] = []
        validation = (path for name in _VALIDATION_TABLES if (path := find_table(root, name)) is not None)
        tables = {
            "train": find_table(root, self.train_table),
            "val": next(validation, None),
            "test": find_table(root, "test_labels.csv"),
        }
        for split, path in tables.items():
            if path is not None:
                more, wrong = read_views(read_text_table(path), split)
                views += more
                problems += wrong
        if not views and not problems:
            raise DataError(f"{root} holds no {self.train_table} with rows; expected CheXpert's tables there")
        twice = [name for name, count in Counter(view.image_id for view in views).items() if count > 1]
        if twice:
            problems.append(f"{len(twice)} images are listed more than once: {some(twice)}; keep one row each")
        return views, problems


def find_table(root: Path, name: str) -> Path | None:
    """A table in the folder itself, or else in a ``CheXpert*`` folder below it."""
    candidates = [root / name, *(folder / name for folder in sorted(root.glob("[Cc]he[Xx]pert*")))]
    return next((path for path in candidates if path.is_file()), None)


class _Finder:
    """Finds the file of a listed path, cheaply where it lies as listed, by a walk over all folders where not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_tail: dict[str, str] | None = None

    def find(self, paths: Sequence[str]) -> list[str | None]:
        return [self._one(path) for path in paths]

    def _one(self, path: str) -> str | None:
        for candidate in (path, path.partition("/")[2]):
            if candidate and (self.root / candidate).is_file():
                return candidate
        tail = _TAIL.search(path)
        return self._tails().get(tail[0]) if tail else None

    def _tails(self) -> dict[str, str]:
        if self._by_tail is None:
            self._by_tail = {}
            for file in walk_images(self.root):
                relative = file.relative_to(self.root).as_posix()
                if match := _TAIL.search(relative):
                    self._by_tail.setdefault(match[0], relative)
        return self._by_tail


@dataclass(frozen=True)
class _Sizes:
    """Image id to the (height, width) of its file; None for a view that is not used, or ANY_SIZE without files."""

    root: Path
    path_of: Mapping[str, str]
    absent: bool

    def __call__(self, image_id: str) -> Size | None:
        path = self.path_of.get(image_id)
        if path is not None and self.absent:
            return ANY_SIZE
        return None if path is None else raster_size(self.root / path)


def _image_table(used: list[tuple[View, str]]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": [view.image_id for view, _ in used],
            "path": [path for _, path in used],
            "patient_id": [view.patient for view, _ in used],
            "split": [view.split for view, _ in used],
            "age": [view.age_years for view, _ in used],
            "sex": [view.sex for view, _ in used],
            "view": [view.projection for view, _ in used],
        }
    )


def _notes(listed: list[View], chosen: list[View], absent: list[str]) -> tuple[str, ...]:
    notes = [f"{len(chosen)} of {len(listed)} listed views used; blank labels stay unmentioned, -1 uncertain"]
    odd = sum(view.is_frontal and view.projection in ("LL", "RL") for view in chosen)
    if odd:
        notes.append(f"{odd} views are called frontal and projected laterally (LL, RL); they were kept")
    states: dict[str, tuple[str, ...]] = {}
    mixed = {view.study for view in listed if states.setdefault(view.study, view.states) != view.states}
    if mixed:
        notes.append(f"{len(mixed)} studies carry different labels on their views: {some(sorted(mixed))}")
    if absent:
        notes.append(f"{len(absent)} listed images are not on disk and were skipped")
    return tuple(notes)


def _disagreement(used: list[tuple[View, str]], annotations: pd.DataFrame) -> list[str]:
    """How often a region stands on an image whose label is not positive; such a region is not used."""
    if annotations.empty:
        return []
    positive = {
        (view.image_id, name)
        for view, _ in used
        for name, state in zip(CLASSES, view.states, strict=True)
        if state == "positive"
    }
    drawn = set(zip(annotations["image_id"], annotations["class"], strict=True))
    return [f"{len(drawn)} pairs of image and class have a region; {len(drawn - positive)} are not positive by label"]
