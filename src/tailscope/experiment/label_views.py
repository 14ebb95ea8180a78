"""Label views as a factor: the data of every view, and the runs of the arms under the further ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from tailscope.core import DataError, Dataset, ExperimentData, InputError
from tailscope.data import relabelled, trained_alike
from tailscope.experiment.config import ExperimentConfig, slug
from tailscope.experiment.plan import Run, run_hash
from tailscope.experiment.preconditions import treatment_problems
from tailscope.experiment.roles import Roles
from tailscope.experiment.view_config import view_arm
from tailscope.models import Network
from tailscope.training import require_score


def data_by_view(
    config: ExperimentConfig, dataset: Dataset, data: ExperimentData
) -> tuple[ExperimentData, dict[str, ExperimentData]]:
    """The data of the arms, and by name those of every further view; images, split and test labels are the same.

    Args:
        config: Its ``label_views``; without any, the data stay as they are.
        dataset: That the data were made from.
        data: By the settings in ``data``.

    Raises:
        DataError: Two views give the same training labels, or a class has no positive or negative by one of them.
    """
    if config.label_views is None:
        return data, {}
    found = {view.name: relabelled(data, dataset, view.settings(config.data.view())) for view in config.label_views}
    problems = [
        f"`label_views`: {one!r} and {other!r} give the same training labels; leave one of them out"
        for one, other in combinations(found, 2)
        if trained_alike(found[one], found[other])
    ]
    if problems:
        raise DataError(problems)
    (_, own), *further = found.items()
    notes = (*data.notes, *(_note(name, labels) for name, labels in found.items()))
    return replace(own, notes=notes), dict(further)


def view_problems(config: ExperimentConfig, further: Mapping[str, ExperimentData], network: Network) -> list[str]:
    """What stands against training under the further views, one sentence each."""
    problems = []
    for view, data in further.items():
        try:
            require_score(data.targets[data.rows("val")])
        except InputError as error:
            problems.append(f"label view {view!r}: {error}")
        for arm in config.arms:
            problems += [
                f"arm {view_arm(arm, view)!r}: {one}" for one in treatment_problems(config, data, arm, network)
            ]
    return problems


def view_arms(config: ExperimentConfig, roles: Roles) -> tuple[str, ...]:
    """The arms that are trained under the further views: those of the families, control first."""
    if not config.further_views:
        return ()
    return tuple(arm for arm in roles.compared if arm not in roles.outside and arm != roles.again)


def view_runs(config: ExperimentConfig, further: Mapping[str, ExperimentData], roles: Roles) -> tuple[Run, ...]:
    """The runs under the further views, after all others: seed by seed, view by view, control first."""
    places = [(arm, view, seed) for seed in config.seeds for view in further for arm in view_arms(config, roles)]
    return tuple(_run(config, further[view], arm, view, seed) for arm, view, seed in places)


def labels_of(
    config: ExperimentConfig, data: ExperimentData, further: Mapping[str, ExperimentData], arm: str
) -> ExperimentData:
    """The data with the labels that an arm is trained on."""
    return further[config.viewed[arm][1]] if arm in config.viewed else data


def by_labels(
    config: ExperimentConfig, data: ExperimentData, further: Mapping[str, ExperimentData], runs: Iterable[Run]
) -> Iterator[tuple[ExperimentData, list[str]]]:
    """The arms of some runs, together with those that are trained on the same labels."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    for labels in (data, *further.values()):
        mine = [arm for arm in arms if labels_of(config, data, further, arm) is labels]
        if mine:
            yield labels, mine


def _run(config: ExperimentConfig, data: ExperimentData, arm: str, view: str, seed: int) -> Run:
    label = view_arm(arm, view)
    return Run(label, seed, f"{slug(label)}-s{seed}-{run_hash(config, data, arm, seed)[:8]}")


def _note(name: str, data: ExperimentData) -> str:
    targets = data.targets[data.rows("train")]
    positive, negative, unknown = int((targets == 1).sum()), int((targets == 0).sum()), int(np.isnan(targets).sum())
    soft = 0 if data.soft is None else int((~np.isnan(data.soft)).sum())
    of = f", {soft} of them with a probability in training" if soft else ""
    return (
        f"label view {name!r}: {positive} positive, {negative} negative and {unknown} unknown training labels{of}; "
        "test labels are by the settings in `data`"
    )
