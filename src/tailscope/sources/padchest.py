"""PadChest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import LABEL_COLUMNS, Dataset
from tailscope.data.files import FileContent, ImageFiles, index_by_name, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import raise_problems
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, places_of, require_missing
from tailscope.sources.padchest_tables import BROKEN, FRONTAL, VIEW_OF, Row, read_rows

_TABLE = "PADCHEST_chest_x_ray_images_labels*.csv*"


@DATASETS.register("padchest")
@dataclass(frozen=True)
class PadChest:
    """160,861 radiographs of some 67,000 patients, some 190 findings of reports, a quarter labelled by physicians.

    Expects ``PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`` (or ``.csv.gz``) with the images anywhere below,
    found by name. Findings are the whole terms of the list, never parts of words; a finding that is not named is
    unmentioned. "normal", "exclude", "suboptimal study" and "unchanged" are no findings. Images that the table calls
    MONOCHROME1 are inverted. No split is published.

    Args:
        views: ``frontal`` (PA, AP and AP lying down), or ``all``.
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none. 21 images that are
            known to be absent or broken are always left out.
        excluded: Keep images that the publishers call unusable.

    Source: Bustos et al. (2020), "PadChest: a large chest x-ray image dataset with multi-label annotated reports",
    Medical Image Analysis 66.
    """

    views: Literal["frontal", "all"] = "frontal"
    missing: Missing = "error"
    excluded: bool = False
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "BIMCV research use agreement: no re-identification, no redistribution", "registration with BIMCV"
    )

    def __post_init__(self) -> None:
        if self.views not in ("frontal", "all"):
            raise InputError(f"`views` must be frontal or all; got {self.views!r}")
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """PadChest's table, by its name and columns."""
        path = find_table(root)
        return path.name if path is not None and {"ImageID", "Labels"} <= set(columns_of(path)) else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: The table, rows or images are missing or wrong; all at once.
        """
        root = require_root(root, "padchest")
        path = find_table(root)
        if path is None:
            raise DataError(f"{root} holds no {_TABLE}; expected PadChest's table there")
        rows, problems = read_rows(read_text_table(path))
        chosen = [row for row in rows if self._is_chosen(row)]
        index = places_of([row.image for row in chosen], self.missing, lambda: index_by_name(root, root))
        kept = [row for row in chosen if row.image in index]
        absent = [row.image for row in chosen if row.image not in index]
        problems += absence_problems(absent, len(chosen), root, self.missing, what="listed images")
        raise_problems(problems)
        images = _image_table(kept, index)
        inverted = frozenset(index[row.image] for row in kept if row.is_inverted)
        absent_files = self.missing == TABLES_ALONE
        files = ImageFiles(root, tuple(images["path"]), grey=True, inverted=inverted, absent=absent_files)
        return Dataset(
            name="padchest",
            classes=tuple(sorted(frozenset().union(*(row.findings for row in kept)))),
            images=images,
            labels=_label_table(kept),
            annotations=annotation_table([], "none"),
            read_pixels=files,
            content=FileContent(files),
            notes=_notes(path.name, rows, kept, absent),
        )

    def _is_chosen(self, row: Row) -> bool:
        if row.image in BROKEN or row.terms is None or (row.is_excluded and not self.excluded):
            return False
        return self.views == "all" or row.projection in FRONTAL


def find_table(root: Path) -> Path | None:
    """PadChest's table in a folder, or None."""
    return next((path for path in sorted(root.glob(_TABLE)) if path.name.endswith((".csv", ".csv.gz"))), None)


def _image_table(rows: Sequence[Row], index: dict[str, str]) -> pd.DataFrame:
    return image_table(
        {
            "image_id": [row.image for row in rows],
            "path": [index[row.image] for row in rows],
            "patient_id": [row.patient or None for row in rows],
            "age": [row.age_years for row in rows],
            "sex": [row.sex or None for row in rows],
            "view": [VIEW_OF.get(row.projection, row.projection) or None for row in rows],
        }
    )


def _label_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Positive labels alone: 30 million rows for what nobody mentioned would say nothing more."""
    found = [(row.image, name, "positive", row.reader) for row in rows for name in sorted(row.findings)]
    return pd.DataFrame(found, columns=list(LABEL_COLUMNS))


def _notes(table: str, rows: Sequence[Row], kept: Sequence[Row], absent: Sequence[str]) -> tuple[str, ...]:
    by_physician = sum(row.reader == "Physician" for row in kept)
    counted = {
        "have no labels and were left out": sum(row.terms is None for row in rows),
        "are called unusable by the publishers": sum(row.is_excluded for row in rows),
        "are known to be absent or broken and were left out": sum(row.image in BROKEN for row in rows),
        "are MONOCHROME1 and are inverted": sum(row.is_inverted for row in kept),
        "listed images are not on disk and were skipped": len(absent),
    }
    return (
        f"{len(kept)} of {len(rows)} images listed in {table}; {by_physician} labelled by physicians, the others by a "
        "model; what a report does not name is unmentioned",
        "no split is published",
        *(f"{count} {what}" for what, count in counted.items() if count),
    )
