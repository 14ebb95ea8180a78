"""COCO instance files: boxes, polygons and run lengths in JSON, beside a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, inside, require_root
from tailscope.data.registry import DATASETS
from tailscope.sources.coco_documents import find_documents, read_document
from tailscope.sources.coco_shapes import CocoShapes
from tailscope.sources.coco_union import CocoUnion
from tailscope.sources.placed_images import PlacedImages


@DATASETS.register("coco")
@dataclass(frozen=True)
class Coco:
    """Images with COCO instance files, one or one per split: boxes, polygons, run lengths packed or plain.

    Takes ``annotations/instances*.json``, else ``_annotations.coco.json`` at the top or in the folders of the splits,
    else every file with COCO's lists at the top or in ``annotations``. The images are found by ``file_name`` wherever
    they lie, and are known by their path below the root. The word train, val, valid or test in the name of a file, or
    of its folder, is the split of its images.

    A class is positive on an image with an annotation of it, a crowd (``iscrowd``) included. On the others it is
    negative, since COCO's annotators searched every image for every category of the file; a category that only
    another file lists stays unmentioned. Images with LVIS's ``neg_category_ids`` are negative for those only.

    Args:
        annotations: Pattern of the instance files, relative to the root; None for the usual places.
        images: Folder below which the images are searched, relative to the root.
        shapes: ``segmentation`` draws the box only of an annotation without segmentation; ``box`` draws boxes only.
        exhaustive: Whether an image without annotation of a class was found free of it; else that is unmentioned.
        patient_key: Key of the entries of ``images`` that names the patient; None where no patient is known.
        flips_allowed: Whether a left-right flip leaves the labels true.

    Source: Lin et al. (2014), "Microsoft COCO: Common objects in context", arXiv:1405.0312; the format's page at
    cocodataset.org.
    """

    annotations: str | None = None
    images: str = ""
    shapes: CocoShapes = "segmentation"
    exhaustive: bool = True
    patient_key: str | None = None
    flips_allowed: bool = False
    is_format: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.shapes not in ("segmentation", "box"):
            raise InputError(f"`shapes` must be segmentation or box; got {self.shapes!r}")
        if not isinstance(self.images, str):
            raise InputError(f"`images` must be a folder, relative to the root; got {self.images!r}")
        for name in ("annotations", "patient_key"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise InputError(f"`{name}` must be text; got {value!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """JSON files with COCO's lists, in the usual places."""
        found = find_documents(root)
        if not found:
            return None
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{found[0].relative_to(root).as_posix()}{more}, COCO instances"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the files and find the images.

        Raises:
            DataError: Files, images, entries or shapes are missing or wrong; all at once.
        """
        root = require_root(root, "coco")
        found = find_documents(root, None if self.annotations is None else inside(self.annotations))
        if not found:
            wanted = self.annotations or "annotations/instances*.json or another file with COCO's lists"
            raise DataError(f"{root} holds no {wanted}; expected one: set `annotations` to its path")
        union = CocoUnion(
            PlacedImages.below(root, self.images),
            shapes=self.shapes,
            exhaustive=self.exhaustive,
            patient_key=self.patient_key,
        )
        for path in found:
            union.add(read_document(root, path))
        images, labels, annotations = union.tables()
        files = ImageFiles(root, tuple(images["path"]))
        return Dataset(
            name="coco",
            classes=tuple(union.classes),
            images=images,
            labels=labels,
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=union.notes(),
            flips_allowed=self.flips_allowed,
        )
