"""What the expert drew, as boolean rasters on the network's grid, drawn when asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.geometry import Placement, Resize, Size, rasterise

_KEPT = 1024  # masks kept drawn: 50 MB at 224 × 224


class MaskDrawer:
    """(row, name) to the union of the shapes of that name on that image, (H, W) bool, read-only; None without any.

    Args:
        annotations: Columns of :data:`~tailscope.core.ANNOTATION_COLUMNS`.
        image_ids: (N,) ids, by row.
        sizes: (N, 2) height and width of each stored raster.
        frame: (H, W) of the network input.
        resize: How images are put into the frame.
    """

    def __init__(
        self,
        annotations: pd.DataFrame,
        image_ids: Sequence[str] | NDArray[np.str_],
        sizes: NDArray[np.int32],
        *,
        frame: Size,
        resize: Resize,
    ) -> None:
        self._sizes = sizes
        self._frame = frame
        self._resize = resize
        self._shapes: dict[tuple[int, str], list[tuple[str, str, Size]]] = {}
        self._drawn: OrderedDict[tuple[int, str], NDArray[np.bool_]] = OrderedDict()
        rows = pd.Index(image_ids).get_indexer(pd.Index(annotations["image_id"]))
        names = ("class", "kind", "geometry", "ref_height", "ref_width")
        columns = (annotations[name].tolist() for name in names)
        for row, name, kind, geometry, height, width in zip(rows.tolist(), *columns, strict=True):
            self._shapes.setdefault((row, name), []).append((kind, geometry, (int(height), int(width))))

    def __call__(self, row: int, name: str) -> NDArray[np.bool_] | None:
        """Draw, or take what was drawn lately."""
        address = (int(row), str(name))
        if address not in self._shapes:
            return None
        mask = self._drawn.pop(address, None)
        if mask is None:
            mask = self._draw(address)
        self._drawn[address] = mask
        if len(self._drawn) > _KEPT:
            self._drawn.popitem(last=False)
        return mask

    def pairs(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """(M, 2) rows (image row, class index) that have a shape, sorted."""
        numbers = {name: number for number, name in enumerate(classes)}
        found = sorted((row, numbers[name]) for row, name in self._shapes if name in numbers)
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _draw(self, address: tuple[int, str]) -> NDArray[np.bool_]:
        mask = np.zeros(self._frame, dtype=np.bool_)
        for kind, geometry, reference in self._shapes[address]:
            mask |= rasterise(kind, geometry, self._placement(address[0], reference), self._frame)
        mask.flags.writeable = False
        return mask

    def _placement(self, row: int, reference: Size) -> Placement:
        """From the annotation's reference raster over the stored raster to the frame."""
        height, width = int(self._sizes[row, 0]), int(self._sizes[row, 1])
        image = Placement.of((height, width), self._frame, self._resize)
        across, down = width / reference[1], height / reference[0]
        return Placement(across * image.scale_x, down * image.scale_y, image.offset_x, image.offset_y)
