"""From what the expert drew to a boolean raster on the network's grid.

Coordinates are continuous: x to the right, y down, the origin at the top-left corner of the top-left pixel, so pixel
(r, c) covers [c, c+1) × [r, r+1). Boxes are edges. A pixel is inside a shape if its centre is; a shape that would
vanish keeps the pixel nearest to its centre (METHODS section 4).

The kinds and their geometry (JSON):

=========  =====================================================================================
kind       geometry
=========  =====================================================================================
box        ``[x0, y0, x1, y1]``
disc       ``[x, y, radius]``
polygon    ``[[[x, y], …], …]``: rings, filled by union
rle        ``{"size": [h, w], "counts": [background, foreground, …]}``, column-major as in COCO
mask_file  ``{"path": "…"}``: read by the source, which hands it on as ``rle``
=========  =====================================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError

Resize = Literal["stretch", "pad"]
Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Placement:
    """Where a raster lies in the frame of the network input: x' = x · scale_x + offset_x, likewise y.

    >>> Placement.of((100, 200), (50, 50), "pad")
    Placement(scale_x=0.25, scale_y=0.25, offset_x=0.0, offset_y=12.5)
    """

    scale_x: float
    scale_y: float
    offset_x: float = 0.0
    offset_y: float = 0.0

    @classmethod
    def of(cls, size: Size, frame: Size, resize: Resize = "stretch") -> Placement:
        """How a raster of ``size`` (height, width) is put into ``frame`` (height, width)."""
        (height, width), (frame_height, frame_width) = size, frame
        if min(height, width, frame_height, frame_width) < 1:
            raise InputError(f"sizes must be 1 pixel or more; got {size} into {frame}")
        scale_x, scale_y = frame_width / width, frame_height / height
        if resize == "stretch":
            return cls(scale_x, scale_y)
        scale = min(scale_x, scale_y)
        return cls(scale, scale, (frame_width - width * scale) / 2, (frame_height - height * scale) / 2)

    def forward(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) points (x, y) of the raster to the frame."""
        return np.asarray(points * [self.scale_x, self.scale_y] + np.array([self.offset_x, self.offset_y]))

    def backward(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) points (x, y) of the frame to the raster."""
        return np.asarray((points - np.array([self.offset_x, self.offset_y])) / [self.scale_x, self.scale_y])


def rasterise(kind: str, geometry: str | Any, placement: Placement, frame: Size) -> NDArray[np.bool_]:
    """Draw one annotation on the frame.

    Args:
        kind: One of the kinds of the module's table, without ``mask_file``.
        geometry: JSON text, or what it stands for.
        placement: From the annotation's reference raster to the frame.
        frame: (H, W).

    Returns:
        (H, W) bool; at least one pixel, unless an ``rle`` is empty.

    Raises:
        InputError: The kind is unknown.

    Example:
        >>> import numpy as np
        >>> rasterise("box", [0, 0, 2, 1], Placement(1, 1), (2, 3)).astype(int).tolist()
        [[1, 1, 0], [0, 0, 0]]
        >>> int(rasterise("box", [1.1, 1.1, 1.2, 1.2], Placement(1, 1), (2, 3)).sum())
        1
    """
    if isinstance(geometry, str):
        geometry = json.loads(geometry)
    centres = placement.backward(_centres(frame))
    x, y = centres[..., 0], centres[..., 1]
    if kind == "rle":
        mask, middle = _inside_rle(geometry, x, y)
    elif kind == "box":
        x0, y0, x1, y1 = map(float, geometry)
        mask, middle = (x >= x0) & (x < x1) & (y >= y0) & (y < y1), ((x0 + x1) / 2, (y0 + y1) / 2)
    elif kind == "disc":
        px, py, radius = map(float, geometry)
        mask, middle = (x - px) ** 2 + (y - py) ** 2 <= radius**2, (px, py)
    elif kind == "polygon":
        mask, middle = _inside_rings(geometry, x, y)
    else:
        raise InputError(f"`kind` must be box, disc, polygon or rle; got {kind!r}")
    if middle is not None and not mask.any():
        _keep_nearest(mask, placement.forward(np.array(middle, dtype=np.float64)))
    return mask


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Run lengths of a mask, column-major, background first (COCO's uncompressed form).

    >>> import numpy as np
    >>> encode_rle(np.array([[0, 1], [1, 1]], dtype=bool))
    {'size': [2, 2], 'counts': [1, 3]}
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    counts = [int(run) for run in runs]
    return {"size": [int(side) for side in mask.shape], "counts": [0, *counts] if flat.size and flat[0] else counts}


def decode_rle(geometry: dict[str, list[int]]) -> NDArray[np.bool_]:
    """The mask of :func:`encode_rle`.

    Raises:
        InputError: The runs do not add up to the size.
    """
    height, width = geometry["size"]
    counts = np.asarray(geometry["counts"], dtype=np.int64)
    if counts.sum() != height * width or (counts < 0).any():
        raise InputError(f"run lengths add up to {counts.sum()}; expected {height} × {width} = {height * width}")
    values = np.arange(counts.size) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def _centres(frame: Size) -> NDArray[np.float64]:
    rows, columns = np.indices(frame, dtype=np.float64)
    return np.stack([columns + 0.5, rows + 0.5], axis=-1)


def _inside_rle(
    geometry: dict[str, list[int]], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], tuple[float, float] | None]:
    stored = decode_rle(geometry)
    height, width = stored.shape
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    mask = within & stored[row.clip(0, height - 1), column.clip(0, width - 1)]
    if not stored.any():
        return mask, None
    rows, columns = np.nonzero(stored)
    return mask, (float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)


def _inside_rings(
    rings: list[list[list[float]]], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], tuple[float, float]]:
    mask = np.zeros(x.shape, dtype=bool)
    for ring in rings:
        mask |= _inside_ring(np.asarray(ring, dtype=np.float64), x, y)
    first = np.asarray(rings[0], dtype=np.float64).mean(axis=0)
    return mask, (float(first[0]), float(first[1]))


def _inside_ring(ring: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Even-odd rule: count the edges that a ray to the right crosses."""
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 <= y) != (y1 <= y)
        inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _keep_nearest(mask: NDArray[np.bool_], middle: NDArray[np.float64]) -> None:
    height, width = mask.shape
    column = int(np.clip(np.floor(middle[0]), 0, width - 1))
    row = int(np.clip(np.floor(middle[1]), 0, height - 1))
    mask[row, column] = True
