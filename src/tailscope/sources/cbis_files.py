"""The files of CBIS-DDSM on disk, sought by what survives a download: the case's folder, or the series of the table.

The tables name files ``case/study/series/000000.dcm``. The archive's own downloader renames all but the case (to
``case/07-20-2016-DDSM-NA-30288/1.000000-full mammogram images-24515/1-1.dcm``), others keep nothing but the series, and
some rename every folder; then the series stands in the header of each DICOM file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tailscope.core.errors import DataError
from tailscope.data.dicom_mark import is_named_dicom
from tailscope.data.files import walk_images

_SERIES = "SeriesInstanceUID"


@dataclass
class CbisFiles:
    """The images below a folder.

    Args:
        root: Folder of the data set.
        by_name: Name of a folder, or series of a header, to the images in it, sorted.
        from_headers: How many files were told by their headers.
        unreadable: How many DICOM files have no header that can be read.
    """

    root: Path
    by_name: dict[str, list[str]] = field(default_factory=dict)
    from_headers: int = 0
    unreadable: int = 0

    @classmethod
    def below(cls, root: Path, wanted: Collection[str]) -> CbisFiles:
        """Every image below ``root``; one in no folder of a wanted name is asked for its series.

        Args:
            root: Folder of the data set.
            wanted: Names of cases and series in the tables.
        """
        files = cls(root)
        for path in walk_images(root):
            relative = path.relative_to(root)
            names = set(relative.parts[:-1])
            if names.isdisjoint(wanted) and is_named_dicom(path):
                names |= files._asked(path, wanted)
            for name in names:
                files.by_name.setdefault(name, []).append(relative.as_posix())
        return files

    def mammogram(self, case: str, series: str) -> list[str]:
        """The files that may be the mammogram; of several in the folder of its case those of its series."""
        found = self.by_name.get(case) or self.by_name.get(series, [])
        if len(found) > 1:
            return [path for path in found if self.is_of(path, series)] or found
        return found

    def together(self, names: Sequence[str]) -> list[str]:
        """All files of some cases and series, sorted."""
        return sorted({path for name in names for path in self.by_name.get(name, [])})

    def is_of(self, path: str, series: str) -> bool:
        """Whether a file is of a series: by its folders, else by its header."""
        if series in PurePosixPath(path).parts:
            return True
        return is_named_dicom(PurePosixPath(path)) and _series(self.root / path) == series

    def notes(self) -> list[str]:
        """How files were told where not by their folders."""
        told = [f"{self.from_headers} DICOM files were told by the series in their headers, not by their folders"]
        broken = [f"{self.unreadable} DICOM files have no header that can be read and were passed over"]
        return (told if self.from_headers else []) + (broken if self.unreadable else [])

    def _asked(self, path: Path, wanted: Collection[str]) -> set[str]:
        series = _series(path)
        if series is None:
            self.unreadable += 1
        elif series in wanted:
            self.from_headers += 1
            return {series}
        return set()


def _series(path: Path) -> str | None:
    """The series of a DICOM file, blank where it names none; None where it has no header that can be read."""
    from tailscope.data.dicom import header_texts  # pydicom takes half a second to load, so where it is needed

    try:
        return header_texts(path, [_SERIES])[0]
    except DataError:
        return None
