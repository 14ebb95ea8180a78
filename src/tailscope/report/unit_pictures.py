"""What a unit card shows, handed over by the room that conducts the experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class UnitCardPicture:
    """One unit of one arm, as a detector of one class.

    Args:
        arm: Label of the arm.
        layer: The unit's layer.
        class_name: The class, or another concept, whose detector it is.
        unit: Its index in the layer, from 0.
        images: (k, H, W) or (k, H, W, 3) uint8, the images that activate it most, strongest first.
        regions: (k, H, W) bool, where the unit is activated.
        annotations: (k, H, W) bool, what the expert drew of the class; all False where nothing was drawn.
        concept_ious: IoU with every concept in [0, 1]; NaN where untested.
        head_weights: The unit's weight in the head, per class; concepts that are no class have none.
        captions: One per image, all that is printed of it: no name and no number of a patient.
        note: What else is to be known of the unit, a few words.
    """

    arm: str
    layer: str
    class_name: str
    unit: int
    images: NDArray[Any]
    regions: NDArray[Any]
    annotations: NDArray[Any]
    concept_ious: Mapping[str, float]
    head_weights: Mapping[str, float]
    captions: tuple[str, ...]
    note: str = ""
