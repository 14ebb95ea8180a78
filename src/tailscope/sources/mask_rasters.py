"""Mask files: which pixels are foreground, whatever numbers a file stores for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size
from tailscope.data.decoding import decode, raw_values


def read_foreground(path: Path, size: Size) -> NDArray[np.bool_]:
    """The foreground of a mask file: 1 of 0/1, 255 of 0/255, the colour of a colour on black; above half of the most.

    Args:
        path: PNG, TIFF … with one channel, a palette whose first colour is the background, or colours on black.
        size: (height, width) of its image.

    Returns:
        (H, W) bool; all False for an empty mask.

    Raises:
        DataError: The file is unreadable, or has another size than its image.
    """
    try:
        values = raw_values(path)
    except DataError:  # coloured, or unreadable as an image at all
        pixels = decode(path)
        values = (pixels if pixels.ndim == 2 else pixels.max(axis=2)).astype(np.int64)
    if values.shape != tuple(size):
        raise DataError(
            f"mask {path.name} has {values.shape} pixels (height, width); expected {tuple(size)}, those of its image: "
            "restore the published file"
        )
    return np.asarray(values > values.max(initial=0) // 2)
