"""How an experiment wants its data: size, classes, label policies and split; decided late and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tailscope.core.errors import InputError
from tailscope.core.geometry import Resize
from tailscope.data.label_readers import EACH, require_rule_name
from tailscope.data.policies import Uncertain, is_soft, require_policies

SplitBy = Literal["auto", "patient", "official"]
Labels = Literal["multi_label", "binary"]
Unmentioned = Literal["negative", "ignore"]
ClassMap = Mapping[str, Sequence[str]]

_CHOICES = {
    "resize": ("stretch", "pad"),
    "channels": (None, 1, 3),
    "labels": ("multi_label", "binary"),
    "unmentioned": ("negative", "ignore"),
    "near_duplicates": ("refuse", "report"),
}


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
        uncertain: Targets of uncertain labels: ``zeros`` 0, ``ones`` 1, ``ignore`` NaN (masked everywhere),
            ``soft(p)`` the loss of a positive with weight p and of a negative with weight 1 − p in training, and NaN
            everywhere else; or one of these per class, where a class that is not named is ignored.
        unmentioned: Targets of unmentioned labels: ``negative`` 0, ``ignore`` NaN.
        near_duplicates: What to do about images that look alike and that a published split separates: ``refuse``, or
            ``report`` in the notes. Where the split is cut anew they stay together.
        split: How patients are dealt to the splits.
        readers: Whose shapes make the mask of an image and class: ``union`` of all readers; ``majority``, the pixels
            that more than half of those drew who drew this class on this image; or the name of one reader.
        label_readers: Whose labels count where several read an image: ``any``, ``majority`` or ``all`` of them (see
            :func:`~tailscope.data.label_readers.voted`); ``each``, in training the share of them who say positive,
            which gives the mean of the loss over their readings, and the majority in validation and test; or the name
            of one reader, where the labels of images that this one has not read are NaN.

    Raises:
        InputError: A value is none of its choices, a size is below 1, or soft labels are asked for of a binary label.
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
    label_readers: str = "any"

    def uncertain_of(self, name: str) -> Uncertain:
        """What becomes of the uncertain labels of a class."""
        return self.uncertain.get(name, "ignore") if isinstance(self.uncertain, Mapping) else self.uncertain

    @property
    def policies(self) -> tuple[Uncertain, ...]:
        """What becomes of uncertain labels, whichever class they are of."""
        return tuple(self.uncertain.values()) if isinstance(self.uncertain, Mapping) else (self.uncertain,)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"`{name}` must be one of {choices}; got {getattr(self, name)!r}")
        require_policies(self.uncertain)
        require_rule_name(self.label_readers)
        if self.labels == "binary":
            self._require_hard()
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"`image_size` must be (height, width), each 1 or more; got {self.image_size!r}")
        if not isinstance(self.readers, str) or not self.readers:
            raise InputError(f"`readers` must be union, majority or the name of a reader; got {self.readers!r}")

    def _require_hard(self) -> None:
        soft = [f"`uncertain: {policy}`" for policy in self.policies if is_soft(policy)]
        soft += ["`label_readers: each`"] if self.label_readers == EACH else []
        if soft:
            raise InputError(
                f"`labels: binary` takes no probability, because that of several doubtful classes together is not "
                f"known; got {soft[0]}: choose zeros, ones or ignore, and any, majority or all of the readers"
            )
