"""Where a radiograph shows no patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import InputError

_SHARES = (0.01, 0.60)  # of the picture; less is no region, more is no radiograph of a body
_LEVEL = 0.2  # of the way from the darkest level up to the bright one
_BLACK = 0.3  # of the bright level: air on film is darker than any lung
_OPENING = 128  # pixels of side for each pixel that a way from the border must be wide on both sides


def outside_body(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The air around the body on a grey radiograph, (H, W) bool: the dark region that touches the border.

    A rule of thumb, not a segmentation. Of the picture after a 3 × 3 median, a pixel is dark if it lies in the lowest
    fifth between the darkest level (0.5th percentile) and the bright one (90th percentile). Dark pixels count if they
    hang together with the border; of a picture of 128 pixels or more only by ways of 3 pixels or more, so that the
    lungs do not leak out between two ribs. What is bright there, such as a marker, stays out.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8, air dark; a picture of three equal channels is grey.

    Returns:
        All False where there is no such region: in a colour picture, where it would cover less than 1 % or more than
        60 % of the picture, or where it is not black (its mean above 0.3 of the bright level), as in a picture cut to
        the lungs.

    Raises:
        InputError: Another dtype or shape.

    Example:
        >>> film = np.full((8, 8), 200, dtype=np.uint8)
        >>> film[:, :2] = 5  # air on one side
        >>> film[3:5, 5:7] = 5  # as dark, but inside
        >>> outside_body(film).any(axis=0).tolist()
        [True, True, False, False, False, False, False, False]
    """
    grey = _grey(image)
    nothing = np.zeros(image.shape[:2], dtype=bool)
    if grey is None:
        return nothing
    smooth = ndimage.median_filter(grey, 3, mode="nearest").astype(np.float64)
    darkest, bright = np.percentile(smooth, [0.5, 90])
    region = _from_border(smooth <= darkest + _LEVEL * (bright - darkest), min(grey.shape) // _OPENING)
    is_air = _SHARES[0] <= region.mean() <= _SHARES[1] and smooth[region].mean() <= _BLACK * bright
    return region if is_air else nothing


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """(H, W), or None for a picture in colour."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(
            f"`image` must be (H, W), (H, W, 1) or (H, W, 3) uint8; got {image.shape} {image.dtype}; give the pixels "
            "before preprocessing"
        )
    if image.ndim == 2:
        return image
    return image[..., 0] if bool((image == image[..., :1]).all()) else None


def _from_border(dark: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The dark pixels that hang together with the border by ways of 2·radius + 1 pixels or more."""
    square = np.ones((2 * radius + 1, 2 * radius + 1), dtype=bool)
    wide = ndimage.binary_erosion(dark, square, border_value=1)
    labels, _ = ndimage.label(wide)
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    region = np.isin(labels, edges[edges > 0])
    return np.asarray(ndimage.binary_dilation(region, square) & dark)
