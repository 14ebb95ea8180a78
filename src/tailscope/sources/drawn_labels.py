"""Labels that follow from what was drawn: a class is present where it is drawn, and the user says what else means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tailscope.data.tables import label_table


def drawn_labels(
    image_ids: Sequence[str],
    classes: Sequence[str],
    stated: Mapping[tuple[str, str], str],
    *,
    exhaustive: bool,
    reader: str,
) -> pd.DataFrame:
    """The table of labels.

    Args:
        image_ids: N.
        classes: K.
        stated: (image id, class) to a state; what is missing follows from ``exhaustive``.
        exhaustive: Whether a class that is not drawn on an image is negative there, else unmentioned.
        reader: Who drew.

    Example:
        >>> labels = drawn_labels(["a"], ["x", "y"], {("a", "x"): "positive"}, exhaustive=False, reader="r")
        >>> labels["state"].tolist()
        ['positive', 'unmentioned']
    """
    rest = "negative" if exhaustive else "unmentioned"
    states = [[stated.get((image_id, name), rest) for name in classes] for image_id in image_ids]
    return label_table(image_ids, classes, np.array(states, dtype=object).reshape(len(image_ids), len(classes)), reader)
