"""Score the pairs of one class and one run: value, reference and excess, with a reason where something is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment.pairing import degenerate_maps
from tailscope.alignment.registry import AlignmentMetric, CrossScored
from tailscope.core import InputError, resize_bilinear

_CHUNK_VALUES = 2**22  # float64 values held at once by one copy of the resized maps: 32 MiB


def score_pairs(
    maps: NDArray[np.floating],
    masks: NDArray[np.bool_],
    patients: NDArray[np.str_],
    metrics: Mapping[str, AlignmentMetric],
) -> pd.DataFrame:
    """Score the saliency maps of ONE class and ONE run against their annotations.

    Maps are resized to the frame of the masks (bilinear, half-pixel centres), a chunk at a time. Excess = value −
    reference. The reference is the metric's analytic one or, where it has none, the mean over the masks of all other
    patients in ``masks`` of the value of the same map; empty masks are left out of that mean. A degenerate map counts
    as the uniform map, with excess 0 (variants ``as_published`` see it as it is, or as zeros where not finite).

    Args:
        maps: (M, h, w) floating, on their own grid.
        masks: (M, H, W) bool, the union of the annotations of this class on the image of the pair.
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
    maps, masks = np.asarray(maps), np.asarray(masks)
    _check(maps, masks, np.asarray(patients, dtype=object))
    run = _Run.of(maps, masks, np.asarray(patients, dtype=str))
    parts = [run.table(name, metric) for name, metric in metrics.items()]
    columns = ["pair", "metric", "value", "reference", "excess", "degenerate", "reason", "area"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


@dataclass(frozen=True, eq=False)
class _Run:
    maps: NDArray[np.floating]
    masks: NDArray[np.bool_]
    patients: NDArray[np.str_]
    degenerate: NDArray[np.bool_]
    empty: NDArray[np.bool_]

    @classmethod
    def of(cls, maps: NDArray[np.floating], masks: NDArray[np.bool_], patients: NDArray[np.str_]) -> _Run:
        degenerate = degenerate_maps(maps)
        return cls(_fit_to_resize(maps, degenerate), masks, patients, degenerate, np.asarray(~masks.any(axis=(1, 2))))

    def table(self, name: str, metric: AlignmentMetric) -> pd.DataFrame:
        count = len(self.maps)
        value, reference = np.full(count, np.nan), np.full(count, np.nan)
        degenerate = self.degenerate.copy()
        for rows, frames in self._chunks():
            value[rows] = metric(frames, self.masks[rows])
            degenerate[rows] |= degenerate_maps(frames)
            reference[rows] = self._reference(metric, frames, rows)
        area = self.masks.mean(axis=(1, 2))
        columns = {
            "pair": np.arange(count),
            "metric": name,
            "value": value,
            "reference": reference,
            "excess": value - reference,
            "degenerate": degenerate,
            "reason": np.select(
                [self.empty, degenerate, np.isnan(value), np.isnan(reference)],
                ["empty annotation", "degenerate map", "undefined", "no other patient"],
                default="",
            ),
            "area": area,
        }
        return pd.DataFrame(columns)

    def _chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        height, width = self.masks.shape[1:]
        step = max(1, _CHUNK_VALUES // (height * width))
        for start in range(0, len(self.maps), step):
            rows = slice(start, start + step)
            yield rows, resize_bilinear(self.maps[rows], (height, width))

    def _reference(self, metric: AlignmentMetric, frames: NDArray[np.float32], rows: slice) -> NDArray[np.float64]:
        reference = np.array(metric.reference(frames, self.masks[rows]), dtype=np.float64)
        if metric.reference_kind == "analytic":
            return reference
        others = (self.patients[rows, None] != self.patients[None, :]) & ~self.empty
        wanted = np.isnan(reference) & ~self.empty[rows] & others.any(axis=1)
        if wanted.any():
            scores = cross_scores(metric, frames[wanted], self.masks)
            reference[wanted] = _mean_where(scores, others[wanted])
        return reference


def _mean_where(scores: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M,) mean of the chosen scores of each row, without those that are undefined; NaN where none is left."""
    chosen = chosen & ~np.isnan(scores)
    count = chosen.sum(axis=1)
    return np.asarray(np.where(count > 0, np.where(chosen, scores, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan))


def cross_scores(
    metric: AlignmentMetric, saliency: NDArray[np.floating], masks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Every map against every mask, by the metric's own fast way where it has one.

    Args:
        metric: Any alignment metric.
        saliency: (M, H, W) floating.
        masks: (N, H, W) bool.

    Returns:
        (M, N) float64; entry (i, j) is the value of map i on mask j.
    """
    if isinstance(metric, CrossScored):
        return metric.cross(saliency, masks)
    # Map by map, so that memory does not grow with the product of the two numbers.
    return np.array([metric(np.broadcast_to(row, masks.shape), masks) for row in saliency])


def _fit_to_resize(maps: NDArray[np.floating], degenerate: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Blank maps that are not finite, whose NaN would spread; level those that are constant but for rounding."""
    finite = np.isfinite(maps).all(axis=(1, 2), keepdims=True)
    clean = np.where(finite, maps, 0.0)
    peak = clean.max(axis=(1, 2), keepdims=True)
    return np.where(degenerate[:, None, None] & (peak > 0), peak, clean).astype(np.float32)


def _check(maps: NDArray[np.floating], masks: NDArray[np.bool_], patients: NDArray[np.object_]) -> None:
    if maps.ndim != 3 or masks.ndim != 3 or not len(maps) == len(masks) == patients.size or patients.ndim != 1:
        raise InputError(
            "expected `maps` (M, h, w), `masks` (M, H, W) and `patients` (M,); got "
            f"{maps.shape}, {masks.shape} and {patients.shape}"
        )
    if masks.dtype != np.bool_ or not np.issubdtype(maps.dtype, np.floating):
        raise InputError(f"`maps` must be floating and `masks` bool; got {maps.dtype} and {masks.dtype}")
    if missing := np.flatnonzero(pd.isna(patients)).tolist():
        raise InputError(f"`patients` is missing at {missing[:5]}; give an image without patient an id of its own")
