"""The same images in the same split, with training and validation labels by another view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailscope.core.artifacts import digest
from tailscope.core.records import Dataset, ExperimentData
from tailscope.data.derived_classes import derived_dataset
from tailscope.data.settings import DataSettings
from tailscope.data.views import view_labels


def relabelled(data: ExperimentData, dataset: Dataset, settings: DataSettings) -> ExperimentData:
    """The data with labels of training and validation by other policies.

    Test labels, images, split, annotations and notes stay. So does the fingerprint, where no label changes.

    Args:
        data: From :func:`~tailscope.data.prepare`; not changed.
        dataset: That it was made from.
        settings: Those it was made with, but for ``uncertain``, ``unmentioned`` and ``label_readers``.

    Raises:
        DataError: A class has no positive or no negative training image by these policies.
    """
    targets, soft = view_labels(derived_dataset(dataset, settings), settings).dealt(data.split)
    targets = np.where((data.split == "test")[:, None], data.targets, targets)
    if np.array_equal(targets, data.targets, equal_nan=True) and _same(soft, data.soft):
        return data
    asked = () if soft is None else (soft,)
    changed = replace(data, targets=targets, soft=soft, fingerprint=digest(data.fingerprint, targets, *asked))
    changed.counts.require_both()
    return changed


def trained_alike(one: ExperimentData, other: ExperimentData) -> bool:
    """Whether two views of the same images give the same training labels."""
    rows = one.rows("train")
    return np.array_equal(one.targets[rows], other.targets[rows], equal_nan=True) and _same(one.soft, other.soft)


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)
