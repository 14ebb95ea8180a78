"""covid-chestxray-dataset: radiographs from publications, each with a finding that is a path of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.core.records import Dataset
from tailscope.data.files import FileContent, ImageFiles, index_by_name, require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.text_tables import columns_of, read_text_table
from tailscope.data.validation import raise_problems
from tailscope.sources.covid_tables import NO_FINDING, Row, has_header, read_rows, variant
from tailscope.sources.listed_images import TABLES_ALONE, Missing, absence_problems, places_of, require_missing

_TABLE = "metadata.csv"


@DATASETS.register("covid_chestxray")
@dataclass(frozen=True)
class CovidChestXray:
    """Some 900 radiographs of COVID-19 and other pneumonias, collected from publications.

    Expects ``metadata.csv`` and the folder ``images``, as in the repository. Every name on the path of a finding is a
    class: Pneumonia/Viral/COVID-19 is positive for all three. What could be a kind of the last name is unmentioned
    (a pneumonia that says no more may be viral), everything else negative. Slices of computed tomography and images
    without a finding ("todo", "Unknown") are left out. The licence differs from image to image, and stays beside it.

    Args:
        missing: What to do about listed images that are not on disk: ``error``, ``skip`` them, or ``tables``, which
            looks for none.

    Source: Cohen et al. (2020), "COVID-19 image data collection: prospective predictions are the future", Journal of
    Machine Learning for Biomedical Imaging.
    """

    missing: Missing = "error"
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "differs from image to image, partly unknown: no redistribution",
        "open: github.com/ieee8023/covid-chestxray-dataset",
    )

    def __post_init__(self) -> None:
        require_missing(self.missing)

    @staticmethod
    def recognise(root: Path) -> str | None:
        """The table, by its columns, and whether its header is early or late."""
        path = root / _TABLE
        columns = columns_of(path)
        return f"{_TABLE}, {variant(columns)}" if has_header(columns) else None

    def __call__(self, root: Path | None) -> Dataset:
        """Read the folder.

        Raises:
            DataError: The table, rows or images are missing or wrong; all at once.
        """
        root = require_root(root, "covid_chestxray")
        table = read_text_table(root / _TABLE)
        rows, problems = read_rows(table)
        chosen = [row for row in rows if row.is_radiograph and row.finding]
        folder = root / "images"
        place = folder if folder.is_dir() else root
        index = places_of([row.image for row in chosen], self.missing, lambda: index_by_name(root, place))
        kept = [row for row in chosen if row.image in index]
        absent = [row.image for row in chosen if row.image not in index]
        problems += absence_problems(absent, len(chosen), folder, self.missing, remedy="restore them")
        raise_problems(problems)
        images = image_table(
            {
                "image_id": [row.image for row in kept],
                "path": [index[row.image] for row in kept],
                "patient_id": [row.patient or None for row in kept],
                "age": [row.age_years for row in kept],
                "sex": [row.sex or None for row in kept],
                "view": [row.view or None for row in kept],
                "licence": [row.licence or None for row in kept],
            }
        )
        classes = tuple(sorted({name for row in kept for name in row.finding}))
        files = ImageFiles(root, tuple(images["path"]), grey=True, absent=self.missing == TABLES_ALONE)
        return Dataset(
            name="covid_chestxray",
            classes=classes,
            images=images,
            labels=label_table([row.image for row in kept], classes, _states(kept, classes), "publication"),
            annotations=annotation_table([], "none"),
            read_pixels=files,
            content=FileContent(files),
            notes=_notes(f"{_TABLE}, {variant(table.columns)}", rows, kept, absent),
        )


def _states(rows: Sequence[Row], classes: Sequence[str]) -> NDArray[np.str_]:
    paths = {row.finding for row in rows}
    kinds = {
        own: {name for path in paths if path[: len(own)] == own for name in path[len(own) :]} - {NO_FINDING}
        for own in paths
    }
    states = np.full((len(rows), len(classes)), "negative", dtype=object)
    for place, row in enumerate(rows):
        for number, name in enumerate(classes):
            if name in row.finding:
                states[place, number] = "positive"
            elif name in kinds[row.finding]:
                states[place, number] = "unmentioned"
    return states


def _notes(table: str, rows: Sequence[Row], kept: Sequence[Row], absent: Sequence[str]) -> tuple[str, ...]:
    counted = {
        "slices or volumes of computed tomography were left out": sum(not row.is_radiograph for row in rows),
        "radiographs have no finding (todo, Unknown, blank) and were left out": sum(
            row.is_radiograph and not row.finding for row in rows
        ),
        "images name no licence": sum(not row.licence for row in kept),
        "listed images are not on disk and were skipped": len(absent),
    }
    return (
        f"{len(kept)} of {len(rows)} images of {table}",
        "no split is published",
        *(f"{count} {what}" for what, count in counted.items() if count),
    )
