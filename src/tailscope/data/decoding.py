"""From an image file to 8-bit pixels of the stored raster."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tailscope.core.errors import DataError
from tailscope.data.dicom_mark import is_dicom

DECODER_VERSION = 1  # part of every cache key: raise it when the same file would give other pixels
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# what Pillow raises for broken files, depending on the format and on where they break
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    IndexError,
    Image.DecompressionBombError,
)


def decode(path: Path, *, grey: bool = False) -> NDArray[np.uint8]:
    """Read one image file as its stored raster, without applying EXIF orientation: annotations refer to that raster.

    16-bit files are scaled from their format's whole range (65535 becomes 255), never clipped. Transparency is dropped.
    A colour file whose three channels are equal everywhere is grey.

    Args:
        path: PNG, JPEG, TIFF, BMP …, or DICOM as :func:`~tailscope.data.dicom.decode_dicom` reads it.
        grey: Return luminance, whatever the file holds.

    Returns:
        uint8, (H, W) grey or (H, W, 3) colour.

    Raises:
        DataError: The file is missing, unreadable, truncated or of floating-point kind.
    """
    if is_dicom(path):
        from tailscope.data.dicom import decode_dicom  # pydicom takes half a second to load, so where it is needed

        pixels = _drop_equal_channels(decode_dicom(path))
        return np.asarray(Image.fromarray(pixels).convert("L")) if grey and pixels.ndim == 3 else pixels
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in _SIXTEEN_BIT:
                return _from_sixteen_bit(np.asarray(image), path)
            if image.mode == "F":
                raise DataError(_floating(path, np.asarray(image)))
            pixels = np.asarray(image.convert(_target_mode(image.mode, grey=grey)))
    except FileNotFoundError:
        raise DataError(f"{path} is missing; expected an image file: restore it or leave its row out") from None
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(_unreadable(path, error)) from None
    return _drop_equal_channels(pixels)


def raw_values(path: Path) -> NDArray[np.int64]:
    """The numbers that a mask file stores, (H, W), palette indices included; colours only where they are grey.

    A palette that shows nothing but black and white is read as it shows, 0 and 255: some tools store white first.

    Raises:
        DataError: The file is unreadable or coloured.
    """
    if is_dicom(path):
        from tailscope.data.dicom import dicom_values  # late, as in `decode`

        return dicom_values(path)
    try:
        with Image.open(path) as image:
            image.load()
            values = np.asarray(image.convert("L") if _is_black_and_white(image) else image)
    except _BROKEN as error:
        raise DataError(f"mask {path} cannot be read ({error}); replace the file") from None
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (values != values[..., :1]).any():
            raise DataError(f"mask {path} is a colour image; expected one channel of 0/1 or 0/255")
        values = values[..., 0]
    return values.astype(np.int64) * (255 if values.dtype == bool else 1)


def raster_size(path: Path) -> tuple[int, int]:
    """(height, width) from the file's header, without decoding.

    Raises:
        DataError: The header is unreadable.
    """
    if is_dicom(path):
        from tailscope.data.dicom import dicom_size  # late, as in `decode`

        return dicom_size(path)
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _BROKEN as error:
        raise DataError(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a file that Pillow cannot read."""
    told = str(error)
    if isinstance(error, UnidentifiedImageError):  # its own words are the path once more
        told = "it holds text, such as a web page or a Git LFS pointer" if _is_text(path) else "no known picture format"
    with suppress(OSError):
        told = told if path.stat().st_size else "it is empty, 0 bytes"
    return f"{path} cannot be read as an image ({told}); replace the file or leave its row out"


def _is_text(path: Path) -> bool:
    """Whether a file begins with printable ASCII."""
    with path.open("rb") as stream:
        return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in stream.read(256))


def _floating(path: Path, values: NDArray[np.generic]) -> str:
    strange = int((~np.isfinite(values.astype(np.float64))).sum())
    some = f", {strange} of them NaN or infinite" if strange else ""
    return f"{path} holds floating-point pixels{some}; expected 8 or 16 bits: convert the file"


def _is_black_and_white(image: Image.Image) -> bool:
    """Whether the colours that a palette image uses are black and white alone."""
    if image.mode != "P":
        return False
    palette = image.getpalette("RGB") or []
    used = {tuple(palette[3 * index : 3 * index + 3]) for index in np.unique(np.asarray(image)).tolist()}
    return used <= {(0, 0, 0), (255, 255, 255)}


def _target_mode(mode: str, *, grey: bool) -> str:
    return "L" if grey or mode in ("1", "L", "LA", "La") else "RGB"


def _from_sixteen_bit(values: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    wide = values.astype(np.int64)
    if wide.size and (wide.min() < 0 or wide.max() > 65535):
        raise DataError(
            f"{path} has values from {wide.min()} to {wide.max()}; expected 8 or 16 bits, 0 to 65535: convert the file"
        )
    return ((wide + 128) // 257).astype(np.uint8)


def _drop_equal_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all()):
        return np.ascontiguousarray(pixels[..., 0])
    return pixels
