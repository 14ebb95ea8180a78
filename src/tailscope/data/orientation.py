"""Which way up a picture stands: one number of its EXIF data, and nothing else of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

UPRIGHT = 1
_TAG = 0x0112
_LYING = (5, 6, 7, 8)  # height and width change places
_AFTER_SIGNATURE = 8  # bytes
_BROKEN = (
    SyntaxError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    struct.error,
)  # what Pillow raises for broken EXIF data


def orientation_of(image: Image.Image, stream: IO[bytes]) -> int:
    """The EXIF orientation, 1 to 8, of an image that was opened and not loaded; 1 where it has none.

    EXIF data that cannot be read say nothing. TIFF counts as upright: Pillow turns it itself, and knows its turned size
    before it is loaded.

    Args:
        image: Opened from ``stream``.
        stream: The file; where it stands afterwards is undefined for a PNG that has no EXIF data before its pixels.
    """
    if image.format == "TIFF":
        return UPRIGHT
    if isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info:
        place = stream.tell()
        follows = _exif_follows(stream)
        stream.seek(place)
        if not follows:
            return _tag(image, Image.Image.getexif)  # the method of PNG images decodes them, to look behind the pixels
    return _tag(image, type(image).getexif)


def turned(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Pixels as a viewer shows them.

    Args:
        pixels: (H, W) or (H, W, C) as stored.
        orientation: 1 to 8.

    Returns:
        (H, W) or (H, W, C), sides exchanged for 5 to 8.

    Source: Exif 2.32, 4.6.4 A, tag Orientation: where the stored first row and first column belong.

    Example:
        >>> import numpy as np
        >>> turned(np.array([[1, 2, 3]]), 6).tolist()  # the first row belongs on the right side
        [[1], [2], [3]]
    """
    if orientation in _LYING:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) after :func:`turned`."""
    return size[::-1] if orientation in _LYING else size


def _tag(image: Image.Image, read: Callable[[Image.Image], Image.Exif]) -> int:
    try:
        value = read(image).get(_TAG)
    except _BROKEN:
        return UPRIGHT  # as viewers do
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def _exif_follows(stream: IO[bytes]) -> bool:
    """Whether a PNG file has EXIF data, wherever; its pieces are named and passed over."""
    stream.seek(_AFTER_SIGNATURE)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return True
        stream.seek(length + 4, 1)
    return False
