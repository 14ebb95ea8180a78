"""From the stored values of a grey DICOM image to the 8 bits that are shown.

Every step is a function of the stored value alone, so it is worked out once per value that the bits can hold, and the
image is looked up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

Values = NDArray[np.float64]


def whole_range(header: Dataset) -> tuple[int, int]:
    """The lowest and the highest value that the bits stored can hold.

    >>> header = Dataset()
    >>> header.BitsStored, header.PixelRepresentation = 12, 1
    >>> whole_range(header)
    (-2048, 2047)
    """
    levels = 2 ** int(header.BitsStored)
    low = -levels // 2 if header.PixelRepresentation else 0
    return low, low + levels - 1


def eight_bit_table(header: Dataset) -> NDArray[np.uint8]:
    """What is shown for each stored value of the whole range, ascending.

    Args:
        header: With BitsStored, PixelRepresentation and PhotometricInterpretation; the elements of the modality and VOI
            steps where they apply.

    Returns:
        (2 ** BitsStored,) uint8.

    Raises:
        ValueError: A step is described so that it cannot be carried out.

    Example:
        >>> header = Dataset()
        >>> header.BitsStored, header.PixelRepresentation, header.PhotometricInterpretation = 2, 0, "MONOCHROME1"
        >>> eight_bit_table(header).tolist()
        [255, 170, 85, 0]
    """
    low, high = whole_range(header)
    values, span = _modality(np.arange(low, high + 1, dtype=np.float64), header)
    shares = _of_interest(values, span, header)
    levels = np.floor(shares * 255 + 0.5).astype(np.uint8)
    return 255 - levels if header.PhotometricInterpretation == "MONOCHROME1" else levels


def _modality(values: Values, header: Dataset) -> tuple[Values, tuple[float, float]]:
    """Values in the unit of the modality, and the span that they can take (PS3.3 C.11.1)."""
    if header.get("ModalityLUTSequence"):
        looked_up, most = _look_up(values, header, "ModalityLUTSequence")
        return looked_up, (0.0, most)
    slope, intercept = _number(header, "RescaleSlope", 1.0), _number(header, "RescaleIntercept", 0.0)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ValueError(
            f"rescale slope {slope} and intercept {intercept} make no image; expected a slope other than 0"
        )
    scaled = values * slope + intercept
    return scaled, (float(scaled.min()), float(scaled.max()))


def _of_interest(values: Values, span: tuple[float, float], header: Dataset) -> Values:
    """Shares in [0, 1] after the VOI step (PS3.3 C.11.2): lookup table, else window, else the whole span.

    A window that the standard does not allow (width 0, say) counts as none.
    """
    if header.get("VOILUTSequence"):
        looked_up, most = _look_up(values, header, "VOILUTSequence")
        return looked_up / most
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function not in _WINDOWS:
        raise ValueError(f"VOI LUT function {function!r} is unknown; expected {', '.join(_WINDOWS)}")
    centre, width = _number(header, "WindowCenter", np.nan), _number(header, "WindowWidth", np.nan)
    if np.isfinite([centre, width]).all() and (width >= 1 if function == "LINEAR" else width > 0):
        return _WINDOWS[function](values, centre, width)
    low, high = span
    return (values - low) / (high - low)


def _linear(values: Values, centre: float, width: float) -> Values:
    return _ramp(values, centre - 0.5, width - 1)


def _linear_exact(values: Values, centre: float, width: float) -> Values:
    return _ramp(values, centre, width)


def _ramp(values: Values, middle: float, width: float) -> Values:
    if width == 0:
        return (values > middle).astype(np.float64)
    return ((values - middle) / width + 0.5).clip(0, 1)


def _sigmoid(values: Values, centre: float, width: float) -> Values:
    exponent = (-4 * (values - centre) / width).clip(-700, 700)  # beyond it float64 overflows, and the share is 0 or 1
    return np.asarray(1 / (1 + np.exp(exponent)))


_WINDOWS: dict[str, Callable[[Values, float, float], Values]] = {
    "LINEAR": _linear,
    "LINEAR_EXACT": _linear_exact,
    "SIGMOID": _sigmoid,
}


def _number(header: Dataset, name: str, otherwise: float) -> float:
    """An element's number, the first of several; ``otherwise`` where it is absent or blank."""
    value = header.get(name)
    if value is None or isinstance(value, str):
        return float(value) if value else otherwise
    try:
        return float(value)
    except TypeError:
        return float(value[0]) if len(value) else otherwise


def _look_up(values: Values, header: Dataset, sequence: str) -> tuple[Values, float]:
    """The first table of a sequence, applied, and the highest value that its entries can take.

    Values below the first mapped one get the first entry, values above the last one the last. Some files declare fewer
    bits than their entries take; the entries are believed.
    """
    item = header[sequence].value[0]
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = _entries(item.LUTData, count or 2**16, little=header.original_encoding[1] is not False)
    places = np.floor(values - first).clip(0, len(entries) - 1).astype(np.int64)
    most = 2 ** max(bits, int(entries.max()).bit_length(), 1) - 1
    return entries[places].astype(np.float64), float(most)


def _entries(data: object, count: int, *, little: bool) -> NDArray[np.int64]:
    """The entries of a table: numbers, or the bytes of words, or of 8-bit entries two to a word."""
    if isinstance(data, bytes):
        is_wide = len(data) >= 2 * count
        kind = np.dtype(np.uint16 if is_wide else np.uint8).newbyteorder("<" if little else ">")
        entries = np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind).astype(np.int64)
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
    if len(entries) < count:
        raise ValueError(f"a lookup table holds {len(entries)} entries; expected {count}")
    return entries[:count]
