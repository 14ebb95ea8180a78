"""Best ``iou_matched`` of a class, cross-fitted over patients, minus what deranged masks give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.dissection.counts import mean_ratio, ratio, weightings

LEAST_PATIENTS = 7  # METHODS section 5: below it, too few derangements differ


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Per-image counts of the chosen units of one class, ready to be pooled under any weights of the images.

    In each of S splits the unit with the best pooled IoU on one half of the patients is scored on the other half, both
    ways. The null repeats the whole procedure, choice included, with the masks deranged between patients, J times.
    Thresholds, splits, derangements and choices stay as they are under weights: a bootstrap of patients then shows
    the uncertainty of the value of *these* choices.

    Args:
        rows: (n,) image rows of the matched set.
        chosen: (2S,) unit chosen in each half.
        intersection: (2S, n) int32 pixels of the chosen unit inside the mask; 0 outside the scored half.
        union: (2S, n) int32; 0 outside the scored half.
        null_intersection: (2S·J, n) int32, the same under derangements; an image's weight goes with its activation.
        null_union: (2S·J, n) int32.

    Example:
        >>> import numpy as np
        >>> halves, null = np.array([[4, 0], [0, 1]]), np.array([[1, 0], [0, 1]])
        >>> fit = CrossFit(np.array([0, 1]), np.array([5, 5]), halves, 2 * halves, null, 4 * null)
        >>> fit.value
        0.25
    """

    rows: NDArray[np.int64]
    chosen: NDArray[np.int64]
    intersection: NDArray[np.int32]
    union: NDArray[np.int32]
    null_intersection: NDArray[np.int32]
    null_union: NDArray[np.int32]

    @property
    def value(self) -> float:
        """Cross-fitted best IoU minus its null, in [-1, 1]."""
        return float(self.score(None)[0])

    @property
    def best(self) -> float:
        """Cross-fitted best IoU in [0, 1]."""
        return float(mean_ratio(np.ones((1, len(self.rows))), self.intersection, self.union)[0])

    @property
    def null(self) -> float:
        """The same under deranged masks, in [0, 1]."""
        return float(mean_ratio(np.ones((1, len(self.rows))), self.null_intersection, self.null_union)[0])

    def score(self, weights: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """The value under R weightings of the images.

        Args:
            weights: (R, n) 0 or more, aligned with ``rows``; e.g. how often a bootstrap drew each image's patient.
                None is one weighting with all 1.

        Returns:
            (R,) mean over splits and halves of Σw·intersection / Σw·union, minus the null's mean. Halves without a
            weighted pixel are left out of the mean; NaN where all are.

        Raises:
            InputError: ``weights`` has another shape, or a negative entry.
        """
        drawn = weightings(weights, len(self.rows))
        found = mean_ratio(drawn, self.intersection, self.union)
        return np.asarray(found - mean_ratio(drawn, self.null_intersection, self.null_union))


def patient_halves(
    patients: NDArray[np.int64], annotated: NDArray[np.bool_], splits: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Random halves of the patients, of those with an annotation and of the others alike.

    Args:
        patients: (n,) int64 patient of each image.
        annotated: (n,) bool.
        splits: S.
        generator: Source of the draw.

    Returns:
        (S, n) bool, whether an image's patient is in the first half; a patient's images are never parted.

    Example:
        >>> import numpy as np
        >>> halves = patient_halves(np.arange(4), np.array([1, 1, 0, 0], bool), 3, np.random.default_rng(0))
        >>> halves[:, :2].sum(axis=1).tolist(), halves[:, 2:].sum(axis=1).tolist()
        ([1, 1, 1], [1, 1, 1])
    """
    codes = np.unique(patients, return_inverse=True)[1]
    has = np.bincount(codes, weights=annotated) > 0
    halves = np.zeros((splits, len(has)), dtype=bool)
    for half in halves:
        for group in (np.flatnonzero(has), np.flatnonzero(~has)):
            # An odd one out goes to either half, so that neither half is larger throughout.
            size = (len(group) + int(generator.integers(2))) // 2
            half[generator.permutation(group)[:size]] = True
    return np.asarray(halves[:, codes])


class CrossFitter:
    """Chooses units on one half and scores them on the other, for the true masks and for every derangement.

    Units come in blocks, in order; only the counts of the units chosen so far are kept. Of equally good units the
    first is chosen, whatever the blocks.

    Args:
        areas: (n, 1 + J) int64 mask pixels per image, own and deranged.
        halves: (S, n) bool from :func:`patient_halves`.

    Source:
        METHODS section 5, detector.
    """

    def __init__(self, areas: NDArray[np.int64], halves: NDArray[np.bool_]) -> None:
        self._areas = areas
        self._choosing = np.concatenate([halves, ~halves]).astype(np.float64)
        self._scored = np.concatenate([~halves, halves])
        shape = (len(self._choosing), areas.shape[1])
        self._best, self._chosen = np.full(shape, -2.0), np.zeros(shape, dtype=np.int64)
        self._intersection = np.zeros((*shape, areas.shape[0]), dtype=np.int32)
        self._union = np.zeros_like(self._intersection)

    def add(self, first: int, activated: NDArray[np.int64], inside: NDArray[np.int64]) -> None:
        """Look at a block of B units.

        Args:
            first: Number of the first unit.
            activated: (n, B) int64 pixels per image.
            inside: (n, B, 1 + J) int64 pixels inside the own mask and inside each deranged one.
        """
        either = activated[:, :, None] + self._areas[:, None, :] - inside
        quotient = ratio(np.tensordot(self._choosing, inside, axes=1), np.tensordot(self._choosing, either, axes=1))
        filled = np.where(np.isnan(quotient), -1.0, quotient)
        unit, value = filled.argmax(axis=1), filled.max(axis=1)
        for half, mask in np.argwhere(value > self._best):
            local, scored = unit[half, mask], self._scored[half]
            self._best[half, mask], self._chosen[half, mask] = value[half, mask], first + local
            self._intersection[half, mask] = inside[:, local, mask] * scored
            self._union[half, mask] = either[:, local, mask] * scored

    def finish(self, rows: NDArray[np.int64]) -> CrossFit:
        """The record of the (n,) image ``rows``."""
        flat = (-1, len(rows))
        return CrossFit(
            rows,
            self._chosen[:, 0].copy(),
            self._intersection[:, 0].copy(),
            self._union[:, 0].copy(),
            self._intersection[:, 1:].reshape(flat),
            self._union[:, 1:].reshape(flat),
        )
