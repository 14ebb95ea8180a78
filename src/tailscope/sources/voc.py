"""Pascal VOC: a folder of XML files with boxes, beside a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.geometry import Size
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, inside, require_root
from tailscope.data.registry import DATASETS
from tailscope.data.tables import annotation_table, image_table
from tailscope.data.validation import annotation_problems, raise_problems, some
from tailscope.sources.drawn_labels import drawn_labels
from tailscope.sources.placed_images import PlacedImages, ReferenceSizes
from tailscope.sources.voc_files import VocImage, VocObject, read_image_sets, read_voc

READER = "annotator"
Placed = tuple[str, str, VocObject]  # the image's name, the object's place for messages, the object
_LOOKED_AT = 4096  # bytes of one file, to recognise it


@DATASETS.register("voc")
@dataclass(frozen=True)
class Voc:
    """Images with Pascal VOC's XML files: ``Annotations/NAME.xml``, ``JPEGImages/NAME.*``, perhaps ``ImageSets/Main``.

    An image is known by the name of its XML file; the names and paths within the files are those of other machines
    and only looked at where no image has that name. Images without XML file are unlabelled and left out. The lists
    of ``ImageSets/Main`` give the splits.

    Corners are whole pixels counted from 1, both within the box: xmin 1 and xmax 10 cover ten columns. Tools that
    count from 0 write edges; they are told by a corner at 0 anywhere in the folder, and the notes say so.

    Args:
        annotations: Folder of the XML files, relative to the root.
        images: Folder below which the images are searched, relative to the root.
        first_pixel: 1 or 0, how the corners count; None tells it from the smallest corner of the folder.
        difficult: The state of a class that has only difficult objects on an image: ``positive``, or ``uncertain`` as
            VOC's lists per class have it.
        exhaustive: Whether an image without object of a class was found free of it; else that is unmentioned.
        flips_allowed: Whether a left-right flip leaves the labels true.

    Source: Everingham et al. (2010), "The Pascal visual object classes (VOC) challenge", IJCV 88, and its development
    kit.
    """

    annotations: str = "Annotations"
    images: str = "JPEGImages"
    first_pixel: Literal[0, 1] | None = None
    difficult: Literal["positive", "uncertain"] = "positive"
    exhaustive: bool = True
    flips_allowed: bool = False
    is_format: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.first_pixel not in (None, 0, 1):
            raise InputError(f"`first_pixel` must be 0 or 1; got {self.first_pixel!r}")
        if self.difficult not in ("positive", "uncertain"):
            raise InputError(f"`difficult` must be positive or uncertain; got {self.difficult!r}")
        for name in ("annotations", "images"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"`{name}` must be a folder, relative to the root; got {getattr(self, name)!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """XML files with the root ``annotation`` in ``Annotations``."""
        path = min((root / "Annotations").glob("*.xml"), default=None)
        try:
            if path is None or b"<annotation" not in path.read_bytes()[:_LOOKED_AT]:
                return None
        except OSError:
            return None
        return "Annotations/*.xml, Pascal VOC"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the XML files and find the images.

        Raises:
            DataError: Files, images, objects or boxes are missing or wrong; all at once.
        """
        root = require_root(root, "voc")
        files, problems = _read_files(root, inside(self.annotations))
        places, sizes = PlacedImages.below(root, self.images), ReferenceSizes(root)
        placed, bad_places = _place(files, places, sizes)
        split_of, unlisted, both = read_image_sets(root / "ImageSets" / "Main", frozenset(files))
        objects = [(name, where, one) for name in sorted(placed) for where, one in files[name].objects]
        first = _smallest_corner(objects) if self.first_pixel is None else self.first_pixel
        classes = tuple(sorted({one.name for _, _, one in objects}))
        shapes = [(name, one.name, "box", _edges(one, first), placed[name][1]) for name, _, one in objects]
        annotations = annotation_table(shapes, READER)
        bad_shapes = annotation_problems(annotations, set(placed), classes, [where for _, where, _ in objects])
        raise_problems([*problems, *bad_places, *both, *bad_shapes])
        if not classes:
            raise DataError(f"{root / self.annotations} holds no object; expected at least one, for its class")
        images = _image_table(placed, split_of)
        pixels = ImageFiles(root, tuple(images["path"]))
        stated = self._stated(objects)
        return Dataset(
            name="voc",
            classes=classes,
            images=images,
            labels=drawn_labels(sorted(placed), classes, stated, exhaustive=self.exhaustive, reader=READER),
            annotations=annotations,
            read_pixels=pixels,
            content=FileContent(pixels),
            notes=(
                f"{len(placed)} XML files with {len(objects)} objects; {len(split_of)} in the lists of ImageSets/Main",
                *_corner_notes(objects, first, told=self.first_pixel is None),
                *self._notes(objects, len(places) - len(placed), unlisted),
                *sizes.notes(),
                "no patient is published: every image is its own cluster",
            ),
            flips_allowed=self.flips_allowed,
        )

    def _stated(self, objects: Sequence[Placed]) -> dict[tuple[str, str], str]:
        stated = {(name, one.name): self.difficult for name, _, one in objects if one.difficult}
        return {**stated, **{(name, one.name): "positive" for name, _, one in objects if not one.difficult}}

    def _notes(self, objects: Sequence[Placed], unlabelled: int, unlisted: int) -> Iterator[str]:
        if difficult := sum(one.difficult for _, _, one in objects):
            yield f"{difficult} objects are marked difficult: a class with no other on an image is {self.difficult}"
        if truncated := sum(one.truncated for _, _, one in objects):
            yield f"{truncated} objects are marked truncated and are kept"
        absent = "negative" if self.exhaustive else "unmentioned (`exhaustive` is false)"
        yield f"a class without object on an image is {absent}"
        if unlabelled:
            yield f"{unlabelled} images without an XML file left out"
        if unlisted:
            yield f"{unlisted} listed images have no XML file"


def _read_files(root: Path, folder: str) -> tuple[dict[str, VocImage], list[str]]:
    files: dict[str, VocImage] = {}
    problems: list[str] = []
    paths = sorted((root / folder).glob("*.xml"))
    if not paths:
        raise DataError(f"folder {root / folder} holds no XML file; expected NAME.xml: set `annotations`")
    for path in paths:
        try:
            files[path.stem] = read_voc(path, f"{folder}/{path.name}")
        except (DataError, OSError) as error:
            problems.append(str(error))
        else:
            problems += files[path.stem].problems
    return files, problems


def _place(
    files: Mapping[str, VocImage], places: PlacedImages, sizes: ReferenceSizes
) -> tuple[dict[str, tuple[str, Size, Size]], list[str]]:
    """Name to path, reference size and the file's size, of the images that are on disk."""
    placed: dict[str, tuple[str, Size, Size]] = {}
    taken: dict[str, str] = {}
    absent, problems = [], []
    for name, file in files.items():
        try:
            path = places.find(name) or (places.find(file.file_name) if file.file_name else None)
            if path is None:
                absent.append(name)
            elif taken.setdefault(path, name) != name:
                problems.append(f"{name}.xml and {taken[path]}.xml belong to one image, {path}; expected one of them")
            else:
                placed[name] = (path, *sizes(path, file.size))
        except DataError as error:
            problems.append(f"{name}.xml: {error}")
    if absent:
        problems.append(
            f"{len(absent)} of {len(files)} XML files have no image: {some(absent)}; restore the images or set `images`"
        )
    return placed, problems


def _image_table(placed: Mapping[str, tuple[str, Size, Size]], split_of: Mapping[str, str]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": list(placed),
            "path": [path for path, _, _ in placed.values()],
            "split": [split_of.get(name) for name in placed],
            "height": [size[0] for _, _, size in placed.values()],
            "width": [size[1] for _, _, size in placed.values()],
        }
    )


def _smallest_corner(objects: Sequence[Placed]) -> int:
    """0 where a corner stands at 0 or before, which no count from 1 can give; else 1."""
    return 0 if any(min(one.corners) <= 0 for _, _, one in objects) else 1


def _edges(one: VocObject, first: int) -> list[float]:
    """Canonical edges; a box from 1 to 10, both included, is that from 0 to 10."""
    xmin, ymin, xmax, ymax = one.corners
    return [xmin - first, ymin - first, xmax, ymax]


def _corner_notes(objects: Sequence[Placed], first: int, *, told: bool) -> Iterator[str]:
    why = f"; told by the smallest corner, {min(min(one.corners) for _, _, one in objects):g}" if told else ""
    yield f"corners are {'whole pixels counted from 1' if first else 'edges counted from 0'}{why}"
    edges = [_edges(one, first) for _, _, one in objects]
    if thin := sum(x1 - x0 == 1 and y1 - y0 == 1 for x0, y0, x1, y1 in edges):
        yield f"{thin} boxes are single pixels"
