"""The page of images that may be one, which ``tailscope data inspect --pairs`` writes."""

from __future__ import annotations

from pathlib import Path

from tailscope.core import DataError, Dataset, InputError
from tailscope.data import LIKENESS, Inspection
from tailscope.data.suspicions import Suspicion
from tailscope.report import SuspectImage, SuspectPage, SuspectRow, write_suspects

_MOST = 200  # rows of a kind: 3 to 30 kB a picture
_TOGETHER = 6  # pictures of a group


def require_page(path: Path) -> None:
    """Pass if the page can be written, before minutes are spent on reading images.

    Raises:
        InputError: The name is not one of a page, or its folder is missing.
    """
    if path.suffix.lower() not in (".html", ".htm") or not path.parent.is_dir():
        raise InputError(f"--pairs {path}: expected the name of an .html file in a folder that exists")


def write_pairs(path: Path, dataset: Dataset, found: Inspection) -> int:
    """Write the page and return how many pairs and groups it shows."""
    alike = [one for one in found.suspicions if not one.identical]
    identical = [one for one in found.suspicions if one.identical]
    page = SuspectPage(
        name=found.name,
        images=found.images,
        threshold=LIKENESS,
        identical=tuple(_row(dataset, one) for one in identical[:_MOST]),
        alike=tuple(_row(dataset, one) for one in alike[:_MOST]),
        left_out=(max(len(identical) - _MOST, 0), max(len(alike) - _MOST, 0)),
    )
    write_suspects(path, page)
    return len(page.identical) + len(page.alike)


def _row(dataset: Dataset, one: Suspicion) -> SuspectRow:
    splits = dataset.images["split"].iloc[list(one.rows)].dropna()
    images = [_image(dataset, row) for row in one.rows[:_TOGETHER]]
    if (more := len(one.rows) - _TOGETHER) > 0:
        images.append(SuspectImage(f"and {more} more", "", None))
    return SuspectRow(tuple(images), one.likeness, splits.nunique() > 1, one.differing)


def _image(dataset: Dataset, row: int) -> SuspectImage:
    facts = dataset.images.iloc[row]
    known = [facts["patient_id"] if isinstance(facts["patient_id"], str) else "patient unknown"]
    known.append(f"in {facts['split']}" if isinstance(facts["split"], str) else "no published split")
    try:
        pixels = dataset.read_pixels(row)
    except DataError:  # listed as unreadable already
        pixels = None
    return SuspectImage(str(facts["image_id"]), ", ".join(known), pixels)
