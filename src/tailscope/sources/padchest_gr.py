"""PadChest-GR: sentences of reports with the boxes that they speak of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.core.records import LABEL_COLUMNS, Dataset
from tailscope.data.decoding import raster_size
from tailscope.data.files import FileContent, ImageFiles, index_by_name, inside, require_root
from tailscope.data.json_files import load_json_of
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import Shape, annotation_table, image_table
from tailscope.data.text_tables import read_text_table
from tailscope.data.validation import annotation_problems, raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, places_of, require_missing
from tailscope.sources.padchest_tables import NOT_FINDINGS
from tailscope.sources.split_words import SPLIT_OF

_REPORTS = "grounded_reports*.json"
_TABLE = "master_table.csv"


@DATASETS.register("padchest_gr")
@dataclass(frozen=True)
class PadChestGr:
    """4,555 radiographs of PadChest, each with a report whose abnormal sentences have labels and boxes.

    Expects ``grounded_reports_20240819.json`` with the images anywhere below, found by name, and ``master_table.csv``
    for patients, the published split (which keeps patients apart) and groups of labels. A sentence's boxes belong to
    each of its labels. What no sentence names is unmentioned. Boxes are published as shares of width and height.

    Args:
        grouped: Use the 26 groups of ``master_table.csv`` in place of the labels.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.

    Source: Castro et al. (2025), "PadChest-GR: a bilingual chest X-ray dataset for grounded radiology report
    generation", NEJM AI.
    """

    grouped: bool = False
    missing: Missing = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "BIMCV research use agreement: no re-identification, no redistribution", "registration with BIMCV"
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The file of reports, and whether the table of patients and splits lies beside it."""
        path = _reports(root)
        if path is None:
            return None
        return f"{path.name}, {'with' if (root / _TABLE).is_file() else 'without'} {_TABLE}"

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: Files, studies, boxes or images are missing or wrong; all at once.
        """
        root = require_root(root, "padchest_gr")
        path = _reports(root)
        if path is None:
            raise DataError(f"{root} holds no {_REPORTS}; expected PadChest-GR's reports there")
        studies, problems = _read_studies(path)
        master = _read_master(root)
        if self.grouped and not master.group_of:
            raise DataError(f"{root} holds no {_TABLE} with groups; expected it for `grouped: true`")
        index = places_of([study.image for study in studies], self.missing, lambda: index_by_name(root, root))
        kept = [study for study in studies if study.image in index]
        absent = [study.image for study in studies if study.image not in index]
        unpack = "join the parts of the archive and unpack them"
        problems += absence_problems(absent, len(studies), root, self.missing, remedy=unpack)
        findings = {study.image: self._findings(study, master) for study in kept}
        shapes, where = _shapes(kept, findings, self._size_of(root, index))
        annotations = annotation_table(shapes, "radiologist")
        classes = tuple(sorted({name for found in findings.values() for name, _ in found}))
        problems += [*master.problems, *annotation_problems(annotations, set(findings), classes, where)]
        raise_problems(problems)
        images = image_table(
            {
                "image_id": [study.image for study in kept],
                "path": [index[study.image] for study in kept],
                "patient_id": [master.patient_of.get(study.study) for study in kept],
                "split": [master.split_of.get(study.study) for study in kept],
            }
        )
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        return Dataset(
            name="padchest_gr",
            classes=classes,
            images=images,
            labels=_label_table(findings),
            annotations=annotations,
            read_pixels=files,
            content=FileContent(files),
            notes=_notes(path.name, kept, absent, master),
        )

    def _size_of(self, root: Path, index: Mapping[str, str]) -> Callable[[str], Size]:
        if self.missing == TABLES_ALONE:
            return lambda _: (1, 1)  # shares stay shares where no file tells what they are shares of
        return lambda image: raster_size(root / index[image])

    def _findings(self, study: _Study, master: _Master) -> list[tuple[str, list[list[float]]]]:
        """Class and boxes of each label of each abnormal sentence."""
        return [
            (master.group_of.get(label, label) if self.grouped else label, sentence.boxes)
            for sentence in study.sentences
            for label in sentence.labels
            if label not in NOT_FINDINGS
        ]


@dataclass(frozen=True)
class _Sentence:
    labels: tuple[str, ...]
    boxes: list[list[float]]
    further: int


@dataclass(frozen=True)
class _Study:
    study: str
    image: str
    sentences: tuple[_Sentence, ...]
    where: str


@dataclass(frozen=True)
class _Master:
    patient_of: Mapping[str, str]
    split_of: Mapping[str, str]
    group_of: Mapping[str, str]
    problems: tuple[str, ...] = ()


def _reports(root: Path) -> Path | None:
    found = sorted(root.glob(_REPORTS))
    return found[-1] if found else None


def _read_studies(path: Path) -> tuple[list[_Study], list[str]]:
    values = load_json_of(list, path, "a list of studies")
    studies: list[_Study] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, value in enumerate(values, 1):
        where = f"{path.name}, study {number}"
        try:
            study = _study(value, where)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{where}: {error}; expected `StudyID`, `ImageID` and `findings` as published")
            continue
        if study.image in seen:
            problems.append(f"{where}: image {study.image!r} stands in an earlier study already; keep one")
        seen.add(study.image)
        studies.append(study)
    return studies, problems


def _study(value: Any, where: str) -> _Study:
    # a sentence that is not abnormal may lack labels and boxes altogether
    sentences = tuple(
        _Sentence(
            tuple(dict.fromkeys(label.strip() for label in finding.get("labels") or ())),
            [[float(edge) for edge in box] for box in finding.get("boxes") or ()],
            len(finding.get("extra_boxes") or ()),
        )
        for finding in value["findings"]
        if finding.get("abnormal")
    )
    if any(len(box) != 4 for sentence in sentences for box in sentence.boxes):
        raise ValueError("a box has not four numbers")
    return _Study(str(value["StudyID"]), inside(str(value["ImageID"])), sentences, where)


def _read_master(root: Path) -> _Master:
    path = root / _TABLE
    if not path.is_file():
        return _Master({}, {}, {})
    table = read_text_table(path)
    names = ("StudyID", "PatientID", "split", "label", "label_group")
    patient_of: dict[str, str] = {}
    split_of: dict[str, str] = {}
    group_of: dict[str, str] = {}
    problems = []
    for row, (study, patient, split, label, group) in enumerate(zip(*map(table.column, names), strict=True)):
        if split.lower() not in SPLIT_OF:
            problems.append(f"{table.where(row)}: split {split!r} is unknown; expected train, validation or test")
        elif split_of.setdefault(study, SPLIT_OF[split.lower()]) != SPLIT_OF[split.lower()]:
            problems.append(f"{table.where(row)}: study {study!r} stands in another split above; expected one")
        if patient_of.setdefault(study, patient) != patient:
            problems.append(f"{table.where(row)}: study {study!r} has another patient above; expected one")
        if label and group:
            group_of.setdefault(label, group)
    return _Master(patient_of, split_of, group_of, tuple(problems))


def _shapes(
    studies: Sequence[_Study],
    findings: Mapping[str, list[tuple[str, list[list[float]]]]],
    size_of: Callable[[str], Size],
) -> tuple[list[Shape], list[str]]:
    """Boxes in pixels of the file, which the published shares refer to."""
    shapes: list[Shape] = []
    where: list[str] = []
    for study in studies:
        boxed = {(name, tuple(box)) for name, boxes in findings[study.image] for box in boxes}
        if boxed:
            height, width = size_of(study.image)
            for name, (x0, y0, x1, y1) in sorted(boxed):
                edges = [x0 * width, y0 * height, x1 * width, y1 * height]
                shapes.append((study.image, name, "box", edges, (height, width)))
                where.append(study.where)
    return shapes, where


def _label_table(findings: Mapping[str, list[tuple[str, list[list[float]]]]]) -> pd.DataFrame:
    found = [
        (image, name, "positive", "radiologist")
        for image, named in findings.items()
        for name in sorted({name for name, _ in named})
    ]
    return pd.DataFrame(found, columns=list(LABEL_COLUMNS))


def _notes(name: str, kept: Sequence[_Study], absent: Sequence[str], master: _Master) -> tuple[str, ...]:
    further = sum(sentence.further for study in kept for sentence in study.sentences)
    patients = sum(study.study in master.patient_of for study in kept)
    notes = [f"{len(kept)} images of {name}; what no abnormal sentence names is unmentioned"]
    if patients < len(kept):
        notes.append(f"{len(kept) - patients} images have no row in {_TABLE}: neither patient nor split is known")
    if further:
        notes.append(f"{further} further boxes (`extra_boxes`) are not used")
    if absent:
        notes.append(f"{len(absent)} listed images are not on disk and were skipped")
    notes.append("the files do not tell which images are MONOCHROME1; none is inverted")
    return tuple(notes)
