"""The pictures of a report: the same images under every arm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tailscope.core import ExperimentData, digest
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.fitting import test_logits
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.saliency import maps_path
from tailscope.experiment.test_set import RunGrid
from tailscope.report import GalleryCase, GalleryView

_PER_CLASS = 2
_MOST = 18


def gallery_cases(
    folder: ExperimentFolder, data: ExperimentData, grid: RunGrid, groups: dict[str, str], method: str
) -> tuple[GalleryCase, ...]:
    """Cases of each class, chosen by a hash of the image id, so that no arm is favoured; maps of the first seed.

    Args:
        folder: With the maps and predictions of all runs.
        data: The experiment's data.
        grid: The runs.
        groups: Class to head, medium or tail.
        method: The attribution method.

    Returns:
        At most 18 cases, rare classes last.
    """
    pairs = AnnotatedPairs.of(data).table
    first = grid.names[:: len(grid.seeds)]
    maps = {run: np.load(maps_path(folder, run, method), mmap_mode="r") for run in first}
    logits = {run: test_logits(folder, run, data.classes) for run in first}
    excess = _excess(folder, grid, method)
    rows = data.rows("test")
    cases = []
    for place in _chosen(data, pairs):
        row, number = pairs[place].tolist()
        name = data.classes[number]
        position = int(np.searchsorted(rows, row))
        views = tuple(
            GalleryView(
                arm,
                np.asarray(maps[run][place]),
                float(1 / (1 + np.exp(-float(logits[run][position, number])))),
                excess.get((run, str(data.image_ids[row]), name), float("nan")),
            )
            for arm, run in zip(grid.arms, first, strict=True)
        )
        cases.append(
            GalleryCase(_pseudonym(data, row), name, groups[name], _picture(data, row), data.mask(row, name), views)
        )
    return tuple(cases)


def _chosen(data: ExperimentData, pairs: NDArray[np.int64]) -> Iterator[int]:
    """Places in ``pairs``: up to two per class, the most frequent class first."""
    prevalence = np.array(data.counts.prevalences)
    classes = [number for number in np.argsort(-prevalence, kind="stable").tolist() if (pairs[:, 1] == number).any()]
    each = max(1, min(_PER_CLASS, _MOST // max(len(classes), 1)))
    for number in classes[:_MOST]:
        places = np.flatnonzero(pairs[:, 1] == number).tolist()
        yield from sorted(places, key=lambda place: _pseudonym(data, int(pairs[place, 0])))[:each]


def _excess(folder: ExperimentFolder, grid: RunGrid, method: str) -> dict[tuple[str, str, str], float]:
    table = folder.table("alignment", grid.names[:: len(grid.seeds)])
    table = table[(table["metric"] == "mass_inside") & (table["method"] == method)]
    keys = zip(table["run"], table["image_id"], table["class"], strict=True)
    return dict(zip(keys, table["excess"].astype(float), strict=True))


def _pseudonym(data: ExperimentData, row: int) -> str:
    """A name that tells nothing of the image id, the same in every report on the same data."""
    return digest(data.fingerprint, str(data.image_ids[row]))[:8]


def _picture(data: ExperimentData, row: int) -> NDArray[np.uint8]:
    pixels = np.asarray(data.pixels[row])
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
