"""ChestX-Det and ChestX-Det10, with their own labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tailscope.core.errors import InputError
from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, index_by_name, inside, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, places_of, require_missing
from tailscope.sources.nih_det_records import (
    FILES,
    FINDINGS,
    FINDINGS_10,
    Drawn,
    Record,
    far_apart,
    is_record_file,
    patient_of,
    read_names,
    read_records,
    shape_of,
)


@DATASETS.register("chestx_det")
@dataclass(frozen=True)
class ChestXDet:
    """3,578 radiographs of NIH ChestX-ray14, 13 findings drawn by radiologists as boxes and polygons (or 3,543 and 10).

    Expects ``ChestX_Det_train.json`` and ``ChestX_Det_test.json``, or ChestX-Det10's ``train.json`` and ``test.json``,
    with the images anywhere below, found by name. A finding is positive where it was drawn, else negative; an image on
    which nothing was drawn is not therefore normal. Labels differ strongly from those of NIH's reports.

    The published names are anonymous. Give ``names`` to know the patients: the published split has patients in both
    parts, and no leak can be found without them.

    Args:
        shapes: Each instance as its ``polygons`` or as its ``boxes``; ChestX-Det10 has boxes only.
        names: File with published and NIH name (JSON object or table of two columns), relative to the root.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.

    Source: Lian et al. (2021), "A structure-aware relation network for thoracic diseases detection and segmentation",
    IEEE Transactions on Medical Imaging; Liu, Lian, Yu (2020), arXiv:2006.10550.
    """

    shapes: Drawn = "polygons"
    names: str | None = None
    missing: Missing = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "Apache-2.0 for the annotations; the images are NIH's: name the NIH Clinical Center and cite the paper",
        "open: github.com/Deepwise-AILab/ChestX-Det-Dataset",
    )

    def __post_init__(self) -> None:
        if self.shapes not in ("polygons", "boxes"):
            raise InputError(f"`shapes` must be polygons or boxes; got {self.shapes!r}")
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """Lists of records, but not beside NIH's own label file, where they are annotations of that set."""
        if any(root.glob("Data_Entry*.csv*")):
            return None
        version = _version(root)
        return (
            version and f"{version}: {', '.join(name for name in FILES[version].values() if (root / name).is_file())}"
        )

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Lists, records or images are missing or wrong; all at once.
        """
        root = require_root(root, "chestx_det")
        version = _version(root) or "chestx_det"
        classes = FINDINGS if version == "chestx_det" else FINDINGS_10
        records, problems = read_records(root, version)
        names = {} if self.names is None else read_names(root / inside(self.names))
        index = places_of([record.image for record in records], self.missing, lambda: index_by_name(root, root))
        absent = [record.image for record in records if record.image not in index]
        problems += absence_problems(absent, len(records), root, self.missing)
        kept = [record for record in records if record.image in index]
        drawn = [
            (shape_of(record.image, instance.finding, instance, self.shapes), record.where)
            for record in kept
            for instance in record.instances
        ]
        annotations = annotation_table([shape for shape, _ in drawn], "radiologist")
        known = {record.image for record in kept}
        raise_problems([*problems, *annotation_problems(annotations, known, classes, [where for _, where in drawn])])
        patients = [patient_of(names.get(record.image, record.image)) for record in kept]
        images = image_table(
            {
                "image_id": [record.image for record in kept],
                "path": [index[record.image] for record in kept],
                "patient_id": patients,
                "split": [record.split for record in kept],
            }
        )
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        found = [{instance.finding for instance in record.instances} for record in kept]
        positive = np.array([[name in names for name in classes] for names in found]).reshape(len(kept), len(classes))
        states = np.where(positive, "positive", "negative")
        skipped = [f"{len(absent)} listed images are not on disk and were skipped"] if absent else []
        return Dataset(
            name="chestx_det",
            classes=classes,
            images=images,
            labels=label_table([record.image for record in kept], classes, states, "radiologist"),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=(*det_notes(version, kept, dict(zip([r.image for r in kept], patients, strict=True))), *skipped),
        )


def det_notes(version: str, records: list[Record], patient: Mapping[str, str | None]) -> list[str]:
    """What was recognised, and whether the published split leaks.

    Args:
        version: ``chestx_det`` or ``chestx_det10``.
        records: Those in use.
        patient: Image name to patient, None where it is not known.
    """
    count = sum(len(record.instances) for record in records)
    empty = sum(not record.instances for record in records)
    notes = [
        f"{count} instances on {len(records)} images of {version}; {empty} images have none, which is not "
        '"No Finding": other findings were not looked for'
    ]
    if far := far_apart(records):
        notes.append(f"{far} instances have a box and a polygon whose bounds differ by more than 3 pixels")
    known = {name: one for name, one in patient.items() if one is not None}
    if not known:
        notes.append(
            "no patient is published: every image is its own cluster, and the published split is known to have "
            "271 patients in both parts; give `names`"
        )
        return notes
    sides = {
        side: {known.get(record.image) for record in records if record.split == side} for side in ("train", "test")
    }
    both = (sides["train"] & sides["test"]) - {None}
    tested = [record for record in records if record.split == "test"]
    leaking = sum(known.get(record.image) in both for record in tested)
    notes.append(f"patients of {len(known)} of {len(records)} images are known through NIH's names")
    if both:
        notes.append(
            f"the published split leaks: {len(both)} patients stand in train and test, with {leaking} of "
            f"{len(tested)} test images; cut by patient (`split.by: patient`)"
        )
    return notes


def _version(root: Path) -> str | None:
    found = (v for v, files in FILES.items() if any(is_record_file(root / name) for name in files.values()))
    return next(found, None)
