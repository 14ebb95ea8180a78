"""What the label files of a YOLO folder draw on its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.decoding import raster_size
from tailscope.data.tables import Shape
from tailscope.data.validation import some
from tailscope.sources.yolo_labels import YoloShape, label_file, label_files, read_labels
from tailscope.sources.yolo_names import YoloNames


@dataclass
class YoloReading:
    """Pairs the images with their label files, then reads them.

    Args:
        root: Folder of the data set.
        names: The class names.
    """

    root: Path
    names: YoloNames
    sizes: dict[str, Size] = field(default_factory=dict)  # by path
    labels: dict[str, str] = field(default_factory=dict)  # path of an image to that of its labels
    unlabelled: int = 0
    empty: int = 0
    scored: int = 0
    shapes: list[Shape] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def find(self, images: Sequence[str], *, keep_unlabelled: bool) -> None:
        """Pair images with label files."""
        owner: dict[str, str] = {}
        for image in images:
            label = label_file(image)
            labelled = (self.root / label).is_file()
            self.unlabelled += not labelled
            if labelled and owner.setdefault(label, image) != image:
                self.problems.append(
                    f"{label} belongs to {owner[label]} and to {image}; expected one: remove the other"
                )
            if labelled or keep_unlabelled:
                try:
                    self.sizes[image] = raster_size(self.root / image)
                except DataError as error:
                    self.problems.append(str(error))
            if labelled:
                self.labels[image] = label
        orphans = sorted(set(label_files(self.root)) - set(self.labels.values()))
        if orphans:
            self.problems.append(
                f"{len(orphans)} label files have no image: {some(orphans)}; restore the images or remove them"
            )
        if not self.labels:
            raise DataError(f"{self.root} holds no image with a label file; expected images/NAME.* and labels/NAME.txt")

    def read(self) -> None:
        """Read the label files."""
        for image, label in self.labels.items():
            if image not in self.sizes:
                continue  # an unreadable image, a problem of its own
            shapes, problems = read_labels(self.root / label, label, self.sizes[image])
            self.problems += problems
            self.empty += not shapes and not problems
            for where, shape in shapes:
                self._add(image, where, shape)

    def _add(self, image: str, where: str, shape: YoloShape) -> None:
        if shape.number not in self.names.names:
            known = ", ".join(f"{number} {name}" for number, name in self.names.names.items())
            self.problems.append(f"{where}: no class has the number {shape.number}; {self.names.file} has {known}")
            return
        self.scored += shape.scored
        self.shapes.append((image, self.names.names[shape.number], shape.kind, shape.geometry, self.sizes[image]))
        self.where.append(where)

    def notes(self, missing: str) -> Iterator[str]:
        """What was read, one sentence each."""
        boxes = sum(shape[2] == "box" for shape in self.shapes)
        yield f"{len(self.labels)} label files with {boxes} boxes and {len(self.shapes) - boxes} polygons"
        if self.empty:
            yield f"{self.empty} label files are empty: nothing was found on their images"
        if self.unlabelled:
            meaning = "left out" if missing == "unlabelled" else "negative for all classes (`missing_label`)"
            yield f"{self.unlabelled} images without a label file {meaning}"
        if self.scored:
            yield f"{self.scored} boxes have a confidence, which is not used: they may be predictions"
