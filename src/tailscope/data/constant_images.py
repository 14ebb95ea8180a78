"""Images without any contrast: all black, as failed exports are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import digest, read_json, write_json
from tailscope.core.geometry import Placement, Resize
from tailscope.data.cache import PixelCache


def is_constant(pixels: NDArray[np.uint8]) -> bool:
    """Whether all pixels of (H, W) or (H, W, C) are alike.

    >>> is_constant(np.zeros((2, 2, 3), np.uint8)), is_constant(np.eye(2, dtype=np.uint8))
    (True, False)
    """
    return bool((pixels == pixels[:1, :1]).all())


def constant_rows(cache: PixelCache, resize: Resize, folder: Path) -> list[int]:
    """Rows of the images whose pixels are all alike, remembered in ``folder``; bars around an image do not count.

    Args:
        cache: Decoded images, N.
        resize: How they were put into their frame.
        folder: Where caches lie.
    """
    place = folder / f"constant-{digest(cache.key)[:24]}.json"
    if place.exists():
        return [int(row) for row in read_json(place)]
    frame = (int(cache.pixels.shape[1]), int(cache.pixels.shape[2]))
    found = []
    for row, size in enumerate(cache.sizes.tolist()):
        at = Placement.of((size[0], size[1]), frame, resize)
        left, top = int(np.ceil(at.offset_x)), int(np.ceil(at.offset_y))
        inner = cache.pixels[row, top : max(frame[0] - top, top + 1), left : max(frame[1] - left, left + 1)]
        if is_constant(inner):
            found.append(row)
    write_json(place, found)
    return found
