"""From a DICOM file to 8-bit pixels; of its header, nothing is kept.

Only the elements that say how pixels are stored and shown are read at all (:data:`_ELEMENTS`): names, dates and numbers
of patients stay in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGBaseline8Bit

from tailscope.core.errors import DataError
from tailscope.data.dicom_display import eight_bit_table, whole_range
from tailscope.data.dicom_warnings import MUTED

_GREY, _COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB",)
_PALETTE = "PALETTE COLOR"
_MOST_BITS = 16
_SHAPE = ["Rows", "Columns", "NumberOfFrames"]
_ELEMENTS = [
    *_SHAPE,
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]
_FASTEST = {JPEGBaseline8Bit: "pillow"}  # 15 ms for 5 megapixels; gdcm, which pydicom asks first, 53 ms, same values
# what pydicom and its decoders raise for broken or incomplete files, depending on where they break
_BROKEN = (
    InvalidDicomError,
    OSError,
    EOFError,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    struct.error,
)


def decode_dicom(path: Path) -> NDArray[np.uint8]:
    """Read one image as a viewer shows it.

    Grey images: the stored values go through the modality transformation, then through the first VOI lookup table, else
    the first window, else the whole range of the bits stored is spread over 0 to 255; MONOCHROME1 is inverted last and
    once. Colour images become RGB.

    Args:
        path: Uncompressed, or compressed as JPEG, JPEG-LS, JPEG 2000 or run lengths.

    Returns:
        uint8, (H, W) grey or (H, W, 3) colour.

    Raises:
        DataError: The file is missing, unreadable, truncated, or holds no single image of up to 16 bits.

    Source: DICOM PS3.3, C.7.6.3 (image pixels), C.11.1 (modality), C.11.2 (values of interest).
    """
    with _reading(path):
        header = _one_image(path)
        return _shown(header, _stored(header))


def dicom_values(path: Path) -> NDArray[np.int64]:
    """The numbers that a mask stores, (H, W); no transformation is applied.

    Raises:
        DataError: The file is unreadable, coloured or holds several frames.
    """
    with _reading(path):
        header = _one_image(path)
        if header.PhotometricInterpretation not in _GREY:
            raise DataError(f"mask {path} is a colour image; expected one channel of 0/1 or 0/255")
        return _stored(header).astype(np.int64)


def dicom_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header, without decoding.

    Raises:
        DataError: The header is unreadable or holds no size.
    """
    with _reading(path):
        header = _header(path, _SHAPE)
        return int(header.Rows), int(header.Columns)


def header_texts(path: Path, elements: Sequence[str]) -> list[str]:
    """The text of the named elements, blank where one is absent; no other element is read.

    Raises:
        DataError: The file is missing, or no DICOM.
    """
    with _reading(path):
        header = _header(path, elements)
        return [str(header.get(name) or "").strip() for name in elements]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in whatever goes wrong, and keep pydicom's remarks, which quote the header, to ourselves."""
    try:
        with MUTED:
            yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} is missing; expected an image file: restore it or leave its row out") from None
    except _BROKEN as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        message = f"{path} cannot be read as an image ({reason}); replace the file or leave its row out"
        raise DataError(message) from None


def _header(path: Path, elements: Sequence[str]) -> Dataset:
    with path.open("rb") as stream:
        return dcmread(stream, specific_tags=list(elements), stop_before_pixels="PixelData" not in elements)


def _one_image(path: Path) -> Dataset:
    header = _header(path, _ELEMENTS)
    if "PixelData" not in header:
        raise DataError(f"{path} holds no pixels of whole numbers; expected one image: leave its row out")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(
            f"{path} holds {frames} frames; expected a single image, since labels name no frame: "
            "save the frame that is meant as a file of its own or leave the row out"
        )
    return header


def _stored(header: Dataset) -> NDArray[Any]:
    """Stored values, (H, W) or (H, W, 3): unused bits cleared, YBR turned into RGB."""
    allocated = int(header.BitsAllocated)
    header.BitsStored = bits = int(header.get("BitsStored") or allocated)
    header.PixelRepresentation = int(header.get("PixelRepresentation") or 0)
    header.SamplesPerPixel = int(header.get("SamplesPerPixel") or 1)
    if bits > _MOST_BITS:
        raise ValueError(f"{bits} bits are stored per pixel; expected {_MOST_BITS} or fewer")
    unused_below = int(header.get("HighBit") or bits - 1) - (bits - 1)  # 5 % of CheXpert Plus lack HighBit
    if unused_below <= 0 or header.file_meta.TransferSyntaxUID.is_compressed:
        return _decompressed(header)
    header.BitsStored = bits + unused_below
    stored = pixel_array(header) >> unused_below
    header.BitsStored = bits
    return stored


def _decompressed(header: Dataset) -> NDArray[Any]:
    plugin = _FASTEST.get(header.file_meta.TransferSyntaxUID)
    if plugin is not None:
        with suppress(*_BROKEN):
            return pixel_array(header, decoding_plugin=plugin)
    return pixel_array(header)


def _shown(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    photometric = str(header.PhotometricInterpretation)
    if photometric in _GREY and stored.ndim == 2:
        low, high = whole_range(header)
        if stored.min() < low or stored.max() > high:  # a compressed image of more bits than the header says
            stored = stored.clip(low, high)
        return eight_bit_table(header).take(stored if low == 0 else stored.astype(np.int32) - low)
    if photometric == _PALETTE:
        coloured = apply_color_lut(stored, header)[..., :3]
        return _to_eight_bits(coloured, 8 * coloured.dtype.itemsize)
    if (photometric in _COLOUR or photometric.startswith("YBR")) and stored.ndim == 3:
        return _to_eight_bits(stored, int(header.BitsStored))
    raise ValueError(f"photometric interpretation {photometric!r} is unknown; expected grey, palette, RGB or YBR")


def _to_eight_bits(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    most = 2**bits - 1
    levels = (values.astype(np.int64).clip(0, most) * 510 + most) // (2 * most)
    return np.asarray(levels, dtype=np.uint8)
