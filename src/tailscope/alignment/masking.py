"""Masks held small: the bits of the rows that they cover, however many masks there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from tailscope.alignment._kernels import component_boxes, mask_corners
from tailscope.alignment.layout import Bits, Corners
from tailscope.alignment.remembering import Remembering
from tailscope.core import InputError

MaskSource = Callable[[int], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class PackedMasks(Remembering):
    """N masks of one frame, about W / 8 bytes for each row from the first to the last that a mask touches.

    Args:
        frame: (H, W).
        bits: The pixels.

    Example:
        >>> import numpy as np
        >>> masks = PackedMasks.read(lambda index: np.eye(3, dtype=bool)[index][None], 2)
        >>> len(masks), masks.frame, masks.bits.areas.tolist(), masks.dense([1]).tolist()
        (2, (1, 3), [1, 1], [[[False, True, False]]])
    """

    frame: tuple[int, int]
    bits: Bits

    @classmethod
    def of(cls, masks: NDArray[np.bool_] | PackedMasks) -> PackedMasks:
        """Pack (N, H, W) bool masks; packed ones stay as they are."""
        if isinstance(masks, PackedMasks):
            return masks
        return cls((int(masks.shape[1]), int(masks.shape[2])), _packed(masks))

    @classmethod
    def read(cls, source: MaskSource, count: int) -> PackedMasks:
        """Pack ``count`` masks that are given one at a time.

        Args:
            source: From 0 … count − 1 to an (H, W) bool mask, all of one size.
            count: N.

        Raises:
            InputError: A mask is not bool, not (H, W), or of another size than the first.
        """
        frame: list[tuple[int, ...]] = []

        def checked(index: int) -> NDArray[np.bool_]:
            mask = np.asarray(source(index))
            frame.append(mask.shape)
            if mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape != frame[0]:
                wanted = f"{frame[0]} as the first" if index else "(H, W)"
                raise InputError(f"mask {index} must be bool and {wanted}; got {mask.dtype} and {mask.shape}")
            del frame[1:]
            return mask

        bits = _packed(checked(index) for index in range(count))
        height, width = frame[0] if frame else (1, 1)
        return cls((height, width), bits)

    def __len__(self) -> int:
        return self.bits.areas.size

    @property
    def shares(self) -> NDArray[np.float64]:
        """(N,) share of the frame that each mask covers."""
        return np.asarray(self.bits.areas / (self.frame[0] * self.frame[1]))

    @property
    def corners(self) -> Corners:
        """The signed corners of each mask's outline."""
        return self.once("corners", lambda: Corners(*mask_corners(self.bits, *self.frame)))

    def take(self, begin: int, end: int) -> PackedMasks:
        """The masks ``begin`` … ``end`` − 1; this object itself where they are all."""
        if (begin, end) == (0, len(self)):
            return self
        starts = self.bits.starts[begin : end + 1]
        some = self.bits.areas[begin:end], self.bits.first[begin:end], starts - starts[0]
        return PackedMasks(self.frame, Bits(*some, self.bits.words[starts[0] : starts[-1]]))

    def dense(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
        """(R, H, W) bool masks of the ``rows``."""
        size = self.frame[0] * self.frame[1]
        words = np.zeros((len(rows), -(-size // 64)), dtype="<u8")
        for place, row in enumerate(rows):
            start, stop, first = self.bits.starts[row], self.bits.starts[row + 1], self.bits.first[row]
            words[place, first : first + stop - start] = self.bits.words[start:stop]
        flat = np.unpackbits(words.view(np.uint8), axis=1, count=size, bitorder="little")
        return flat.astype(bool).reshape(len(rows), *self.frame)

    def mean(self) -> NDArray[np.float64] | None:
        """(H, W) share of the masks that cover each pixel, empty masks left out; None where none is left."""
        drawn = np.flatnonzero(self.bits.areas)
        if not drawn.size:
            return None
        total = np.zeros(self.frame)
        for row in drawn.tolist():
            total += self.dense([row])[0]
        return total / drawn.size

    def boxes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The boxes of each mask's 8-connected parts: starts (N + 1,) and (top, left, bottom, right) rows."""
        return self.once("boxes", lambda: listed(component_boxes(mask) for mask in self._each()))

    def dilated(self, tolerance: float, *, below: bool) -> PackedMasks:
        """Each mask with all pixels that lie within ``tolerance`` of it, or ``below`` it; empty masks stay empty."""

        def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
            target = np.zeros_like(mask)
            if mask.any():
                window = _window(mask, tolerance)
                distance = distance_transform_edt(~mask[window])
                target[window] = distance < tolerance if below else distance <= tolerance
            return target

        return self.once(
            ("dilated", tolerance, below),
            lambda: PackedMasks(self.frame, _packed(grown(mask) for mask in self._each())),
        )

    def _each(self) -> Iterable[NDArray[np.bool_]]:
        return (self.dense([row])[0] for row in range(len(self)))


def listed(parts: Iterable[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join (C, 4) boxes of many items: starts (N + 1,) and all boxes.

    >>> import numpy as np
    >>> starts, boxes = listed([np.zeros((2, 4), dtype=np.int64), np.ones((1, 4), dtype=np.int64)])
    >>> starts.tolist(), boxes.shape
    ([0, 2, 3], (3, 4))
    """
    boxes = [np.zeros((0, 4), dtype=np.int64), *parts]
    return np.cumsum([len(some) for some in boxes]), np.concatenate(boxes)


def _window(mask: NDArray[np.bool_], margin: float) -> tuple[slice, slice]:
    """The mask's bounding box and ``margin`` pixels around it: nothing outside lies nearer."""
    around = int(np.ceil(min(margin, max(mask.shape))))
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - around), int(rows[-1]) + around + 1),
        slice(max(0, int(columns[0]) - around), int(columns[-1]) + around + 1),
    )


def _packed(masks: Iterable[NDArray[np.bool_]]) -> Bits:
    """Pack masks one by one, so that only one is held in full."""
    areas, first, parts = [], [], [np.zeros(0, dtype=np.uint64)]
    for mask in masks:
        packed = np.packbits(mask.ravel(), bitorder="little")
        words = np.concatenate([packed, np.zeros(-packed.size % 8, dtype=np.uint8)]).view("<u8").astype(np.uint64)
        filled = np.flatnonzero(words)
        begin, end = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 0)
        areas.append(int(np.bitwise_count(words).sum(dtype=np.int64)))
        first.append(begin)
        parts.append(words[begin:end].copy())
    starts = np.cumsum([part.size for part in parts], dtype=np.int64)
    return Bits(np.array(areas, dtype=np.int64), np.array(first, dtype=np.int64), starts, np.concatenate(parts))
