"""The test images as dissection sees them: labels, patients, and the masks that experts drew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection.matched import in_id_order, matched_negatives

MaskReader = Callable[[int, str], NDArray[np.bool_] | None]


@dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Labels, patients and annotations of the N test images.

    Args:
        masks: Image row and class to its mask (H, W) bool, the same size for all; None where there is none.
        targets: (N, K) in {0, 1, NaN}.
        annotated: (M, 2) int (image row, class index), all pairs with a positive target and a mask.
        patients: (N,) patient ids; a missing one makes the image its own patient.
        classes: K names.
        image_ids: (N,) unique ids; they fix every random draw.

    Raises:
        InputError: Lengths do not fit, an id stands twice, or an annotated pair is not positive.
    """

    masks: MaskReader
    targets: NDArray[np.floating]
    annotated: NDArray[np.integer]
    patients: NDArray[Any]
    classes: tuple[str, ...]
    image_ids: NDArray[Any]

    def __post_init__(self) -> None:
        count = len(self.image_ids)
        if self.targets.shape != (count, len(self.classes)) or len(self.patients) != count:
            raise InputError(
                f"`targets` must be ({count}, {len(self.classes)}) and `patients` ({count},), one row per image id; "
                f"got {self.targets.shape} and ({len(self.patients)},)"
            )
        if len(np.unique(self.ids)) != count:
            raise InputError("`image_ids` must be unique; they fix the random draws")
        pairs = np.asarray(self.annotated).reshape(-1, 2)
        wrong = [pair for pair in pairs.tolist() if self.targets[pair[0], pair[1]] != 1]
        if wrong:
            row, column = wrong[0]
            raise InputError(
                f"`annotated` must name positives only; image {str(self.ids[row])!r} is not positive for "
                f"{self.classes[column]!r} ({len(wrong)} such pairs): leave them out"
            )

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """(N,) image ids as text."""
        return np.asarray(self.image_ids).astype(str)

    @cached_property
    def patient_codes(self) -> NDArray[np.int64]:
        """(N,) int64; an image without a patient id has a code of its own."""
        codes = pd.factorize(pd.Series(self.patients))[0].astype(np.int64)
        missing = codes < 0
        codes[missing] = codes.max(initial=-1) + 1 + np.arange(missing.sum())
        return codes


@dataclass(frozen=True, eq=False)
class MatchedSet:
    """D_c: the annotated images of one class and equally many negatives, in the order of their ids.

    Args:
        rows: (n,) image rows.
        patients: (n,) int64 codes, numbered by first appearance.
        own: (n,) int64 index into ``bank``; -1 for a negative.
        bank: (P, H, W) bool masks of the annotated images, none of them empty.
        negatives: Number of images known to be negative for the class.
    """

    rows: NDArray[np.int64]
    patients: NDArray[np.int64]
    own: NDArray[np.int64]
    bank: NDArray[np.bool_]
    negatives: int

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return self.own >= 0

    @cached_property
    def pixels(self) -> int:
        """Mask pixels of all annotated images."""
        return int(self.bank.sum())

    @property
    def annotated_patients(self) -> int:
        """Patients with an annotation of the class."""
        return len(np.unique(self.patients[self.annotated]))


def matched_set(images: AnnotatedImages, index: int, seed: int) -> MatchedSet | None:
    """D_c of the class with this index; None if no image has a mask with a pixel.

    Positives without annotation and unknown labels are left out, for nobody knows which of their pixels are positive.

    Raises:
        InputError: The masks differ in size.
    """
    name = images.classes[index]
    pairs = np.asarray(images.annotated, dtype=np.int64).reshape(-1, 2)
    read = {int(row): images.masks(int(row), name) for row in np.unique(pairs[pairs[:, 1] == index, 0])}
    drawn = {row: np.asarray(mask, dtype=bool) for row, mask in read.items() if mask is not None and np.any(mask)}
    if not drawn:
        return None
    if len(sizes := {mask.shape for mask in drawn.values()}) > 1:
        raise InputError(f"masks of class {name!r} must have one size; got {sorted(sizes)}")
    positives = np.array(sorted(drawn), dtype=np.int64)
    candidates = np.flatnonzero(images.targets[:, index] == 0)
    negatives = matched_negatives(name, positives, candidates, images.ids, seed)
    rows = in_id_order(np.concatenate([positives, negatives]), images.ids)
    own = np.full(len(rows), -1, dtype=np.int64)
    has = np.isin(rows, positives)
    own[has] = np.arange(len(positives))
    patients = pd.factorize(images.patient_codes[rows])[0].astype(np.int64)
    return MatchedSet(rows, patients, own, np.stack([drawn[int(row)] for row in rows[has]]), len(candidates))
