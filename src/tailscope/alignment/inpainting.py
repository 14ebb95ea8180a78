"""Take something out of a picture: fill its place from what stands around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import linalg

from tailscope.core import InputError, generator

_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))
_RING = 3  # pixels around the place from which the grain is read
_FEWEST = 8  # pixels of that ring from which a spread can be read
_NORMAL_MAD = 1.4826  # standard deviation of a normal variable over its median absolute deviation


def inpaint(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], *, seed: int = 0, grain: bool = True
) -> NDArray[np.uint8]:
    """The image with a region filled from its border, uint8; all other pixels stay as they are.

    The fill is harmonic (:func:`harmonic_fill`). It is smoother than film, and a network may see that; so white noise
    is added whose spread is that of the surroundings (:func:`grain_around`). The noise of a pixel depends on ``seed``
    and its place alone, and is the same field in every channel, so that grey pictures in three channels stay grey.

    Args:
        image: (H, W) or (H, W, C) uint8.
        mask: (H, W) bool, the region.
        seed: Of the noise; give each image its own (:func:`tailscope.core.child_seed`).
        grain: Whether noise is added.

    Raises:
        InputError: The image is not uint8, the two do not fit, or the mask covers every pixel.

    Example:
        >>> row = np.array([[10, 255, 255, 40]], dtype=np.uint8)
        >>> inpaint(row, row == 255).tolist()
        [[10, 20, 30, 40]]
    """
    if image.dtype != np.uint8:
        raise InputError(f"`image` must be uint8; got {image.dtype}; use harmonic_fill for floating pictures")
    filled = harmonic_fill(image.astype(np.float64), mask)
    if grain and mask.any():
        noise = generator(seed, "inpainted grain").standard_normal(mask.shape)[mask]
        spread = grain_around(image, mask)
        filled[mask] += noise.reshape(-1, *(1,) * (image.ndim - 2)) * spread
    result = image.copy()
    result[mask] = np.clip(np.rint(filled[mask]), 0, 255).astype(np.uint8)
    return result


def harmonic_fill(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The image with each pixel of a region at the mean of its neighbours, float64, in the unit of the image.

    That is Laplace's equation with the pixels around the region given. A pixel at the edge of the image has fewer
    neighbours, which is a reflecting edge: no flow across it. A linear ramp is reproduced exactly inside the image,
    and at an edge along which it runs.

    Args:
        image: (H, W) or (H, W, C) floating.
        mask: (H, W) bool, the region; the pixels under it are not read.

    Raises:
        InputError: The two do not fit, or the mask covers every pixel.

    Source: Bertalmio et al., Image inpainting, SIGGRAPH 2000, section 2 (isotropic diffusion, its steady state).

    Example:
        >>> harmonic_fill(np.array([[1.0, np.nan, 3.0]]), np.array([[False, True, False]])).tolist()
        [[1.0, 2.0, 3.0]]
    """
    _check(image, mask)
    filled = np.array(image, dtype=np.float64)
    if not mask.any():
        return filled
    matrix, rows, neighbours = _laplacian(mask)
    values = filled.reshape(mask.size, -1)
    known = np.zeros((matrix.shape[0], values.shape[1]))
    np.add.at(known, rows, values[neighbours])
    solved = linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A").solve(known)
    filled[mask] = solved.reshape(-1, *image.shape[2:])
    return filled


def grain_around(image: NDArray[np.generic], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Standard deviation of the film's grain around a region, () or (C,), 0 or more, in the unit of the image.

    It is read from how far the pixels within 3 of the region lie from the mean of their four neighbours: for white
    noise σ²·(1 + 1/4). The median makes it blind to edges; what curvature is left makes it a little too large. Where
    fewer than 8 such pixels have their neighbours known, it is 0.

    Args:
        image: (H, W) or (H, W, C).
        mask: (H, W) bool.

    Example:
        >>> picture = np.add.outer(np.arange(9.0), np.arange(9.0))
        >>> float(grain_around(picture, (picture == 8) & (np.arange(9) == 4)))  # a ramp has no grain
        0.0
    """
    _check(image, mask)
    values = np.asarray(image, dtype=np.float64)
    cross = ndimage.generate_binary_structure(2, 1)
    near = ndimage.maximum_filter(mask, 2 * _RING + 1, mode="constant")
    near &= ~ndimage.binary_dilation(mask, cross)
    near[[0, -1]] = False
    near[:, [0, -1]] = False
    rows, columns = np.nonzero(near)
    if rows.size < _FEWEST:
        return np.zeros(values.shape[2:])
    around = np.mean([values[rows + down, columns + across] for down, across in _STEPS], axis=0)
    away = np.abs(values[rows, columns] - around)
    return np.asarray(_NORMAL_MAD * np.median(away, axis=0) / np.sqrt(1.25))


def _laplacian(mask: NDArray[np.bool_]) -> tuple[sparse.csc_array, NDArray[np.int64], NDArray[np.int64]]:
    """The system of U unknown pixels.

    Returns:
        (U, U) number of neighbours on the diagonal, −1 for each unknown neighbour; and of every pair of an unknown and
        a known neighbour the number of the unknown and the flat place of the known one.
    """
    height, width = mask.shape
    number = np.full(mask.shape, -1, dtype=np.int64)
    number[mask] = np.arange(mask.sum())
    row, column = np.nonzero(mask)
    own, place, other = [], [], []
    for down, across in _STEPS:
        at_row, at_column = row + down, column + across
        inside = (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
        own.append(np.flatnonzero(inside))
        place.append((at_row * width + at_column)[inside])
        other.append(number[at_row[inside], at_column[inside]])
    owns, places, others = np.concatenate(own), np.concatenate(place), np.concatenate(other)
    count = row.size
    unknown = others >= 0
    degrees = np.bincount(owns, minlength=count).astype(np.float64)
    off = sparse.coo_array((-np.ones(unknown.sum()), (owns[unknown], others[unknown])), shape=(count, count))
    matrix = sparse.csc_array(sparse.diags_array(degrees) + off)
    return matrix, owns[~unknown], places[~unknown]


def _check(image: NDArray[np.generic], mask: NDArray[np.bool_]) -> None:
    if mask.dtype != np.bool_ or mask.ndim != 2 or image.ndim not in (2, 3) or image.shape[:2] != mask.shape:
        raise InputError(
            f"expected `image` (H, W) or (H, W, C) and `mask` (H, W) bool; got {image.shape} and {mask.shape} "
            f"{mask.dtype}; bring both to one frame"
        )
    if mask.all():
        raise InputError("`mask` covers every pixel of the image; there is nothing to fill it from")
