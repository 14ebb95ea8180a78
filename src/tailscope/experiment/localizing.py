"""Boxes of the thresholded maps against the annotations, at every limit of overlap."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import localization_curve
from tailscope.experiment.annotated import AnnotatedPairs

_COLUMNS = ("class", "image_id", "metric", "overlap", "at", "value", "reference", "excess", "reason")
_NAME = re.compile(r"at=(?P<at>[0-9.]+),.*?overlap=(?P<overlap>[a-z]+)")


def localization_table(pairs: AnnotatedPairs, maps: NDArray[np.float32]) -> pd.DataFrame:
    """One row per pair and limit T: ``localized_at`` for the limits of IoU and of the NIH paper's IoBB.

    Args:
        pairs: M annotated pairs.
        maps: (M, h, w).

    Returns:
        Columns class, image_id, metric, overlap (iou, iobb), at (T), value, reference, excess, reason.
    """
    tables = [pd.DataFrame(columns=list(_COLUMNS))]
    for group in pairs.by_class:
        table = group.named(localization_curve(pairs.maps_of(group, maps), group.masks, group.patients))
        found = table["metric"].astype(str).str.extract(_NAME)
        tables.append(table.assign(overlap=found["overlap"], at=found["at"].astype(float))[list(_COLUMNS)])
    return pd.concat(tables[1:] or tables, ignore_index=True)
