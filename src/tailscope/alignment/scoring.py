"""Score the pairs of one class and one run: value, reference and excess, with a reason where something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import config
from numpy.typing import NDArray

from tailscope.alignment._kernels import means_of_others
from tailscope.alignment.masking import MaskSource, PackedMasks
from tailscope.alignment.pairing import Frames, degenerate_maps
from tailscope.alignment.prepared import PreparedMetric
from tailscope.alignment.registry import AlignmentMetric, CrossScored
from tailscope.core import InputError, resize_bilinear, side_by_side

_CHUNK_VALUES = 2**19  # float64 values held at once by one copy of the resized maps of one thread: 4 MiB

Masks = NDArray[np.bool_] | MaskSource | PackedMasks


def score_pairs(
    maps: NDArray[np.floating],
    masks: Masks,
    patients: NDArray[np.str_],
    metrics: Mapping[str, AlignmentMetric],
) -> pd.DataFrame:
    """Score the saliency maps of ONE class and ONE run against their annotations.

    Maps are resized to the frame of the masks (bilinear, half-pixel centres), a chunk at a time, and chunks run side
    by side; so ``maps`` may be a memory map, and of the masks only their rows are held. Excess = value − reference.
    The reference is the metric's analytic one or, where it has none, the mean over the masks of all other patients in
    ``masks`` of the value of the same map; empty masks are left out of that mean. A degenerate map counts as the
    uniform map, with excess 0 (variants ``as_published`` see it as it is, or as zeros where not finite).

    Args:
        maps: (M, h, w) floating, on their own grid.
        masks: The union of the annotations of this class on the image of each pair: (M, H, W) bool, or a function
            from the pair's number to its (H, W) bool, or packed masks, which are worth keeping where many runs are
            scored on the same pairs.
        patients: (M,) who the image is of; images without a patient id need an id of their own.
        metrics: From the name to print to the metric.

    Returns:
        One row for each (metric, pair), metrics in the given order: ``pair`` (0 … M−1), ``metric``, ``value``,
        ``reference``, ``excess``, ``degenerate`` (bool), ``reason`` ("", "empty annotation", "degenerate map",
        "undefined" by the metric, "no other patient" with a defined value) and ``area``, the share of the frame that
        the mask covers.

    Raises:
        InputError: The arrays do not fit each other, or a patient is missing.

    Example:
        >>> import numpy as np
        >>> from tailscope.alignment import METRICS
        >>> mask = np.array([[[True, False]]])
        >>> table = score_pairs(np.array([[[3.0, 1.0]]]), mask, np.array(["p"]), {"mass": METRICS.build("mass_inside")})
        >>> table[["value", "reference", "excess", "area"]].iloc[0].tolist()
        [0.75, 0.5, 0.25, 0.5]
    """
    named = np.asarray(patients, dtype=object)
    _check_patients(maps, named)
    maps = np.asarray(maps)
    run = _Run.of(maps, packed_masks(masks, len(maps)), metrics, np.unique(named.astype(str), return_inverse=True)[1])
    return run.table(["value", "reference", "excess", "degenerate", "reason", "area"])


def pair_values(maps: NDArray[np.floating], masks: Masks, metrics: Mapping[str, AlignmentMetric]) -> pd.DataFrame:
    """The values of :func:`score_pairs` alone, for maps that serve as references themselves.

    Args:
        maps: (M, h, w) floating, e.g. of another class of the same images.
        masks: As for :func:`score_pairs`.
        metrics: From the name to print to the metric.

    Returns:
        ``pair``, ``metric``, ``value``, ``degenerate``, ``reason``, one row for each (metric, pair).

    Raises:
        InputError: The arrays do not fit each other.

    Example:
        >>> import numpy as np
        >>> from tailscope.alignment import METRICS
        >>> mask = np.array([[[True, False]]])
        >>> pair_values(np.array([[[3.0, 1.0]]]), mask, {"mass": METRICS.build("mass_inside")})["value"].tolist()
        [0.75]
    """
    maps = np.asarray(maps)
    run = _Run.of(maps, packed_masks(masks, len(maps)), metrics, None)
    return run.table(["value", "degenerate", "reason"])


def cross_scores(
    metric: AlignmentMetric, saliency: NDArray[np.floating], masks: NDArray[np.bool_] | PackedMasks
) -> NDArray[np.float64]:
    """Every map against every mask, by the metric's own fast way where it has one.

    Args:
        metric: Any alignment metric.
        saliency: (M, H, W) floating.
        masks: (N, H, W) bool, or packed.

    Returns:
        (M, N) float64; entry (i, j) is the value of map i on mask j.
    """
    packed = PackedMasks.of(masks)
    if isinstance(metric, PreparedMetric):
        return metric.crossed(Frames.of(saliency), packed)
    step = max(1, _CHUNK_VALUES // (packed.frame[0] * packed.frame[1]))
    parts = [np.zeros((len(saliency), 0))]
    for start in range(0, len(packed), step):
        some = packed.dense(np.arange(start, min(start + step, len(packed))))
        if isinstance(metric, CrossScored):
            parts.append(metric.cross(saliency, some))
        else:
            rows = [metric(np.broadcast_to(row, some.shape), some) for row in saliency]
            parts.append(np.array(rows).reshape(len(saliency), len(some)))
    return np.concatenate(parts, axis=1)


def packed_masks(masks: Masks, count: int) -> PackedMasks:
    """Masks in whatever form, packed.

    Raises:
        InputError: They are not (M, H, W) bool, or not ``count``.
    """
    if callable(masks):
        return PackedMasks.read(masks, count)
    if not isinstance(masks, PackedMasks):
        masks = np.asarray(masks)
        if masks.ndim != 3 or masks.dtype != np.bool_:
            raise InputError(f"expected `masks` (M, H, W) bool; got {masks.shape} {masks.dtype}")
    if len(masks) != count:
        raise InputError(f"expected one mask for each map; got {len(masks)} masks and {count} maps")
    return PackedMasks.of(masks)


@dataclass(frozen=True, eq=False)
class _Run:
    """What one call scores.

    ``owner`` are the patients as numbers, or None where no reference is asked for; ``answers`` holds (M,) values and
    references for each metric, ``degenerate`` is (M,).
    """

    maps: NDArray[np.floating]
    masks: PackedMasks
    metrics: Mapping[str, AlignmentMetric]
    owner: NDArray[np.int64] | None
    answers: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    degenerate: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        maps: NDArray[np.floating],
        masks: PackedMasks,
        metrics: Mapping[str, AlignmentMetric],
        owner: NDArray[np.int64] | None,
    ) -> _Run:
        """Score all pairs, chunk by chunk; each chunk fills its own rows, so their order does not matter."""
        if maps.ndim != 3 or not np.issubdtype(maps.dtype, np.floating):
            raise InputError(f"expected `maps` (M, h, w) floating; got {maps.shape} {maps.dtype}")
        count = len(maps)
        answers = {name: (np.full(count, np.nan), np.full(count, np.nan)) for name in metrics}
        run = cls(maps, masks, metrics, owner, answers, np.zeros(count, dtype=bool))
        step = max(1, _CHUNK_VALUES // (masks.frame[0] * masks.frame[1]))
        chunks = [np.arange(start, min(start + step, count)) for start in range(0, count, step)]
        side_by_side(run.score, chunks, min(int(vars(config)["NUMBA_NUM_THREADS"]), len(chunks)))
        return run

    def score(self, rows: NDArray[np.int64]) -> None:
        """Fill the answers of some pairs."""
        given = np.asarray(self.maps[rows[0] : rows[-1] + 1])
        blank = degenerate_maps(given)
        resized = resize_bilinear(_fit_to_resize(given, blank), self.masks.frame)
        frames = Frames.of(resized)
        self.degenerate[rows] = blank | frames.degenerate
        for name, metric in self.metrics.items():
            value, reference = self.answers[name]
            if isinstance(metric, PreparedMetric):
                value[rows] = metric.scores(frames, self.masks, rows[:, None])[:, 0]
            else:
                value[rows] = metric(resized, self.masks.dense(rows))
            if self.owner is not None:
                reference[rows] = self._references(metric, frames, rows, self.owner)

    def _references(
        self, metric: AlignmentMetric, frames: Frames, rows: NDArray[np.int64], owner: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What the metric knows by itself, and else the mean over the masks of other patients."""
        maps = frames.given.reshape(-1, *frames.frame)
        if isinstance(metric, PreparedMetric):
            known = metric.uninformed(frames, self.masks, rows[:, None])[:, 0]
        else:
            known = np.array(metric.reference(maps, self.masks.dense(rows)), dtype=np.float64)
        if metric.reference_kind == "analytic":
            return known
        drawn = self.masks.bits.areas > 0
        per_owner = np.bincount(owner[drawn], minlength=int(owner.max()) + 1)
        wanted = np.flatnonzero(np.isnan(known) & drawn[rows] & (per_owner[owner[rows]] < drawn.sum()))
        if wanted.size:
            if isinstance(metric, PreparedMetric):
                scores = metric.crossed(frames.take(wanted), self.masks)
            else:
                scores = cross_scores(metric, maps[wanted], self.masks)
            known[wanted] = means_of_others(scores, owner, owner[rows[wanted]], drawn)
        return known

    def table(self, columns: list[str]) -> pd.DataFrame:
        """One row for each (metric, pair)."""
        parts = []
        empty, area = self.masks.bits.areas == 0, self.masks.shares
        for name, (value, reference) in self.answers.items():
            lacking = np.isnan(reference) if self.owner is not None else np.zeros(len(value), dtype=bool)
            reason = np.select(
                [empty, self.degenerate, np.isnan(value), lacking],
                ["empty annotation", "degenerate map", "undefined", "no other patient"],
                default="",
            )
            whole = {
                "pair": np.arange(len(value)),
                "metric": name,
                "value": value,
                "reference": reference,
                "excess": value - reference,
                "degenerate": self.degenerate,
                "reason": reason,
                "area": area,
            }
            parts.append(pd.DataFrame(whole)[["pair", "metric", *columns]])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["pair", "metric", *columns])


def _fit_to_resize(maps: NDArray[np.floating], degenerate: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Blank maps that are not finite, whose NaN would spread; level those that are constant but for rounding."""
    finite = np.isfinite(maps).all(axis=(1, 2), keepdims=True)
    clean = np.where(finite, maps, 0.0)
    peak = clean.max(axis=(1, 2), keepdims=True)
    return np.where(degenerate[:, None, None] & (peak > 0), peak, clean).astype(np.float32)


def _check_patients(maps: NDArray[np.floating], patients: NDArray[np.object_]) -> None:
    if patients.ndim != 1 or patients.size != len(maps):
        raise InputError(f"expected `patients` (M,), one for each map; got {patients.shape} and {len(maps)} maps")
    if missing := np.flatnonzero(pd.isna(patients)).tolist():
        raise InputError(f"`patients` is missing at {missing[:5]}; give an image without patient an id of its own")
