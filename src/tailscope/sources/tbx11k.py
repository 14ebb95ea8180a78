"""TBX11K: chest radiographs of healthy, otherwise ill and tuberculous people, with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, require_root, walk_images
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.coco_documents import CocoDocument, read_document
from tailscope.sources.coco_shapes import coco_shape
from tailscope.sources.listed_images import require_missing

TUBERCULOSIS = "tuberculosis"
CLASS_OF = {"health": "healthy", "sick": "sick, not tuberculosis", "tb": TUBERCULOSIS}  # by folder
_LISTS = {"train": "TBX11K_train.json", "val": "TBX11K_val.json"}
_WHOLE = ("TBX11K_trainval.json", "TBX11K_trainval_only_tb.json")


@dataclass(frozen=True)
class _Boxes:
    """What the lists say, by image (folder and name).

    Args:
        documents: The lists, by split; one under None if there is no list per split.
        shapes: Category, edges, size of the frame, and place of each box.
        split_of: The images that are listed.
        problems: What is wrong.
    """

    documents: Mapping[str | None, CocoDocument]
    shapes: Mapping[str, list[tuple[str, list[float], tuple[int, int] | None, str]]]
    split_of: Mapping[str, str | None]
    problems: list[str]

    @property
    def kinds(self) -> list[str]:
        """The categories that have a box."""
        return sorted({name for shapes in self.shapes.values() for name, *_ in shapes})


@dataclass(frozen=True)
class _Place:
    """The home folder and the images in it, by folder and name, to their path below the root."""

    root: Path
    paths: Mapping[str, str]


@DATASETS.register("tbx11k")
@dataclass(frozen=True)
class Tbx11k:
    """11,200 radiographs of 512 × 512 pixels: healthy, sick but not tuberculous, tuberculous with boxes of its kinds.

    Expects ``imgs/{health,sick,tb}`` and ``annotations/json/TBX11K_{train,val}.json`` (or ``TBX11K_trainval.json``), in
    the root or in ``TBX11K``. The class of an image is its folder: the lists have boxes alone, and none for the healthy
    and the sick. A box of a kind of tuberculosis is a box of tuberculosis as well. Of a tuberculous image without any
    box the kind is unmentioned. The labels of ``imgs/test`` are withheld; ``imgs/extra`` repeats other sets: neither is
    read. No patient is published.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, or ``skip`` them.

    Source: Liu et al. (2020), "Rethinking computer-aided tuberculosis diagnosis", CVPR.
    """

    missing: Literal["error", "skip"] = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "CC BY-NC-SA: no commercial use (the code 4.0; the data 2.0 by second hand)",
        "open: mmcheng.net/tb, github.com/yun-liu/Tuberculosis",
    )

    def __post_init__(self) -> None:
        require_missing(self.missing, tables=False)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The folders of images and the lists."""
        home = _home(root)
        if home is None:
            return None
        return ", ".join(path.name for path in _list_files(home).values()) or None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Folders, lists, boxes or images are missing or wrong; all at once.
        """
        root = require_root(root, "tbx11k")
        home = _home(root)
        if home is None or not _list_files(home):
            raise DataError(
                f"{root} holds no imgs/health, imgs/sick, imgs/tb with annotations/json; expected them there"
            )
        boxes = _read_lists(root, _list_files(home))
        place = _Place(root, _index(root, home))
        kept = sorted(name for name in place.paths if name in boxes.split_of or None in boxes.documents)
        problems = [*boxes.problems, *self._missing_problems(boxes, place)]
        classes = (*CLASS_OF.values(), *boxes.kinds)
        shapes, where = _shapes(boxes, place)
        annotations = annotation_table(shapes, "radiologist")
        raise_problems([*problems, *annotation_problems(annotations, set(kept), classes, where)])
        images = image_table(
            {
                "image_id": kept,
                "path": [place.paths[name] for name in kept],
                "split": [boxes.split_of.get(name) for name in kept],
            }
        )
        files = ImageFiles(root, tuple(images["path"]), grey=True)
        states = np.array([_states(name, boxes, classes) for name in kept], dtype=object)
        return Dataset(
            name="tbx11k",
            classes=classes,
            images=images,
            labels=label_table(kept, classes, states, "expert"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=_notes(home, boxes, place, kept),
        )

    def _missing_problems(self, boxes: _Boxes, place: _Place) -> list[str]:
        absent = sorted(set(boxes.split_of) - set(place.paths))
        strangers = [name for name in absent if name.partition("/")[0] not in CLASS_OF]
        problems = (
            [f"{len(strangers)} listed images lie in no folder of a class: {some(strangers)}"] if strangers else []
        )
        lost = len(absent) - len(strangers)
        if lost and (self.missing == "error" or lost == len(boxes.split_of)):
            remedy = "unpack them, or set `missing: skip` to use the others"
            problems.append(f"{lost} of {len(boxes.split_of)} listed images are missing: {some(absent)}; {remedy}")
        return problems


def _home(root: Path) -> Path | None:
    places = (root, root / "TBX11K")
    return next((place for place in places if all((place / "imgs" / name).is_dir() for name in CLASS_OF)), None)


def _list_files(home: Path) -> dict[str | None, Path]:
    folder = home / "annotations" / "json"
    found: dict[str | None, Path] = {
        split: folder / name for split, name in _LISTS.items() if (folder / name).is_file()
    }
    whole = next((folder / name for name in _WHOLE if (folder / name).is_file()), None)
    return found or ({} if whole is None else {None: whole})


def _index(root: Path, home: Path) -> dict[str, str]:
    return {
        f"{folder}/{path.name}": path.relative_to(root).as_posix()
        for folder in CLASS_OF
        for path in walk_images(home / "imgs" / folder)
    }


def _read_lists(root: Path, files: Mapping[str | None, Path]) -> _Boxes:
    documents = {split: read_document(root, path) for split, path in files.items()}
    shapes: dict[str, list[tuple[str, list[float], tuple[int, int] | None, str]]] = {}
    split_of: dict[str, str | None] = {}
    problems: list[str] = []
    for split, document in documents.items():
        problems += document.problems
        for image in document.images.values():
            name = _key(image.name)
            if split_of.setdefault(name, split) != split:
                problems.append(f"{document.name}: image {name!r} stands in the other list as well; expected one")
        for where, entry in document.annotations:
            image = document.images[entry["image_id"]]
            try:
                shape = coco_shape(entry, "box")
            except DataError as error:
                problems += [f"{where}: {problem}" for problem in error.problems]
                continue
            if shape is not None:
                category = document.categories[entry["category_id"]]
                shapes.setdefault(_key(image.name), []).append((category, shape[1], image.size, where))
    return _Boxes(documents, shapes, split_of, problems)


def _key(name: str) -> str:
    """Folder and name: what a list writes, with or without ``imgs`` in front."""
    return "/".join(PurePosixPath(name.replace("\\", "/")).parts[-2:])


def _shapes(boxes: _Boxes, place: _Place) -> tuple[list[Shape], list[str]]:
    shapes: list[Shape] = []
    where: list[str] = []
    for name in sorted(set(boxes.shapes) & set(place.paths)):
        for category, edges, stated, at in boxes.shapes[name]:
            frame = stated or raster_size(place.root / place.paths[name])
            shapes += [(name, one, "box", edges, frame) for one in (TUBERCULOSIS, category)]
            where += [at, at]
    return shapes, where


def _states(name: str, boxes: _Boxes, classes: Sequence[str]) -> NDArray[np.str_]:
    own = CLASS_OF[name.partition("/")[0]]
    kinds = {category for category, *_ in boxes.shapes.get(name, [])}
    is_unclear = own == TUBERCULOSIS and not kinds
    states = [
        "positive" if one in {own, *kinds} else "unmentioned" if is_unclear and number >= len(CLASS_OF) else "negative"
        for number, one in enumerate(classes)
    ]
    return np.array(states, dtype=object)


def _notes(home: Path, boxes: _Boxes, place: _Place, kept: Sequence[str]) -> tuple[str, ...]:
    names = ", ".join(document.name for document in boxes.documents.values())
    unused = sorted({name for one in boxes.documents.values() for name in one.categories.values()} - set(boxes.kinds))
    unclear = sum(name.startswith("tb/") and name not in boxes.shapes for name in kept)
    tested = sum(1 for _ in walk_images(home / "imgs" / "test")) if (home / "imgs" / "test").is_dir() else 0
    counted = {
        "tuberculous images have no box; their kind is unmentioned": unclear,
        "images are in no list and were left out": len(place.paths) - len(kept),
        "images of imgs/test have no published label and were left out": tested,
        "listed images are not on disk and were skipped": len(set(boxes.split_of) - set(place.paths)),
    }
    return (
        f"{len(kept)} images; boxes of {names}; the class is the folder",
        "no patient is published: every image is its own cluster",
        *([f"categories without any box are no classes: {', '.join(unused)}"] if unused else []),
        *(["no list per split: no published split"] if None in boxes.documents else []),
        *(f"{count} {what}" for what, count in counted.items() if count),
    )
