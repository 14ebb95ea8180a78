"""Has a brought checkpoint been trained on what it is to be tested on?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tailscope.core import DataError, ExperimentData, LeakageError
from tailscope.data.files import IMAGE_SUFFIXES
from tailscope.data.text_tables import read_text_table
from tailscope.data.validation import some
from tailscope.experiment.config import ExperimentConfig

CHECKED_ONLY = ("training_list", "image_column", "patient_column")  # settings of a checkpoint that change no weight
_SOURCE = "checkpoint"
_SILENT = (
    "the checkpoint does not say what it was trained on, so nobody can tell whether it has seen images of the test "
    "split; name them in `model.training_list`"
)


@dataclass(frozen=True)
class TrainingList:
    """What a checkpoint was trained on.

    Args:
        images: Names of images, with or without folders and suffix.
        patients: Patients.
    """

    images: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()

    def rows(self, data: ExperimentData) -> NDArray[np.int64]:
        """Rows of the images that stand on the list, or whose patient does, ascending."""
        seen = _named(self.images, data.image_ids.tolist())
        patients = {_plain(name) for name in self.patients}
        seen |= {row for row, name in enumerate(data.patient_ids.tolist()) if _plain(name) in patients}
        return np.array(sorted(seen), dtype=np.int64)


def read_training_list(path: Path, image_column: str | None, patient_column: str | None) -> TrainingList:
    """Read a list: the named columns of a table, or without any a name of an image on each line.

    Raises:
        DataError: The file is missing or no text, or a column is not there or not stated.
    """
    table = read_text_table(path)
    if image_column is None and patient_column is None:
        if len(table.columns) > 1:
            raise DataError(
                f"{path.name} has the columns {some(table.columns)}; say which holds images (`model.image_column`) or "
                "patients (`model.patient_column`)"
            )
        first = table.columns[0]
        return TrainingList(images=_filled([first, *(row[0] for row in table.rows)]))
    images = () if image_column is None else _filled(table.column(image_column))
    patients = () if patient_column is None else _filled(table.column(patient_column))
    return TrainingList(images, patients)


def training_list_notes(config: ExperimentConfig, data: ExperimentData) -> tuple[str, ...]:
    """What the training list of a brought checkpoint tells; nothing for networks that are not brought.

    Raises:
        DataError: The list cannot be read.
        LeakageError: Test images stand on it, or their patients do.
    """
    if config.model.source != _SOURCE:
        return ()
    path, image_column, patient_column = (config.model.settings.get(name) for name in CHECKED_ONLY)
    if path is None:
        return (_SILENT,)
    listed = read_training_list(Path(path), image_column, patient_column)
    rows = listed.rows(data)
    counts = {split: int((data.split[rows] == split).sum()) for split in ("train", "val", "test")}
    tested = rows[data.split[rows] == "test"]
    if tested.size:
        annotated = np.isin(tested, data.annotated[:, 0]).sum()
        raise LeakageError(
            f"the checkpoint was trained on {tested.size} of {data.rows('test').size} test images, {annotated} of them "
            f"annotated, by {Path(path).name}: {some(data.image_ids[tested].tolist())}; leave them out, put them into "
            "the training split, or bring another checkpoint"
        )
    names = len(listed.images) + len(listed.patients)
    if not rows.size:
        return (
            f"no name of the checkpoint's training list ({names}) is one of this data set's: where it should be, check "
            "that both write names alike",
        )
    return (
        f"the checkpoint's training list holds {names} names, none of a test image; {counts['train']} training and "
        f"{counts['val']} validation images stand on it",
    )


def _named(listed: Iterable[str], image_ids: list[str]) -> set[int]:
    """Rows that a listed name means: by the whole id, below any folders, or by its end where that is one image's."""
    whole = {_parts(name): row for row, name in enumerate(image_ids)}
    ends: dict[tuple[str, ...], set[int]] = {}
    for parts, row in whole.items():
        for start in range(1, len(parts)):
            ends.setdefault(parts[start:], set()).add(row)
    found = set()
    for name in listed:
        parts = _parts(name)
        known = next((whole[parts[start:]] for start in range(len(parts)) if parts[start:] in whole), None)
        same_end = ends.get(parts, set())
        if known is not None:
            found.add(known)
        elif len(same_end) == 1:
            found |= same_end
    return found


def _parts(name: str) -> tuple[str, ...]:
    r"""Folders and name, without the suffix of a picture.

    >>> _parts("a\\b/1.2.3.dcm"), _parts("1.2.3")
    (('a', 'b', '1.2.3'), ('1.2.3',))
    """
    path = PurePosixPath(name.strip().replace("\\", "/"))
    is_picture = path.suffix.lower() in IMAGE_SUFFIXES
    return (path.with_suffix("") if is_picture else path).parts


def _plain(patient: str) -> str:
    """A number without leading zeros, which tables drop and names keep."""
    return patient.lstrip("0") or "0" if patient.isdigit() else patient


def _filled(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in cells if cell.strip())
