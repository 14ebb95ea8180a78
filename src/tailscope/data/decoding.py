"""From an image file to 8-bit pixels, standing as a viewer shows them; of what else a file says, nothing is kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from tailscope.core.errors import DataError
from tailscope.data.dicom_mark import bears_mark, is_named_dicom
from tailscope.data.orientation import UPRIGHT, orientation_of, turned, turned_size

# Part of every cache key, and so of what an experiment folder goes by: raise it when every file would give other
# pixels. Where a few would, `manner` tells them apart, and the folders of all others stay valid.
DECODER_VERSION = 1
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
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
    """Read one image file as it is shown: turned as its EXIF orientation says, which is all that is read of EXIF.

    16-bit grey is scaled from its format's whole range (65535 becomes 255), never clipped; of 16-bit colours Pillow
    keeps the upper 8 bits. Transparency is dropped, not painted on a background: what lies beneath is what was
    measured. CMYK and YCbCr become RGB by their formulas, without a colour profile. A colour file whose three channels
    are equal everywhere is grey.

    Args:
        path: PNG, JPEG, TIFF, BMP …, or DICOM as :func:`~tailscope.data.dicom.decode_dicom` reads it.
        grey: Return luminance, whatever the file holds.

    Returns:
        uint8, (H, W) grey or (H, W, 3) colour.

    Raises:
        DataError: The file is missing, unreadable, truncated or of floating-point kind.
    """
    with _reading(path):
        if not is_named_dicom(path):
            with path.open("rb") as stream:
                if not bears_mark(stream):
                    return _decode(stream, path, grey=grey)
    from tailscope.data.dicom import decode_dicom  # pydicom takes half a second to load, so where it is needed

    pixels = _drop_equal_channels(decode_dicom(path))
    return np.asarray(Image.fromarray(pixels).convert("L")) if grey and pixels.ndim == 3 else pixels


def raw_values(path: Path) -> NDArray[np.int64]:
    """The numbers that a mask file stores, (H, W), palette indices included; colours only where they are grey.

    A palette that shows nothing but black and white is read as it shows, 0 and 255: some tools store white first. A
    mask is turned as :func:`decode` turns an image.

    Raises:
        DataError: The file is unreadable or coloured.
    """
    try:
        if not is_named_dicom(path):
            with path.open("rb") as stream:
                if not bears_mark(stream):
                    return _one_channel(_raw(stream), path)
    except _BROKEN as error:
        raise DataError(f"mask {path} cannot be read ({error}); replace the file") from None
    from tailscope.data.dicom import dicom_values  # late, as in `decode`

    return dicom_values(path)


def raster_size(path: Path) -> tuple[int, int]:
    """(height, width) of the pixels that :func:`decode` gives, from the file's header, without decoding.

    Raises:
        DataError: The header is unreadable.
    """
    with _reading(path):
        if not is_named_dicom(path):
            with path.open("rb") as stream:
                if not bears_mark(stream):
                    with Image.open(stream) as image:
                        return turned_size((image.height, image.width), orientation_of(image, stream))
    from tailscope.data.dicom import dicom_size  # late, as in `decode`

    return dicom_size(path)


def manner(stream: IO[bytes]) -> str:
    """How these bytes are read otherwise than by :data:`DECODER_VERSION` 1: part of what identifies their pixels.

    Empty for all files but those that it left lying, or inverted; and for what is no image.
    """
    try:
        if bears_mark(stream):
            return ""
        with Image.open(stream) as image:
            orientation = orientation_of(image, stream)
            words = (f"turned {orientation}" if orientation != UPRIGHT else "", "white is 0" * _is_inverted(image))
            return " ".join(filter(None, words))
    except _BROKEN:
        return ""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in whatever goes wrong."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} is missing; expected an image file: restore it or leave its row out") from None
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(_unreadable(path, error)) from None


def _decode(stream: IO[bytes], path: Path, *, grey: bool) -> NDArray[np.uint8]:
    with Image.open(stream) as image:
        orientation = orientation_of(image, stream)
        is_inverted = _is_inverted(image)
        image.load()
        if image.mode in _SIXTEEN_BIT:
            pixels = _from_sixteen_bit(np.asarray(image), path)
            pixels = 255 - pixels if is_inverted else pixels
        elif image.mode == "F":
            raise DataError(_floating(path, np.asarray(image)))
        else:
            pixels = _drop_equal_channels(np.asarray(image.convert(_target_mode(image.mode, grey=grey))))
    return np.asarray(turned(pixels, orientation), dtype=np.uint8) if orientation != UPRIGHT else pixels


def _is_inverted(image: Image.Image) -> bool:
    """Whether this is a 16-bit TIFF whose 0 is white; those of 8 bits and of 1 Pillow inverts itself."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in _SIXTEEN_BIT:
        return False
    return bool(image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _raw(stream: IO[bytes]) -> NDArray[np.generic]:
    with Image.open(stream) as image:
        orientation = orientation_of(image, stream)
        image.load()
        values = np.asarray(image.convert("L") if _is_black_and_white(image) else image)
    return turned(values, orientation)


def _one_channel(values: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    if values.ndim == 3:
        values = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (values != values[..., :1]).any():
            raise DataError(f"mask {path} is a colour image; expected one channel of 0/1 or 0/255")
        values = values[..., 0]
    return values.astype(np.int64) * (255 if values.dtype == bool else 1)


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
