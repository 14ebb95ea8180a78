"""One COCO annotation as a canonical shape: box, polygon, or run lengths of either form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tailscope.core.errors import DataError
from tailscope.sources.run_lengths import rle_from_coco

CocoShapes = Literal["segmentation", "box"]


def coco_shape(annotation: Mapping[str, Any], shapes: CocoShapes = "segmentation") -> tuple[str, Any] | None:
    """Kind and geometry of an annotation; None where it draws nothing and only says that the class is present.

    COCO's coordinates are canonical already. The rings of a polygon are parts of one instance, united, never holes.

    Args:
        annotation: An entry of ``annotations``.
        shapes: ``segmentation`` takes the box only where there is no segmentation; ``box`` always takes the box.

    Raises:
        DataError: The shape is neither of the published forms.

    Example:
        >>> coco_shape({"bbox": [1, 2, 3, 4], "segmentation": []})
        ('box', [1, 2, 4, 6])
        >>> coco_shape({"segmentation": [[0, 0, 4, 0, 4, 4]]})
        ('polygon', [[[0, 0], [4, 0], [4, 4]]])
        >>> coco_shape({"segmentation": {"size": [1, 3], "counts": [1, 2]}})
        ('rle', {'size': [1, 3], 'counts': [1, 2]})
    """
    drawn = annotation.get("segmentation")
    if shapes == "segmentation" and isinstance(drawn, Mapping) and drawn:
        return "rle", rle_from_coco(drawn)
    if shapes == "segmentation" and drawn and drawn != [[]]:
        return "polygon", _rings(drawn)
    box = annotation.get("bbox")
    return ("box", _edges(box)) if box else None


def _rings(segmentation: Any) -> list[list[list[float]]]:
    if not isinstance(segmentation, list) or not all(isinstance(ring, list) for ring in segmentation):
        raise DataError(
            f"`segmentation` must be a list of rings [x, y, x, y, …] or run lengths; got {_short(segmentation)}"
        )
    for ring in segmentation:
        if len(ring) < 6 or len(ring) % 2 or not all(map(_is_number, ring)):
            raise DataError(f"a ring must be numbers x, y of 3 points or more; got {_short(ring)}: draw it again")
    return [[[x, y] for x, y in zip(ring[::2], ring[1::2], strict=True)] for ring in segmentation]


def _edges(box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise DataError(f"`bbox` must be the numbers [x, y, width, height]; got {_short(box)}")
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} …"
