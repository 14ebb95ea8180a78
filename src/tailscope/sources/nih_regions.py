"""Whose boxes and outlines stand on NIH's images: NIH's own boxes, or those of ChestX-Det."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.tables import Shape
from tailscope.sources.nih_det import det_notes
from tailscope.sources.nih_det_records import FILES, Drawn, patient_of, read_names, read_records, shape_of
from tailscope.sources.nih_tables import read_boxes

REGION_CHOICES = ("bbox", *FILES)
_CLASS_OF = {"Pleural Thickening": "Pleural_Thickening"}


@dataclass(frozen=True)
class Regions:
    """What was drawn.

    Args:
        shapes: The shapes.
        where: File and place of each.
        notes: What was recognised.
        problems: What is wrong.
    """

    shapes: list[Shape]
    where: list[str]
    notes: list[str]
    problems: list[str]


def nih_boxes(path: Path | None) -> Regions:
    """The boxes of a ``BBox_List``."""
    if path is None:
        return Regions([], [], ["no BBox_List file: no annotations"], [])
    shapes, where, problems = read_boxes(path)
    return Regions(shapes, where, [f"{len(shapes)} boxes in {path.name}, in the 1024 × 1024 frame"], problems)


def det_regions(root: Path, version: str, names_file: Path | None, drawn: Drawn, classes: Sequence[str]) -> Regions:
    """The instances of ChestX-Det on the images that their NIH names tell.

    Args:
        root: The lists lie in it or in a ``ChestX-Det…`` folder below it.
        version: ``chestx_det`` or ``chestx_det10``.
        names_file: Published name to NIH's name; None if the lists themselves name NIH's images.
        drawn: Each instance as polygon or as box.
        classes: Those that the images are labelled with; instances of other findings are left out.

    Raises:
        DataError: The lists are missing, or no image's NIH name is known.
    """
    folders = [root, *sorted(path for path in root.glob("[Cc]hest[Xx]*[Dd]et*") if path.is_dir())]
    held = (folder for folder in folders if any((folder / name).is_file() for name in FILES[version].values()))
    records, problems = read_records(next(held, root), version)
    names = {} if names_file is None else read_names(names_file)
    name_of = {record.image: names.get(record.image, record.image) for record in records}
    named = [record for record in records if patient_of(name_of[record.image]) is not None]
    if records and not named:
        raise DataError(
            f"none of {len(records)} images of {version} has an NIH name, such as 00000003_003.png; "
            "give `det_names`, a file with published and NIH name"
        )
    placed = [
        (shape_of(name_of[record.image], _CLASS_OF.get(one.finding, one.finding), one, drawn), record.where)
        for record in named
        for one in record.instances
    ]
    kept = [(shape, where) for shape, where in placed if shape[1] in classes]
    patients: Mapping[str, str | None] = {record.image: patient_of(name_of[record.image]) for record in records}
    notes = det_notes(version, records, patients)
    others = sorted({shape[1] for shape, _ in placed} - set(classes))
    if others:
        notes.append(f"{len(placed) - len(kept)} instances of {', '.join(others)} are no class here and were left out")
    return Regions([shape for shape, _ in kept], [where for _, where in kept], notes, problems)
