"""Columns of the images that samplers read: are they there, and which groups do they make?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.registry import nearest
from tailscope.treatments.plan import TreatmentPlan

UNKNOWN = "unknown"
MOST_GROUPS = 50  # more values than that are a measurement, not a group: age in years, an accession number


def missing_attributes(plan: TreatmentPlan, attributes: Mapping[str, NDArray[Any]]) -> list[str]:
    """The columns that a plan reads, in any phase and for any partner, and that the images do not have.

    Args:
        plan: Of any treatment.
        attributes: Name to (N,) values, as in :class:`~tailscope.core.records.ExperimentData`.

    Returns:
        One sentence per column, sorted, with the nearest name and all known ones.

    Example:
        >>> from torch.nn import BCEWithLogitsLoss
        >>> missing_attributes(TreatmentPlan(BCEWithLogitsLoss(), attributes=("veiw",)), {"view": np.array(["PA"])})
        ["the images have no column 'veiw'; did you mean 'view'? Known: view"]
    """
    read = {name for _, stage in plan.stages for name in stage.attributes}
    read |= {name for _, stage in plan.stages if stage.mixing is not None for name in stage.mixing.attributes}
    known = tuple(sorted(attributes))
    return [f"the images have no column {name!r}{nearest(name, known)}" for name in sorted(read - set(known))]


def groups_of(name: str, values: NDArray[Any], count: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The groups that a column makes: one per value, a missing value (None, NaN) as ``"unknown"``.

    Args:
        name: The column, for messages.
        values: (N,) of any type.
        count: N.

    Returns:
        (N,) group numbers, and the groups' names, sorted.

    Raises:
        InputError: The column has another length.
        DataError: It has more than :data:`MOST_GROUPS` values.

    Example:
        >>> groups_of("sex", np.array(["M", None, "F", "M"], dtype=object), 4)[1]
        ('F', 'M', 'unknown')
    """
    if np.shape(values) != (count,):
        raise InputError(f"column {name!r} must have one value per image, ({count},); got {np.shape(values)}")
    absent = pd.isna(values)
    texts = [UNKNOWN if missing else str(value) for value, missing in zip(values, absent, strict=True)]
    names, numbers = np.unique(np.array(texts), return_inverse=True)
    if names.size > MOST_GROUPS:
        raise DataError(
            f"column {name!r} has {names.size} different values; expected at most {MOST_GROUPS}, one per group: "
            "choose a column of categories, or put its values into bands"
        )
    return numbers.astype(np.int64), tuple(names.tolist())
