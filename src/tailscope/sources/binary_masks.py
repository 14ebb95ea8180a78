"""Mask files of two values, one of them background; everything else is refused, not guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tailscope.core.errors import DataError
from tailscope.core.geometry import Size, encode_rle
from tailscope.data.decoding import raster_size, raw_values
from tailscope.sources.run_lengths import Rle


def read_binary_mask(root: Path, name: str, size: Size | None) -> tuple[Rle, Size]:
    """Run lengths of a mask file, and its (height, width).

    Args:
        root: Folder of the data set.
        name: The file, relative to it: one channel or a palette, 0 is background and 1 or 255 foreground.
        size: (height, width) of its image, or None where the image is unknown.

    Raises:
        DataError: The file is missing, unreadable, of another size than its image, or of other values.
    """
    path = root / name
    if not path.is_file():
        raise DataError(f"mask file {name} does not exist; expected it below {root}")
    found = raster_size(path)
    if size is not None and found != size:
        raise DataError(f"mask {name} has {found} pixels (height, width); expected {size}, those of its image")
    values = raw_values(path)
    levels = np.unique(values).tolist()
    if not (set(levels) <= {0, 1} or set(levels) <= {0, 255}):
        shown = ", ".join(map(str, levels[:6])) + (" …" if len(levels) > 6 else "")
        raise DataError(f"mask {name} holds the values {shown}; expected 0/1 or 0/255: save a binary mask, not as JPEG")
    return encode_rle(values > 0), found
