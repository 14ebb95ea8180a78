"""What the rooms hand each other: class counts, the tables of a data set, and the data as an experiment uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError

STATES = ("positive", "negative", "uncertain", "unmentioned")
SPLITS = ("train", "val", "test")

IMAGE_COLUMNS = ("image_id", "patient_id", "path", "split", "width", "height", "view", "age", "sex")
LABEL_COLUMNS = ("image_id", "class", "state", "reader")
ANNOTATION_COLUMNS = ("image_id", "class", "kind", "geometry", "ref_width", "ref_height", "reader")


@dataclass(frozen=True)
class ClassCounts:
    """Positives and negatives per class, as counted in the training split; unknown labels count as neither.

    Args:
        names: K class names.
        positives: K counts.
        negatives: K counts.

    Raises:
        InputError: The three differ in length, or a count is negative.

    Example:
        >>> counts = ClassCounts(("mass", "hernia"), (30, 1), (70, 99))
        >>> counts.prevalences
        (0.3, 0.01)
    """

    names: tuple[str, ...]
    positives: tuple[int, ...]
    negatives: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.positives) == len(self.negatives):
            raise InputError(
                "`names`, `positives` and `negatives` must have one entry per class; "
                f"got {len(self.names)}, {len(self.positives)} and {len(self.negatives)}"
            )
        if min((*self.positives, *self.negatives), default=0) < 0:
            raise InputError(f"counts must be 0 or more; got {self.positives} and {self.negatives}")

    @classmethod
    def from_targets(cls, names: tuple[str, ...], targets: NDArray[np.floating]) -> ClassCounts:
        """Count targets (N, K) in {0, 1, NaN}."""
        positives = tuple(int(count) for count in np.sum(targets == 1, axis=0))
        negatives = tuple(int(count) for count in np.sum(targets == 0, axis=0))
        return cls(tuple(names), positives, negatives)

    @property
    def prevalences(self) -> tuple[float, ...]:
        """Share of positives among the known labels, per class; NaN for a class without any."""
        return tuple(
            p / (p + n) if p + n else float("nan") for p, n in zip(self.positives, self.negatives, strict=True)
        )

    def require_both(self) -> None:
        """Refuse a class without a positive or without a negative.

        Raises:
            DataError: Names every such class.
        """
        problems = [
            f"class {name!r} has {p} positive and {n} negative training images; expected at least 1 of each: "
            "leave the class out (`data.classes`) or change the split"
            for name, p, n in zip(self.names, self.positives, self.negatives, strict=True)
            if p == 0 or n == 0
        ]
        if problems:
            raise DataError(problems)


@dataclass(frozen=True)
class Dataset:
    """A data set as its source gives it: three tables and a way to read pixels. Nothing is decided yet.

    Args:
        name: The source's name.
        classes: K class names, in the source's order.
        images: One row per image, columns :data:`IMAGE_COLUMNS` (``patient_id`` null where unknown; ``split`` null or
            one of :data:`SPLITS`, as published; ``path`` relative to ``root`` or null). Row order is by ``image_id``.
        labels: Long table, columns :data:`LABEL_COLUMNS`; ``state`` is one of :data:`STATES`.
        annotations: One row per drawn shape, columns :data:`ANNOTATION_COLUMNS`; ``geometry`` is JSON, in canonical
            edge coordinates of a raster of ``ref_width`` × ``ref_height`` (see :mod:`tailscope.core.geometry`).
        read_pixels: Row number of ``images`` to uint8 pixels, (H, W) grey or (H, W, 3) colour.
        content: Row numbers to one digest per image of what ``read_pixels`` would return (file bytes, or the
            generator's settings), as hex strings; independent of place, order and machine.
        notes: What the source recognised and decided, one sentence each, for the report.
        extra_masks: Named masks that are not classes (confounders of the phantom), same columns as ``annotations``.
        flips_allowed: Whether a left-right flip leaves the labels true (not for chest radiographs).
    """

    name: str
    classes: tuple[str, ...]
    images: pd.DataFrame
    labels: pd.DataFrame
    annotations: pd.DataFrame
    read_pixels: Callable[[int], NDArray[np.uint8]]
    content: Callable[[], list[str]]
    notes: tuple[str, ...] = ()
    extra_masks: pd.DataFrame | None = None
    flips_allowed: bool = False

    @property
    def is_read(self) -> bool:
        """Whether the images are files; generated people are all different."""
        return bool(self.images["path"].notna().any())


def no_readers(*_: object) -> dict[str, NDArray[np.bool_]]:
    """The masks of data that know no readers: none."""
    return {}


@dataclass(frozen=True)
class ExperimentData:
    """The data as one experiment uses them: policies applied, split, decoded.

    Args:
        name: The source's name.
        classes: K class names.
        image_ids: (N,) str.
        patient_ids: (N,) str; an image without a patient id is its own cluster.
        split: (N,) str in :data:`SPLITS`.
        targets: (N, K) float32 in {0, 1, NaN}.
        pixels: (N, H, W, C) uint8, memory-mapped.
        annotations: Canonical shapes of the classes above; same columns as :class:`Dataset`.
        masks: (row, class name) to the (H, W) boolean union of that class's annotations on the network's grid, or of
            what the chosen readers drew; None where there is none. Names of ``extra_masks`` work as well.
        annotated: (M, 2) int64 rows (image row, class index) that have an annotation and a positive target.
        fingerprint: Hex digest of the pixels, the targets, the split and the annotations.
        patients_known: False where no image has a patient id.
        notes: What was decided, one sentence each, for the report.
        flips_allowed: Whether a left-right flip leaves the labels true.
        attributes: Name to (N,) values, rows as ``image_ids``: the columns of the images that have a value (view, age,
            sex, further ones of the source; missing is None or NaN), and per name of ``extra_masks`` whether it stands
            on the image, bool. Only samplers read them.
        reader_masks: (row, class name) to reader's name to the (H, W) boolean union of what that reader drew, whichever
            readers were chosen; empty where nobody drew.
        trained_on: Fingerprint of the data that the networks are trained with, where the test split is of another data
            set; empty: it is ``fingerprint``.
        soft: (N, K) float32: the probability in (0, 1) with which the training loss takes a label of the training split
            whose target is NaN; NaN where it takes none. None without such labels. Nothing but that loss reads it.
    """

    name: str
    classes: tuple[str, ...]
    image_ids: NDArray[np.str_]
    patient_ids: NDArray[np.str_]
    split: NDArray[np.str_]
    targets: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    annotations: pd.DataFrame
    masks: Callable[[int, str], NDArray[np.bool_] | None]
    annotated: NDArray[np.int64]
    fingerprint: str
    patients_known: bool = True
    notes: tuple[str, ...] = ()
    flips_allowed: bool = False
    attributes: dict[str, NDArray[Any]] = field(default_factory=dict)
    reader_masks: Callable[[int, str], dict[str, NDArray[np.bool_]]] = no_readers
    trained_on: str = ""
    soft: NDArray[np.float32] | None = None

    def rows(self, split: str) -> NDArray[np.int64]:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == split)

    def mask(self, row: int, name: str) -> NDArray[np.bool_]:
        """(H, W) mask of a class on an image; empty where nothing is annotated."""
        mask = self.masks(row, name)
        return np.zeros(self.pixels.shape[1:3], dtype=bool) if mask is None else mask

    def is_mask(self, name: str) -> bool:
        """Whether an attribute says of an extra mask that it is there; a column of the images has no mask."""
        values = self.attributes[name]
        return bool(values.dtype == np.bool_ and values.any() and self.masks(int(np.argmax(values)), name) is not None)

    @property
    def counts(self) -> ClassCounts:
        """Positives and negatives of the training split."""
        return ClassCounts.from_targets(self.classes, self.targets[self.rows("train")])


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, its n and, where it is not estimable, the reason.

    >>> Estimate.missing("no positive test image").value
    nan
    """

    value: float
    n: int = 0
    lo: float = float("nan")
    hi: float = float("nan")
    reason: str = ""

    @classmethod
    def missing(cls, reason: str, n: int = 0) -> Estimate:
        """Not estimable, for this reason."""
        return cls(float("nan"), n, reason=reason)
