"""How an experiment wants its data: size, classes, label policies and split; decided late and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tailscope.core.errors import InputError
from tailscope.core.geometry import Resize

SplitBy = Literal["auto", "patient", "official"]
Labels = Literal["multi_label", "binary"]
Uncertain = Literal["zeros", "ones", "ignore"]
Unmentioned = Literal["negative", "ignore"]
ClassMap = Mapping[str, Sequence[str]]

UNCERTAIN = ("zeros", "ones", "ignore")

_CHOICES = {
    "resize": ("stretch", "pad"),
    "channels": (None, 1, 3),
    "labels": ("multi_label", "binary"),
    "unmentioned": ("negative", "ignore"),
    "near_duplicates": ("refuse", "report"),
}


def require_policies(uncertain: object) -> None:
    """Pass if this is a policy for uncertain labels, or one per class.

    Raises:
        InputError: It is not.
    """
    policies = uncertain.values() if isinstance(uncertain, Mapping) else (uncertain,)
    if strange := [policy for policy in policies if policy not in UNCERTAIN]:
        raise InputError(f"`uncertain` must be one of {UNCERTAIN}, or one of them per class; got {strange[0]!r}")


@dataclass(frozen=True)
class SplitSettings:
    """How patients are dealt to training, validation and test.

    Args:
        by: ``auto`` keeps the published split where the source has one and cuts from its training part what it lacks;
            ``patient`` always cuts anew; ``official`` takes the published split as it is and refuses a partial one.
        test: Share of images for the test split, in (0, 1).
        val: Share of images for validation, in (0, 1).
        seed: Root seed of the cut.

    Raises:
        InputError: A share is out of range, or nothing is left for training.
    """

    by: SplitBy = "auto"
    test: float = 0.2
    val: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("auto", "patient", "official"):
            raise InputError(f"`by` must be auto, patient or official; got {self.by!r}")
        if not (self.test > 0 and self.val > 0 and self.test + self.val < 1):
            raise InputError(
                f"`test` and `val` must be above 0 and leave a part for training; got test {self.test}, val {self.val}"
            )


@dataclass(frozen=True)
class DataSettings:
    """What an experiment makes of a data set.

    Args:
        image_size: (height, width) of the network input, in pixels.
        resize: ``stretch`` fills the frame; ``pad`` keeps the aspect ratio between black bars.
        channels: 1 or 3; None takes 1 if every image is grey, else 3.
        classes: The classes to use, in this order; None takes all.
        labels: ``multi_label``, or ``binary``: one class "any finding", positive where any class is.
        hierarchy: Parent to the classes below it: a parent becomes positive where one of these is. None: labels stay as
            they are published.
        class_map: New name to the classes that it is made of; these classes and no others are used, under these names.
            Applied after ``hierarchy`` and before ``classes``.
        uncertain: Targets of uncertain labels: ``zeros`` 0, ``ones`` 1, ``ignore`` NaN (masked everywhere); or one of
            these per class, where a class that is not named is ignored.
        unmentioned: Targets of unmentioned labels: ``negative`` 0, ``ignore`` NaN.
        near_duplicates: What to do about images that look alike and that a published split separates: ``refuse``, or
            ``report`` in the notes. Where the split is cut anew they stay together.
        split: How patients are dealt to the splits.
        readers: Whose shapes make the mask of an image and class: ``union`` of all readers; ``majority``, the pixels
            that more than half of those drew who drew this class on this image; or the name of one reader.

    Raises:
        InputError: A value is none of its choices, or a size is below 1.
    """

    image_size: tuple[int, int] = (224, 224)
    resize: Resize = "stretch"
    channels: Literal[1, 3] | None = None
    classes: tuple[str, ...] | None = None
    labels: Labels = "multi_label"
    hierarchy: ClassMap | None = None
    class_map: ClassMap | None = None
    uncertain: Uncertain | Mapping[str, Uncertain] = "ignore"
    unmentioned: Unmentioned = "negative"
    near_duplicates: Literal["refuse", "report"] = "refuse"
    split: SplitSettings = field(default_factory=SplitSettings)
    readers: str = "union"

    def uncertain_of(self, name: str) -> Uncertain:
        """What becomes of the uncertain labels of a class."""
        return self.uncertain.get(name, "ignore") if isinstance(self.uncertain, Mapping) else self.uncertain

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"`{name}` must be one of {choices}; got {getattr(self, name)!r}")
        require_policies(self.uncertain)
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"`image_size` must be (height, width), each 1 or more; got {self.image_size!r}")
        if not isinstance(self.readers, str) or not self.readers:
            raise InputError(f"`readers` must be union, majority or the name of a reader; got {self.readers!r}")
