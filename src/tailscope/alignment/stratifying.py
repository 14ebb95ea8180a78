"""Small, medium and large annotations, so that a metric can be read by size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def size_groups(areas: NDArray[np.floating]) -> NDArray[np.str_]:
    """Tertiles of the annotation sizes; equal areas always share a group.

    Args:
        areas: (M,) shares of the frame in [0, 1]; 0 or NaN where there is no annotation.

    Returns:
        (M,) "small", "medium", "large", or "none" where there is no annotation.

    Example:
        >>> import numpy as np
        >>> size_groups(np.array([0.01, 0.3, 0.1, 0.0])).tolist()
        ['small', 'large', 'medium', 'none']
    """
    areas = np.asarray(areas, dtype=np.float64)
    drawn = areas > 0
    groups = np.full(areas.shape, "none", dtype="<U6")
    if drawn.any():
        cuts = np.quantile(areas[drawn], [1 / 3, 2 / 3])
        groups[drawn] = np.array(["small", "medium", "large"])[np.searchsorted(cuts, areas[drawn], side="left")]
    return groups
