"""CheXlocalize: what radiologists drew on CheXpert's validation and test images, read from beside the tables.

Files, each a JSON object by image (``patient64541_study1_view1_frontal``), in the folder or a ``CheXlocalize*`` folder:

=====================================  ==================================================================
``{gt,hb}_annotations_{val,test}``     ``{"img_size": [h, w], task: [ring, …]}``: positive tasks only
``{gt,hb}_segmentations_{val,test}``   ``{task: {"size": [h, w], "counts": "…"}}``: all ten tasks, empty if negative
``hb_salient_pt_test``                 ``{task: [[x, y], …]}``: points in the same pixels
=====================================  ==================================================================

An image that a file does not name was looked at and shows none of the ten tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.core.registry import nearest
from tailscope.data.json_files import load_json_of
from tailscope.data.tables import ANY_SIZE, Shape
from tailscope.data.validation import some
from tailscope.sources.run_lengths import rle_from_coco

Form = Literal["polygons", "masks"]
TASKS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Airspace Opacity",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Support Devices",
)
CLASS_OF = {task: task for task in TASKS} | {"Airspace Opacity": "Lung Opacity"}  # CheXpert's own name of the class
ROLES = ("ground_truth", "human_benchmark", "human_points")
_PREFIX = {"ground_truth": "gt", "human_benchmark": "hb"}
_STEM: Mapping[Form, str] = {"polygons": "annotations", "masks": "segmentations"}
_POINTS = "hb_salient_pt_test.json"
_POINT_RADIUS_PX = 0.5  # a point means the one pixel that it lies in


@dataclass(frozen=True)
class Listed:
    """The views that the tables list.

    Args:
        image_of: Key of CheXlocalize to image id, for every listed view.
        split_of: Image id to its split.
        size_of: Image id to the (height, width) of its file; None where the view is not used.
    """

    image_of: Mapping[str, str]
    split_of: Mapping[str, str]
    size_of: Callable[[str], Size | None]


@dataclass
class Regions:
    """What was drawn: shapes, who drew each, where each stands, what is wrong, what was recognised."""

    shapes: list[Shape] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, shape: Shape, reader: str, where: str) -> None:
        """One shape more."""
        self.shapes.append(shape)
        self.readers.append(reader)
        self.where.append(where)


def key_of(image_id: str) -> str:
    """CheXlocalize's key of an image.

    >>> key_of("patient64541/study1/view1_frontal.jpg")
    'patient64541_study1_view1_frontal'
    """
    return image_id.rpartition(".")[0].replace("/", "_")


def region_files(root: Path) -> list[Path]:
    """The files of CheXlocalize below a folder that are read, sorted by name."""
    names = [f"{p}_{s}_{split}.json" for p in _PREFIX.values() for s in _STEM.values() for split in ("val", "test")]
    found = (_find(root, name) for name in (*names, _POINTS))
    return sorted((path for path in found if path is not None), key=lambda path: path.name)


def read_regions(root: Path, roles: tuple[str, ...], form: Form, listed: Listed) -> Regions:
    """Read the files of these roles.

    Args:
        root: Where to look.
        roles: Of :data:`ROLES`; each becomes a reader of this name.
        form: Which of the two forms to read where both are there; the other one if it is alone.
        listed: The views of the tables.
    """
    regions = Regions()
    for role in roles:
        for split in ("val", "test"):
            path, held = _choose(root, role, split, form)
            if path is not None:
                _File(path, held, role, split, listed, regions).read(_frames(root, split) if held == "points" else {})
    return regions


def _choose(root: Path, role: str, split: str, form: Form) -> tuple[Path | None, str]:
    if role == "human_points":
        return (_find(root, _POINTS) if split == "test" else None), "points"
    other: Form = "masks" if form == "polygons" else "polygons"
    for held in (form, other):
        if path := _find(root, f"{_PREFIX[role]}_{_STEM[held]}_{split}.json"):
            return path, held
    return None, form


def _find(root: Path, name: str) -> Path | None:
    candidates = [root / name, *(folder / name for folder in sorted(root.glob("[Cc]he[Xx]localize*")))]
    return next((path for path in candidates if path.is_file()), None)


def _frames(root: Path, split: str) -> dict[str, Size]:
    """Key to the (height, width) that the points of an image refer to, from the polygons beside them."""
    frames: dict[str, Size] = {}
    for prefix in _PREFIX.values():
        path = _find(root, f"{prefix}_annotations_{split}.json")
        for key, value in ({} if path is None else _load(path)).items():
            if isinstance(value, dict) and "img_size" in value:
                frames.setdefault(key, _size(value["img_size"]))
    return frames


def _load(path: Path) -> dict[str, Any]:
    return load_json_of(dict, path, "an object by image")


@dataclass
class _File:
    """One file that is being read."""

    path: Path
    held: str
    role: str
    split: str
    listed: Listed
    regions: Regions
    empty: int = 0
    thin: int = 0

    def read(self, frames: Mapping[str, Size]) -> None:
        content = _load(self.path)
        known = {key: value for key, value in content.items() if key in self.listed.image_of}
        if not known:
            self.regions.notes.append(f"{self.path.name} names no listed image and was not used")
            return
        strangers = sorted(set(content) - set(known))
        if strangers:
            self.regions.problems.append(
                f"{self.path.name} names {len(strangers)} images that no table lists: {some(strangers)}; "
                "restore their rows or use the table that came with the file"
            )
        before = len(self.regions.shapes)
        for key in sorted(known):
            image_id = self.listed.image_of[key]
            size = self.listed.size_of(image_id)
            if size is not None:
                self._image(image_id, known[key], size, frames.get(key, size))
        self._note(known, len(self.regions.shapes) - before)

    def _image(self, image_id: str, tasks: Any, raster: Size, frame: Size) -> None:
        try:
            if self.held == "polygons":
                frame = _size(tasks["img_size"])
            named = [(task, value) for task, value in tasks.items() if task != "img_size"]
        except (AttributeError, KeyError, TypeError, DataError) as error:
            self.regions.problems.append(f"{self.path.name}, {image_id!r}: {error}; expected `img_size` and tasks")
            return
        for task, value in named:
            where = f"{self.path.name}, {image_id!r}, {task!r}"
            if task not in CLASS_OF:
                self.regions.problems.append(f"{where}: the task is unknown{nearest(task, TASKS)}")
                continue
            try:
                self._task(image_id, task, value, frame, where)
                self._require_aspect(raster, _size(value["size"]) if self.held == "masks" else frame)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self.regions.problems.append(f"{where}: {error}; expected {self.held} as published")

    def _task(self, image_id: str, task: str, value: Any, frame: Size, where: str) -> None:
        name = CLASS_OF[task]
        if self.held == "masks":
            rle = rle_from_coco(value)
            is_empty = len(rle["counts"]) == 1
            if not is_empty:
                self.regions.add((image_id, name, "rle", rle, _size(rle["size"])), self.role, where)
            self.empty += is_empty
        elif self.held == "points":
            for x, y in value:
                disc = [float(x), float(y), _POINT_RADIUS_PX]
                self.regions.add((image_id, name, "disc", disc, frame), self.role, where)
        else:
            rings = [[[float(x), float(y)] for x, y in ring] for ring in value]
            full = [ring for ring in rings if len(ring) >= 3]
            self.thin += len(rings) - len(full)
            for ring in full:  # one ring is one instance, as the authors count them
                self.regions.add((image_id, name, "polygon", [ring], frame), self.role, where)

    def _require_aspect(self, raster: Size, frame: Size) -> None:
        """A frame whose sides were exchanged has another aspect ratio than the file; CheXpert-small keeps it."""
        if raster == ANY_SIZE:
            return  # the tables are read alone
        stored, given = raster[0] / raster[1], frame[0] / frame[1]
        if abs(stored / given - 1) > 0.03:
            raise ValueError(f"frame {list(frame)} (height, width) has another aspect ratio than the file's {raster}")

    def _note(self, known: Mapping[str, Any], count: int) -> None:
        note = f"{self.path.name}: {count} {self.held} as reader {self.role}"
        listed = [image for image, split in self.listed.split_of.items() if split == self.split]
        unnamed = len(listed) - len(known)
        if self.held != "points" and unnamed > 0:
            note += (
                f"; {unnamed} of {len(listed)} images are not named: looked at, none of the ten tasks, not unannotated"
            )
        if self.empty:
            note += f"; {self.empty} masks are empty, which is negative"
        if self.thin:
            note += f"; {self.thin} rings of less than 3 points were left out"
        self.regions.notes.append(note)


def _size(value: Any) -> Size:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(side, int) and side > 0 for side in value):
        raise DataError(f"size {value!r} is not [height, width] in pixels; restore the published file")
    return value[0], value[1]
