"""How alike the layers of all runs arrange the test images (CKA), each arm against control."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, write_arrays
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid
from tailscope.representation import LEAST_IMAGES, centred_grams, cka_matrix, minibatches, relative_cka

SIMILARITY_COLUMNS = ("layer", "arm_a", "seed_a", "arm_b", "seed_b", "value", "images", "reason")


def grams_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the similarities of the test images in each layer of a run lie."""
    return folder.evidence_file("representation", f"grams-{run}.npz")


def write_grams(
    place: Path, data: ExperimentData, activations: Mapping[str, NDArray[np.float32]], minibatch: int
) -> None:
    """Write what CKA needs of a run: the centred Gram matrices of every layer, on minibatches that all runs share.

    Args:
        place: The file.
        data: The experiment's data.
        activations: Layer to (n, U, h, w) of the test images.
        minibatch: Images in a minibatch.
    """
    rows = data.rows("test")
    arrays: dict[str, NDArray[np.float64]] = {}
    if len(np.unique(data.patient_ids[rows])) >= LEAST_IMAGES:
        batches = minibatches(data.image_ids[rows], data.patient_ids[rows], batch=minibatch)
        arrays = {name: centred_grams(values, batches) for name, values in activations.items()}
    write_arrays(place, arrays)


def similarity_tables(folder: ExperimentFolder, grid: RunGrid) -> tuple[pd.DataFrame, pd.DataFrame]:
    """CKA of all pairs of runs, and of every arm with control beside that of two controls.

    Returns:
        One row per layer and pair of runs, columns :data:`SIMILARITY_COLUMNS`; and the table of
        :func:`~tailscope.representation.relative_cka`. Both empty with fewer than 4 test patients.
    """
    stored = [_read_grams(grams_path(folder, name)) for name in grid.names]
    layers = [name for name in stored[0] if all(name in one for one in stored)]
    arms = [arm for arm in grid.arms for _ in grid.seeds]
    seeds = list(grid.seeds) * len(grid.arms)
    found = [cka_matrix([one[layer] for one in stored]) for layer in layers]
    runs = list(zip(arms, seeds, strict=True))
    rows = [
        (layer, *runs[a], *runs[b], matrix.value[a, b], matrix.images, matrix.reasons[a] or matrix.reasons[b])
        for layer, matrix in zip(layers, found, strict=True)
        for a, b in combinations_with_replacement(range(len(runs)), 2)
    ]
    table = pd.DataFrame(rows, columns=list(SIMILARITY_COLUMNS))
    values = np.stack([matrix.value for matrix in found]) if found else np.zeros((0, len(arms), len(arms)))
    return table, relative_cka(values, arms, seeds, layers, grid.arms[0])


def _read_grams(place: Path) -> dict[str, NDArray[np.float64]]:
    with np.load(place, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
