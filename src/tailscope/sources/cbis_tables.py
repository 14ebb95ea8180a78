"""The four tables of CBIS-DDSM: one row per abnormality, several of which may stand on one mammogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.core.registry import nearest
from tailscope.data.text_tables import TextTable, read_text_table

TABLES = {
    (kind, split): f"{kind}_case_description_{split}_set.csv"
    for kind in ("mass", "calc")
    for split in ("train", "test")
}
NAME_OF = {"mass": "mass", "calc": "calcification"}
MALIGNANT = "malignant"
_PATHOLOGIES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
_WHOLE, _MASK = "image file path", "ROI mask file path"


@dataclass(frozen=True)
class Lesion:
    """One row.

    Args:
        image: Name of the mammogram, such as ``Mass-Training_P_00001_LEFT_CC``.
        patient: The woman, such as ``P_00001``; the DICOM header's patient is one view instead.
        kind: ``mass`` or ``calc``.
        split: ``train`` or ``test``.
        is_malignant: Its pathology.
        side: LEFT or RIGHT.
        view: CC or MLO.
        density: 1 to 4, or blank.
        number: Of the abnormality on its mammogram.
        series: Of the mammogram.
        mask: Series and file of what the table calls the mask.
        crop: Those of what it calls the crop; None where it names none.
        where: File and line.
    """

    image: str
    patient: str
    kind: str
    split: str
    is_malignant: bool
    side: str
    view: str
    density: str
    number: str
    series: str
    mask: tuple[str, str]
    crop: tuple[str, str] | None
    where: str

    @property
    def name(self) -> str:
        """Its case, such as ``Mass-Training_P_00001_LEFT_CC_1``."""
        return f"{self.image}_{self.number}"

    @property
    def mask_folders(self) -> tuple[str, ...]:
        """Where crop and mask may lie, together or not: its case, or one of its two series."""
        return (self.name, self.mask[0], *(() if self.crop is None else (self.crop[0],)))


def find_tables(root: Path) -> dict[tuple[str, str], Path]:
    """Kind and split to the table, in the folder or one below it."""
    found = {}
    for key, name in TABLES.items():
        places = [root / name, *sorted(root.glob(f"*/{name}"))]
        path = next((place for place in places if place.is_file()), None)
        if path is not None:
            found[key] = path
    return found


def read_lesions(tables: Mapping[tuple[str, str], Path]) -> tuple[list[Lesion], list[str]]:
    """The rows of all tables, and what is wrong with them.

    Raises:
        DataError: A column is missing.
    """
    lesions: list[Lesion] = []
    problems: list[str] = []
    for (kind, split), path in tables.items():
        table = read_text_table(path)
        names = [name.replace("_", " ") for name in table.columns]  # breast_density of masses, breast density of calcs
        for row in range(len(table)):
            values = dict(zip(names, table.rows[row], strict=True))
            try:
                lesions.append(_lesion(values, kind, split, table, row))
            except DataError as error:
                problems.append(f"{table.where(row)}: {error}")
    return lesions, problems


def _lesion(values: Mapping[str, str], kind: str, split: str, table: TextTable, row: int) -> Lesion:
    needed = ("patient id", "left or right breast", "image view", "abnormality id", "pathology", _WHOLE, _MASK)
    for name in needed:
        if name not in values:
            raise DataError(f"{table.name} has no column {name!r}{nearest(name, tuple(filter(None, values)))}")
    patient, side, view, number, pathology = (values[name].strip() for name in needed[:5])
    if pathology not in _PATHOLOGIES:
        raise DataError(f"pathology {pathology!r} is unknown{nearest(pathology, _PATHOLOGIES)}")
    image, series, _ = _parts(values[_WHOLE])
    crop = values.get("cropped image file path", "").strip()
    return Lesion(
        image=image,
        patient=patient,
        kind=kind,
        split=split,
        is_malignant=pathology == "MALIGNANT",
        side=side,
        view=view,
        density=values.get("breast density", "").strip(),
        number=number,
        series=series,
        mask=_parts(values[_MASK])[1:],
        crop=_parts(crop)[1:] if crop else None,
        where=table.where(row),
    )


def _parts(path: str) -> tuple[str, str, str]:
    """Subject, series and file of ``subject/study/series/000000.dcm``; cells may hold a line break."""
    parts = "".join(path.split("\n")).replace("\r", "").replace('"', "").strip().split("/")
    if len(parts) < 4 or not all(parts[:3]):
        raise DataError(f"path {path!r} is not subject/study/series/file; restore the published table")
    return parts[0], parts[2], parts[-1]
