"""The test images as dissection sees them: every class that is annotated, and what stands there without being one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import ExperimentData
from tailscope.dissection import AnnotatedImages
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.confounders import extra_masks, found_on_test

_MOST = 100  # images per confounder: a marker may stand on every one, and the work grows with the square


def concept_images(data: ExperimentData, *, confounders: bool) -> AnnotatedImages:
    """Labels, patients and masks of the test split; rows as ``data.rows("test")``.

    Args:
        data: The experiment's data.
        confounders: Add its extra masks as concepts behind the classes, on up to 100 test images each. Target is 1
            where one is looked at, 0 where there is none, NaN on further images that have it.
    """
    rows = data.rows("test")
    pairs = annotated_test_pairs(data)
    annotated = [np.stack([np.searchsorted(rows, pairs[:, 0]), pairs[:, 1]], axis=1)]
    targets, names = [data.targets[rows]], list(data.classes)
    for name in extra_masks(data) if confounders else ():
        chosen = np.searchsorted(rows, found_on_test(data, name, _MOST).rows)
        target = np.where(data.attributes[name][rows].astype(bool), np.nan, 0.0).astype(np.float32)
        target[chosen] = 1
        annotated.append(np.stack([chosen, np.full(chosen.size, len(names))], axis=1))
        targets.append(target[:, None])
        names.append(name)

    def mask(position: int, name: str) -> NDArray[np.bool_] | None:
        return data.masks(int(rows[position]), name)

    return AnnotatedImages(
        mask,
        np.concatenate(targets, axis=1),
        np.concatenate(annotated).astype(np.int64),
        data.patient_ids[rows],
        tuple(names),
        data.image_ids[rows],
    )
