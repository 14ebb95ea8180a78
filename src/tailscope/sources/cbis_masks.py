"""Masks of CBIS-DDSM: told from the crops beside them by what they hold, for names and order are wrong in many rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size, encode_rle
from tailscope.data.decoding import decode, raster_size, raw_values
from tailscope.data.dicom_mark import is_named_dicom
from tailscope.data.tables import Shape
from tailscope.data.validation import some
from tailscope.sources.cbis_files import CbisFiles
from tailscope.sources.cbis_tables import MALIGNANT, NAME_OF, Lesion

_BLURRED = 0.01  # share of pixels between the two values of a converted mask, at most; of a DICOM mask none
_SAME_ASPECT = 0.01  # published masks of another size keep the aspect ratio of their mammogram, with few exceptions
_READ = "masks were read"
_SCALED = "of them have another size than their mammogram and are scaled along"
_SWAPPED = "of them are the file that the table calls the crop, by number or series"
_ABSENT = "abnormalities have no mask on disk, and stay without one"
_OTHER = "abnormalities have no file that is a mask of their mammogram's shape, and stay without one"
_SEVERAL = "abnormalities have several masks that differ, of which none was taken"
_BROKEN = "files beside masks cannot be read and were passed over"


@dataclass
class CbisMasks:
    """The masks of abnormalities.

    Args:
        files: Where files lie.
        path_of: Mammogram to its file.
        shapes: What was read: one shape per mask and class.
        where: File and line per shape.
        named: What was counted, to the abnormalities or files it befell.
    """

    files: CbisFiles
    path_of: Mapping[str, str]
    shapes: list[Shape] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)

    def read(self, lesions: Sequence[Lesion]) -> None:
        """Read the mask of each abnormality."""
        for lesion in lesions:
            size = raster_size(self.files.root / self.path_of[lesion.image])
            drawn = self._mask(lesion, size)
            if drawn is None:
                continue
            frame = (drawn.shape[0], drawn.shape[1])
            names = [NAME_OF[lesion.kind], *([MALIGNANT] if lesion.is_malignant else [])]
            shape = encode_rle(drawn)
            self.shapes += [(lesion.image, name, "rle", shape, frame) for name in names]
            self.where += [lesion.where] * len(names)
            self._count(_READ, lesion.name)

    def notes(self) -> list[str]:
        """What was read, scaled, found swapped or left out, with the first few names of each."""
        notes = [f"{len(self.named[_READ])} {_READ}"] if _READ in self.named else []
        rest = (_SCALED, _SWAPPED, _ABSENT, _OTHER, _SEVERAL, _BROKEN)
        return notes + [
            f"{len(self.named[what])} {what}: {some(self.named[what])}" for what in rest if what in self.named
        ]

    def _mask(self, lesion: Lesion, size: Size) -> NDArray[np.bool_] | None:
        """The one file of two values that is as large as the mammogram; else one of its aspect ratio."""
        found = self.files.together(lesion.mask_folders)
        masks: dict[str, NDArray[np.bool_]] = {}
        for path in found:
            drawn = self._foreground(path, size)
            if drawn is not None:
                masks[path] = drawn
        exact = {path: drawn for path, drawn in masks.items() if drawn.shape == tuple(size)}
        masks = exact or masks
        if not masks:
            self._count(_OTHER if found else _ABSENT, lesion.name)
            return None
        (path, drawn), *others = masks.items()
        if any(not np.array_equal(drawn, other) for _, other in others):
            self._count(_SEVERAL, lesion.name)
            return None
        if not exact:
            self._count(_SCALED, lesion.name)
        if self._is_called_crop(path, lesion):
            self._count(_SWAPPED, lesion.name)
        return drawn

    def _foreground(self, path: str, size: Size) -> NDArray[np.bool_] | None:
        """(H, W) of a mask; None for a crop, whatever it is called."""
        file = self.files.root / path
        try:
            if not _is_alike(raster_size(file), size):
                return None
            values = _values(file)
        except DataError:
            self._count(_BROKEN, path)
            return None
        low, high = int(values.min()), int(values.max())
        margin, allowed = (0, 0.0) if is_named_dicom(file) else ((high - low) // 10, _BLURRED)
        between = float(((values > low + margin) & (values < high - margin)).mean())
        return None if high == low or between > allowed else np.asarray(values > high // 2)

    def _is_called_crop(self, path: str, lesion: Lesion) -> bool:
        """Whether the table names this file, or its series, as the crop; by its number where both are of one series."""
        if lesion.crop is None:
            return False
        (series, name), (crop_series, crop_name) = lesion.mask, lesion.crop
        if series != crop_series:
            return self.files.is_of(path, crop_series)
        return _number(PurePosixPath(path).name) == _number(crop_name) != _number(name)

    def _count(self, what: str, name: str) -> None:
        self.named.setdefault(what, []).append(name)


def _values(file: Path) -> NDArray[np.int64]:
    """The stored numbers; luminance of a coloured conversion."""
    try:
        return raw_values(file)
    except DataError:
        return decode(file, grey=True).astype(np.int64)


def _is_alike(size: Size, other: Size) -> bool:
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= _SAME_ASPECT


def _number(name: str) -> int | None:
    """The place of a file in its series: 1 of ``000001.dcm``, and of ``1-2.dcm``, which counts from 1.

    >>> _number("000001.dcm"), _number("1-2.png"), _number("mask.png")
    (1, 1, None)
    """
    match = re.fullmatch(r"(\d+-)?(\d+)", PurePosixPath(name).stem)
    return None if match is None else int(match[2]) - (1 if match[1] else 0)
