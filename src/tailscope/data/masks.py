"""What the expert drew, as boolean rasters on the network's grid, drawn when asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.geometry import Placement, Resize, Size, rasterise
from tailscope.data.readers import MAJORITY, UNION, combined

_KEPT = 1024  # masks kept drawn: 50 MB at 224 × 224


class MaskDrawer:
    """(row, name) to the shapes of that name on that image, (H, W) bool, read-only; None without any.

    Shapes of several readers are united; :meth:`viewed` gives a drawer that takes them otherwise.

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
        self._shapes: dict[tuple[int, str], dict[str, list[tuple[str, str, Size]]]] = {}
        self._readers: dict[str, str] = {}
        self._drawn: OrderedDict[tuple[int, str], NDArray[np.bool_] | None] = OrderedDict()
        rows = pd.Index(image_ids).get_indexer(pd.Index(annotations["image_id"]))
        names = ("class", "kind", "geometry", "ref_height", "ref_width", "reader")
        columns = (annotations[name].tolist() for name in names)
        for row, name, kind, geometry, height, width, reader in zip(rows.tolist(), *columns, strict=True):
            by_reader = self._shapes.setdefault((row, name), {})
            by_reader.setdefault(str(reader), []).append((kind, geometry, (int(height), int(width))))

    def viewed(self, readers: str, names: Sequence[str]) -> MaskDrawer:
        """A drawer of the same shapes that takes only some readers' word for it.

        Args:
            readers: ``union``; ``majority``: pixels that more than half of the readers drew who drew this name on this
                image; or the name of a reader.
            names: Of what is viewed so; all other names stay united.
        """
        other = copy(self)
        other._readers = dict.fromkeys(names, readers)
        other._drawn = OrderedDict()
        return other

    def __call__(self, row: int, name: str) -> NDArray[np.bool_] | None:
        """Draw, or take what was drawn lately."""
        address = (int(row), str(name))
        if address not in self._shapes:
            return None
        mask = self._drawn.pop(address) if address in self._drawn else self._draw(address)
        self._drawn[address] = mask
        if len(self._drawn) > _KEPT:
            self._drawn.popitem(last=False)
        return mask

    def by_reader(self, row: int, name: str) -> dict[str, NDArray[np.bool_]]:
        """Reader to the (H, W) bool union of what that reader drew, by the reader's name; empty where nobody drew."""
        address = (int(row), str(name))
        shapes = self._shapes.get(address, {})
        return {reader: self._united(address[0], shapes[reader]) for reader in sorted(shapes)}

    def pairs(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """(M, 2) rows (image row, class index) that have a mask, sorted."""
        numbers = {name: number for number, name in enumerate(classes)}
        found = sorted(
            (row, numbers[name]) for row, name in self._shapes if name in numbers and self._is_some(row, name)
        )
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _is_some(self, row: int, name: str) -> bool:
        """Whether the view leaves a mask; drawn only where the number of readers does not tell."""
        readers, shapes = self._readers.get(name, UNION), self._shapes[row, name]
        if readers == MAJORITY:
            return len(shapes) == 1 or self(row, name) is not None
        return readers == UNION or readers in shapes

    def _draw(self, address: tuple[int, str]) -> NDArray[np.bool_] | None:
        mask = combined(self.by_reader(*address), self._readers.get(address[1], UNION))
        if mask is not None:
            mask.flags.writeable = False
        return mask

    def _united(self, row: int, shapes: Sequence[tuple[str, str, Size]]) -> NDArray[np.bool_]:
        mask = np.zeros(self._frame, dtype=np.bool_)
        for kind, geometry, reference in shapes:
            mask |= rasterise(kind, geometry, self._placement(row, reference), self._frame)
        return mask

    def _placement(self, row: int, reference: Size) -> Placement:
        """From the annotation's reference raster over the stored raster to the frame."""
        height, width = int(self._sizes[row, 0]), int(self._sizes[row, 1])
        image = Placement.of((height, width), self._frame, self._resize)
        across, down = width / reference[1], height / reference[0]
        return Placement(across * image.scale_x, down * image.scale_y, image.offset_x, image.offset_y)
