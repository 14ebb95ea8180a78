"""Label states as a matrix of images and classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import STATES, Dataset


def state_matrix(dataset: Dataset, classes: tuple[str, ...]) -> NDArray[np.int8]:
    """(N, K) index into :data:`~tailscope.core.STATES` per image and class; a label without row is unmentioned."""
    labels = dataset.labels
    rows = pd.Index(dataset.images["image_id"]).get_indexer(pd.Index(labels["image_id"]))
    columns = pd.Index(list(classes)).get_indexer(pd.Index(labels["class"]))
    codes = pd.Index(list(STATES)).get_indexer(pd.Index(labels["state"]))
    states = np.full((len(dataset.images), len(classes)), STATES.index("unmentioned"), dtype=np.int8)
    used = (rows >= 0) & (columns >= 0)
    states[rows[used], columns[used]] = codes[used]
    return states
