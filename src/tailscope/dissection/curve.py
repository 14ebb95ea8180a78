"""The fixed fraction as a curve, so that no conclusion hangs on one of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.dissection._count_kernels import count_above
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.counts import DETECTOR_IOU, LEAST_ATTAINABLE, attainable_iou
from tailscope.dissection.evidence import ClassEvidence
from tailscope.dissection.tables import NOT_ANNOTATED, NOT_ATTAINABLE
from tailscope.dissection.thresholds import Activations, image_slices

_COLUMNS = ("class", "fraction", "best", "unit", "attainable", "above_rule", "reason")


def pooled_activation(
    activations: Activations, thresholds: NDArray[np.float32], pools: NDArray[np.bool_], size: tuple[int, int]
) -> NDArray[np.int64]:
    """Activated pixels of each unit over each class's pool of images, for every threshold, in one pass of the images.

    Args:
        activations: (N, U, h, w) floating, finite.
        thresholds: (F, U) float32.
        pools: (N, K) bool.
        size: (H, W) of the mask grid.

    Returns:
        (F, U, K) int64.

    Example:
        >>> import numpy as np
        >>> maps = np.array([[[[1.0, 3.0]]], [[[2.0, 2.0]]]])
        >>> pooled_activation(maps, np.float32([[1.5], [2.5]]), np.ones((2, 1), bool), (1, 2)).tolist()
        [[[3]], [[1]]]
    """
    cells = cell_grid((activations.shape[2], activations.shape[3]), size)
    total = np.zeros((*thresholds.shape, pools.shape[1]), dtype=np.int64)
    for rows in image_slices(activations):
        maps = np.ascontiguousarray(activations[rows], dtype=np.float32)
        nothing = (np.zeros((0, *size), bool), np.zeros((0, *maps.shape[2:]), np.int32), np.zeros((len(maps), 0), int))
        for level, found in zip(thresholds, total, strict=True):
            found += count_above(maps, level, nothing, cells)[0].T @ pools[rows].astype(np.int64)
    return total


def curve_table(
    classes: tuple[str, ...],
    fractions: tuple[float, ...],
    evidence: Mapping[str, ClassEvidence],
    fixed: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """What the fixed fraction would have said at other fractions.

    Args:
        classes: K names.
        fractions: F top fractions.
        evidence: By class; a class without annotation is absent.
        fixed: Class to (F, U) fixed-fraction IoU.

    Returns:
        One row per class and fraction: class, fraction, best (largest IoU of a unit, in [0, 1]), unit (the first with
        it), attainable (the largest IoU possible), above_rule (units with IoU > 0.04; NaN where that is not
        attainable), reason.
    """
    rows: list[dict[str, Any]] = []
    for name in classes:
        shares = evidence[name].share() if name in evidence else np.nan
        for number, fraction in enumerate(fractions):
            rows.append({"class": name, "fraction": fraction} | _point(fixed.get(name), number, shares, fraction))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.astype({"unit": "Int64"})


def _point(iou: NDArray[np.float64] | None, number: int, share: float, fraction: float) -> dict[str, Any]:
    if iou is None:
        return {"best": np.nan, "unit": pd.NA, "attainable": np.nan, "above_rule": np.nan, "reason": NOT_ANNOTATED}
    mine = iou[number]
    attainable = float(attainable_iou(np.array(share), fraction))
    meets = attainable >= LEAST_ATTAINABLE
    return {
        "best": float(mine.max()),
        "unit": int(mine.argmax()),
        "attainable": attainable,
        "above_rule": float((mine > DETECTOR_IOU).sum()) if meets else np.nan,
        "reason": "" if meets else NOT_ATTAINABLE,
    }
