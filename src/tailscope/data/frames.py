"""Put an image into the frame of the network's input."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailscope.core.geometry import Placement, Resize, Size


def fit(pixels: NDArray[np.uint8], frame: Size, resize: Resize) -> NDArray[np.uint8]:
    """Put an image into the frame, exactly where :class:`~tailscope.core.Placement` says.

    Pillow's antialiased bilinear filter (a triangle as wide as the reduction) averages over area, does not ring, and
    has half-pixel centres as the masks have. An image of the frame's size stays as it is.

    Args:
        pixels: (h, w) or (h, w, 3) uint8.
        frame: (H, W).
        resize: ``stretch``, or ``pad`` with black.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Example:
        >>> import numpy as np
        >>> fit(np.full((2, 2), 9, np.uint8), (1, 2), "pad").shape
        (1, 2)
    """
    if pixels.shape[:2] == tuple(frame):
        return pixels
    image = Image.fromarray(pixels)
    height, width = frame
    if resize == "stretch":
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    place = Placement.of((image.height, image.width), frame, "pad")
    left, top = place.offset_x / place.scale_x, place.offset_y / place.scale_y
    margin_x, margin_y = math.ceil(left), math.ceil(top)
    canvas = Image.new(image.mode, (image.width + 2 * margin_x, image.height + 2 * margin_y))
    canvas.paste(image, (margin_x, margin_y))
    x0, y0 = margin_x - left, margin_y - top
    box = (x0, y0, min(x0 + width / place.scale_x, canvas.width), min(y0 + height / place.scale_y, canvas.height))
    return np.asarray(canvas.resize((width, height), Image.Resampling.BILINEAR, box=box))
