"""Several readers' findings on each image, as a table of labels that keeps every reader."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tailscope.data.tables import label_table

Votes = dict[str, dict[str, frozenset[str]]]  # image to reader to what that reader found; an image's readers all voted


def read_labels(votes: Votes, image_ids: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """The table of labels: positive or negative, one row per image, reader and class.

    Example:
        >>> read_labels({"a": {"R1": frozenset({"ILD"}), "R2": frozenset()}}, ["a"], ["ILD"])["state"].tolist()
        ['positive', 'negative']
    """
    readings = [(image, reader) for image in image_ids for reader in votes[image]]
    found = [[name in votes[image][reader] for name in classes] for image, reader in readings]
    states = np.where(np.array(found, dtype=bool).reshape(len(readings), len(classes)), "positive", "negative")
    table = label_table([image for image, _ in readings], classes, states, "")
    return table.assign(reader=np.repeat(np.array([reader for _, reader in readings], dtype=object), len(classes)))


def readers_note(votes: Votes) -> str:
    """How many readers read each image.

    >>> readers_note({"a": {"R1": frozenset(), "R2": frozenset()}, "b": {"R1": frozenset()}})
    '1 or 2 readers per image; every label and every shape keeps its reader'
    """
    numbers = " or ".join(map(str, sorted({len(by_reader) for by_reader in votes.values()})))
    return f"{numbers} readers per image; every label and every shape keeps its reader"
