"""The pictures of a report: the same images under every arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from tailscope.core import ExperimentData, digest
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.fitting import test_logits
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.saliency import maps_path
from tailscope.experiment.test_set import RunGrid
from tailscope.report import GalleryCase, GalleryView

_PER_CLASS = 6
_MOST = 96


def gallery_cases(
    folder: ExperimentFolder, data: ExperimentData, grid: RunGrid, groups: dict[str, str], method: str
) -> tuple[GalleryCase, ...]:
    """Cases of each class under every arm and attribution method; maps of the first seed.

    Up to six cases of a class are chosen by a hash of the image id, so that no arm is favoured; up to two more because
    an arm differs most from control on them, and these say so.

    Args:
        folder: With the maps and predictions of all runs.
        data: The experiment's data.
        grid: The runs.
        groups: Class to head, medium or tail.
        method: The attribution method of the still pictures and of the choice; the others follow in the order of the
            evidence.

    Returns:
        At most 96 cases by hash, and two more of each class; the cases of a class together, rare classes last.
    """
    pairs = AnnotatedPairs.of(data)
    looks = _Looks.read(folder, pairs, grid, method)
    prevalence = np.array(data.counts.prevalences)
    names = [_pseudonym(data, row) for row in pairs.table[:, 0].tolist()]
    cases = []
    for place, reason in chosen_places(pairs.table[:, 1], names, prevalence, looks.differences):
        row, number = pairs.table[place].tolist()
        name = data.classes[number]
        cases.append(
            GalleryCase(
                pseudonym=names[place],
                class_name=name,
                group=groups[name],
                image=_picture(data, row),
                mask=data.mask(row, name),
                views=looks.views(place),
                prevalence=float(prevalence[number]),
                labels=tuple(data.classes[other] for other in np.flatnonzero(data.targets[row] == 1)),
                chosen_for=reason,
            )
        )
    return tuple(cases)


def chosen_places(
    classes: NDArray[np.int64],
    names: list[str],
    prevalence: NDArray[np.float64],
    differences: Mapping[str, NDArray[np.float64]],
) -> Iterator[tuple[int, str]]:
    """Which of M pairs are shown, and why; the most frequent class first.

    Args:
        classes: (M,) class numbers.
        names: M pseudonyms, in whose order the images of a class are drawn.
        prevalence: (K,) of the classes.
        differences: Words for a measure to the (M,) largest absolute difference of an arm from control; 0 where none is
            known.

    Returns:
        Places with the reason: empty for those drawn by their name. Per measure, each class has one more: of the images
        that are left, the one with the largest difference above 0.

    Example:
        >>> import numpy as np
        >>> differences = {"excess": np.array([0.3] + [0.2] * 7)}
        >>> [place for place, _ in chosen_places(np.zeros(8, int), list("hgfedcba"), np.ones(1), differences)]
        [7, 6, 5, 4, 3, 2, 0]
    """
    present = [number for number in np.argsort(-prevalence, kind="stable").tolist() if (classes == number).any()]
    each = max(1, min(_PER_CLASS, _MOST // max(len(present), 1)))
    for number in present[:_MOST]:
        drawn = sorted(np.flatnonzero(classes == number).tolist(), key=lambda place: names[place])
        left = drawn[each:]
        yield from ((place, "") for place in drawn[:each])
        for measure, difference in differences.items():
            largest = max(left, key=lambda place: difference[place], default=None)
            if largest is not None and difference[largest] > 0:
                left.remove(largest)
                yield largest, f"an arm differs most from control in {measure}, of the images not drawn by hash"


@dataclass(frozen=True, eq=False)
class _Looks:
    """What the first run of every arm says of the M annotated pairs.

    Args:
        arms: A labels, control first.
        methods: T names.
        probability: (A, M).
        excess: (T, A, M), NaN where unknown.
        maps: T times A memory maps, a row per pair.
    """

    arms: tuple[str, ...]
    methods: tuple[str, ...]
    probability: NDArray[np.float64]
    excess: NDArray[np.float64]
    maps: tuple[tuple[NDArray[np.float32], ...], ...]

    @classmethod
    def read(cls, folder: ExperimentFolder, pairs: AnnotatedPairs, grid: RunGrid, method: str) -> _Looks:
        """From the evidence of the first seed; ``method`` comes first."""
        data, runs = pairs.data, grid.first
        table = folder.table("alignment", runs)
        methods = tuple(dict.fromkeys((method, *table["method"].tolist())))
        positions = np.searchsorted(data.rows("test"), pairs.table[:, 0])
        logits = [test_logits(folder, run, data.classes)[positions, pairs.table[:, 1]] for run in runs]
        return cls(
            grid.arms,
            methods,
            expit(np.array(logits, dtype=np.float64)),
            np.array([[_excess(table, pairs, run, one) for run in runs] for one in methods]),
            tuple(tuple(np.load(maps_path(folder, run, one), mmap_mode="r") for run in runs) for one in methods),
        )

    @property
    def differences(self) -> dict[str, NDArray[np.float64]]:
        """Excess by the first method, and probability: the largest difference of an arm from control, per pair."""
        return {"excess": _from_first(self.excess[0]), "probability": _from_first(self.probability)}

    def views(self, place: int) -> tuple[GalleryView, ...]:
        """One pair under every method and arm."""
        return tuple(
            GalleryView(
                arm,
                np.asarray(self.maps[which][number][place]),
                float(self.probability[number, place]),
                float(self.excess[which, number, place]),
                method,
            )
            for which, method in enumerate(self.methods)
            for number, arm in enumerate(self.arms)
        )


def _from_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) largest absolute difference from the first of (A, M); 0 where no arm is known beside it."""
    return np.asarray(np.nan_to_num(np.abs(values[1:] - values[0])).max(axis=0, initial=0.0))


def _excess(table: pd.DataFrame, pairs: AnnotatedPairs, run: str, method: str) -> NDArray[np.float64]:
    """(M,) excess of ``mass_inside`` in one run."""
    kept = table[(table["metric"] == "mass_inside") & (table["method"] == method) & (table["run"] == run)]
    known = dict(zip(zip(kept["image_id"], kept["class"], strict=True), kept["excess"].astype(float), strict=True))
    keys = zip(pairs.image_ids.tolist(), pairs.classes.tolist(), strict=True)
    return np.array([known.get(key, np.nan) for key in keys])


def _pseudonym(data: ExperimentData, row: int) -> str:
    """A name that tells nothing of the image id, the same in every report on the same data."""
    return digest(data.fingerprint, str(data.image_ids[row]))[:8]


def _picture(data: ExperimentData, row: int) -> NDArray[np.uint8]:
    pixels = np.asarray(data.pixels[row])
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
