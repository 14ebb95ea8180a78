"""The test split and the runs, as the statistics see them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tailscope.core import ExperimentData, child_seed, class_groups
from tailscope.experiment.plan import Run
from tailscope.experiment.roles import Roles
from tailscope.stats import Resamples, cluster_resamples


@dataclass(frozen=True, eq=False)
class TestSet:
    """The images that every number of a comparison is about.

    Args:
        classes: K class names.
        groups: K names: head, medium or tail, by training prevalence.
        image_ids: (N,) str.
        patients: (N,) str.
        targets: (N, K) float32 in {0, 1, NaN}.
        resamples: Number of patient resamples.
        seed: Root seed of the resampling.
    """

    __test__ = False  # pytest would take the name for a test case

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    image_ids: NDArray[np.str_]
    patients: NDArray[np.str_]
    targets: NDArray[np.float32]
    resamples: int
    seed: int
    _drawn: dict[bytes, Resamples] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, data: ExperimentData, resamples: int, seed: int) -> TestSet:
        """The test split of an experiment's data."""
        rows = data.rows("test")
        return cls(
            data.classes,
            tuple(class_groups(data.counts.prevalences)),
            data.image_ids[rows],
            data.patient_ids[rows],
            data.targets[rows],
            resamples,
            seed,
        )

    def patients_among(self, chosen: NDArray[np.bool_]) -> int:
        """Number of patients among some images, given as an (N,) mask."""
        return len(set(self.patients[chosen].tolist()))

    def label_patients(self, number: int) -> tuple[int, int]:
        """Patients with a positive and patients with a negative image of a class."""
        column = self.targets[:, number]
        return self.patients_among(column == 1), self.patients_among(column == 0)

    def why_unranked(self, number: int) -> str:
        """Why nothing can rank the images of a class; empty where it can."""
        positives, negatives = self.label_patients(number)
        if positives and negatives:
            return ""
        return f"no {'positive' if not positives else 'negative'} test image"

    def draw(self, required: NDArray[np.bool_]) -> Resamples:
        """Patient resamples in which each of the (N, J) required columns keeps an image.

        All metrics and arms see the same draws; only those that leave a required column empty are drawn anew.
        """
        key = np.packbits(required).tobytes()
        if key not in self._drawn:
            if b"" not in self._drawn:
                self._drawn[b""] = self._draw(None)
            plain = self._drawn[b""]
            # A draw that keeps every column is what cluster_resamples would give as well, so it serves all of them.
            keeps_all = all(plain.multiplicity[:, column].any(axis=1).all() for column in required.T)
            self._drawn[key] = plain if keeps_all else self._draw(required)
        return self._drawn[key]

    def _draw(self, required: NDArray[np.bool_] | None) -> Resamples:
        seed = child_seed(self.seed, "patient resamples")
        return cluster_resamples(self.patients, self.resamples, seed, required=required)


@dataclass(frozen=True)
class RunGrid:
    """The runs by arm and seed.

    Args:
        arms: A labels, control first.
        seeds: S seeds.
        names: A·S run names, arm by arm.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, runs: tuple[Run, ...], arms: tuple[str, ...], seeds: tuple[int, ...]) -> RunGrid:
        """Sort planned runs by arm, then seed."""
        by_place = {(run.arm, run.seed): run.name for run in runs}
        return cls(arms, seeds, tuple(by_place[arm, seed] for arm in arms for seed in seeds))

    @property
    def first(self) -> tuple[str, ...]:
        """The run of the first seed of every arm."""
        return self.names[:: len(self.seeds)]

    @property
    def arm_of(self) -> dict[str, str]:
        """Run name to arm."""
        return {name: self.arms[place // len(self.seeds)] for place, name in enumerate(self.names)}

    def by_arm(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(A·S, …) values to (A, S, …)."""
        return values.reshape(len(self.arms), len(self.seeds), *values.shape[1:])


@dataclass(frozen=True)
class Grids:
    """The runs by the part they play; see :class:`~tailscope.experiment.roles.Roles`.

    Args:
        every: All runs but those of the second control.
        compared: Of these, the runs whose networks are looked into.
        outside: Arms among these that take part in no family, with the reason.
        again: Control and the second control, whose seeds stand opposite control's in their order; None without one.
    """

    every: RunGrid
    compared: RunGrid
    outside: dict[str, str]
    again: RunGrid | None = None

    @classmethod
    def of(cls, runs: tuple[Run, ...], roles: Roles, seeds: tuple[int, ...]) -> Grids:
        """Sort planned runs by role."""
        compared = tuple(arm for arm in roles.compared if arm != roles.again)
        every, looked = RunGrid.of(runs, (*compared, *roles.monotone), seeds), RunGrid.of(runs, compared, seeds)
        return cls(every, looked, roles.outside, _again(runs, roles, seeds))


def _again(runs: tuple[Run, ...], roles: Roles, seeds: tuple[int, ...]) -> RunGrid | None:
    """Control and the second control; runs are planned seed by seed, so those of both come in the same order."""
    if roles.again is None:
        return None
    arms = (roles.compared[0], roles.again)
    return RunGrid(arms, seeds, tuple(run.name for arm in arms for run in runs if run.arm == arm))
