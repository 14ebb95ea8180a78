"""Is each saliency method sound on this run? Random weights, permuted labels, other classes, deletion, agreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations, zip_longest
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tailscope.alignment import class_likeness, degenerate_maps, likeness
from tailscope.alignment.soundness import (
    AGREEMENT,
    ALL_WEIGHTS,
    CLASSES_DIFFER,
    DELETION_INSERTION,
    LABELS_PERMUTED,
    PARAMETERS_RANDOMISED,
)
from tailscope.attribution import ATTRIBUTIONS, Attribution, DeletionInsertion, randomised
from tailscope.core import Advance, ExperimentData, InputError, Progress, digest
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.attributing import method_settings
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens, SoundnessSection
from tailscope.experiment.map_making import Question, maps_of, other_class
from tailscope.experiment.plan import Run
from tailscope.models import Network
from tailscope.training import image_batches

_STAGES = 5  # of a cascade, and of units drawn anew one at a time
_DEAR = 50  # images that pass the network for one map; from here on a method gets fewer pairs and stages
_FEWEST = 4  # pairs of such a method
_COLUMNS = {
    **dict.fromkeys(("run", "image_id", "class", "method", "metric", "layer"), "str"),
    "value": "float64",
    **dict.fromkeys(("reason", "patient"), "str"),
}


@dataclass(frozen=True, eq=False)
class Examined:
    """The network under examination, and the one that learned permuted labels, or None without it."""

    trained: Network
    permuted: Network | None = None


@dataclass(frozen=True, eq=False)
class _Look:
    """One method's maps of the trained network.

    Args:
        name: Of the method.
        question: The method, the network and its pairs, the first of the chosen ones.
        maps: (M, h, w).
        is_cheap: Whether all classes come at the cost of one, and at few passes.
    """

    name: str
    question: Question
    maps: NDArray[np.float32]
    is_cheap: bool

    def of(self, network: Network) -> NDArray[np.float32]:
        """The maps of the same pairs in another network."""
        return maps_of(replace(self.question, network=network))

    def table(self, check: str, stage: str, values: NDArray[np.float64], reasons: NDArray[np.str_]) -> pd.DataFrame:
        """One row per pair; the run is added later."""
        data, (rows, classes) = self.question.data, self.question.pairs.T
        return pd.DataFrame(
            {
                "image_id": data.image_ids[rows],
                "class": np.array(data.classes)[classes],
                "method": self.name,
                "metric": check,
                "layer": stage,
                "value": values,
                "reason": reasons,
                "patient": data.patient_ids[rows],
            }
        )


def measure_soundness(
    folder: ExperimentFolder,
    run: Run,
    examined: Examined,
    data: ExperimentData,
    lens: AlignmentLens,
    progress: Progress,
) -> None:
    """Write the measured values of every check for every method of the lens, one row per pair.

    Up to ``lens.soundness.pairs`` annotated test pairs are looked at, the same in all runs. A method that asks
    class by class, or needs 50 passes or more for a map, gets a quarter of them, one other class, and only the last
    stage of the cascade.

    ``evidence/soundness/part-<run>.parquet`` has the columns run, image_id, class, method, metric (the check), layer
    (the stage of a randomisation, empty otherwise), value, reason and patient. Values are rank correlations with their
    sign; for deletion and insertion, insertion area − deletion area minus the same of random orders.

    Args:
        folder: Where it goes.
        run: The run.
        examined: Its trained network, and that of permuted labels.
        data: The experiment's data.
        lens: Methods; ``layer`` is a name, already found.
        progress: Moves by methods and checks.
    """
    pairs = chosen_pairs(data, (lens.soundness or SoundnessSection()).pairs)
    tables = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})]
    if len(pairs):
        steps = len(lens.attributions) * (4 + (examined.permuted is not None))
        with progress.task(f"{run.name}: soundness", steps, "checks") as advance:
            tables = list(_measured(_looks(lens, examined.trained, data, pairs, advance), examined, run, advance))
    whole = pd.concat(tables, ignore_index=True).assign(run=run.name)
    write_evidence(folder.evidence("soundness", run.name), whole)


def soundness_values(folder: ExperimentFolder, arms: Mapping[str, str]) -> pd.DataFrame:
    """What was measured on some runs, as :func:`tailscope.alignment.soundness_verdicts` takes it.

    Args:
        folder: The experiment's.
        arms: Name of each run to its arm.

    Returns:
        Columns method, arm, check, stage, value, patient, reason, image_id, class, run.
    """
    table = folder.table("soundness", tuple(arms))
    named = table.rename(columns={"metric": "check", "layer": "stage"})
    named = named.assign(arm=named["run"].map(dict(arms)))
    return named[["method", "arm", "check", "stage", "value", "patient", "reason", "image_id", "class", "run"]]


def chosen_pairs(data: ExperimentData, most: int) -> NDArray[np.int64]:
    """Up to ``most`` annotated test pairs (image row, class index), spread over the classes, in order of preference.

    Each class offers its pairs by a hash of the image id, so that the choice depends on nothing but the data.
    """
    pairs = annotated_test_pairs(data)
    offers = [pairs[pairs[:, 1] == number] for number in np.unique(pairs[:, 1]).tolist()]
    ranked = [sorted(offer.tolist(), key=lambda pair: digest(str(data.image_ids[pair[0]]))) for offer in offers]
    taken = [pair for turn in zip_longest(*ranked) for pair in turn if pair is not None]
    return np.array(taken[:most], dtype=np.int64).reshape(-1, 2)


def _looks(
    lens: AlignmentLens, network: Network, data: ExperimentData, pairs: NDArray[np.int64], advance: Advance
) -> list[_Look]:
    looks = []
    for section in lens.attributions:
        method: Attribution = ATTRIBUTIONS.build(section.name, **method_settings(section, lens.layer))
        question = Question(method, network, data, pairs, lens.batch_size)
        is_cheap = method.shares_passes and _passes(replace(question, pairs=pairs[:1])) < _DEAR
        if not is_cheap:
            question = replace(question, pairs=pairs[: max(_FEWEST, len(pairs) // 4)])
        looks.append(_Look(section.name, question, maps_of(question), is_cheap))
        advance(1)
    return looks


def _passes(question: Question) -> int:
    """How many images pass the network for the maps of a question; counted, as a time would differ between machines."""
    count = 0

    def see(_: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal count
        count += len(given[0]) if given else 0

    hook = question.network.module.register_forward_pre_hook(see)
    try:
        maps_of(question)
    finally:
        hook.remove()
    return count


def _measured(looks: list[_Look], examined: Examined, run: Run, advance: Advance) -> Iterator[pd.DataFrame]:
    for look in looks:
        yield look.table(CLASSES_DIFFER, "", *_classes_differ(look))
        advance(1)
    yield from _parameters_randomised(looks, examined.trained, run.seed)
    advance(len(looks))
    if examined.permuted is not None:
        for look in looks:
            yield look.table(LABELS_PERMUTED, "", *_like(look, examined.permuted))
            advance(1)
    null = _null(max(looks, key=lambda look: len(look.maps)).question)
    for look in looks:
        yield look.table(DELETION_INSERTION, "", *_gain(look, null))
        advance(1)
    for one, other in permutations(looks, 2):
        count = min(len(one.maps), len(other.maps))
        few = replace(one, question=replace(one.question, pairs=one.question.pairs[:count]))
        yield few.table(f"{AGREEMENT}{other.name}", "", *likeness(one.maps[:count], other.maps[:count]))


def _classes_differ(look: _Look) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """The pair's map against those of two other classes, or of one where a map is dear."""
    question = look.question
    count = len(question.data.classes)
    others = [other_class(question.data, question.pairs)] if count > 1 else []
    if count > 2 and look.is_cheap:
        own, first = question.pairs[:, 1], others[0][:, 1]
        second = (first + 1) % count
        second = np.where(second == own, (second + 1) % count, second)
        others.append(np.stack([question.pairs[:, 0], second], axis=1))
    if not others:
        return class_likeness(look.maps[:, None])
    asked = maps_of(replace(question, pairs=np.concatenate(others)))
    return class_likeness(np.stack([look.maps, *np.split(asked, len(others))], axis=1))


def _parameters_randomised(looks: list[_Look], network: Network, seed: int) -> Iterator[pd.DataFrame]:
    """Cascade and single units for methods that are cheap; for the others all weights at once."""
    cheap = [look for look in looks if look.is_cheap]
    stages = _STAGES if cheap else 1
    before = None
    for name, module in randomised(network.module, stages=stages, seed=seed):
        if before is not None:
            yield from _stage(cheap, f"cascading: {before[0]}", before[1])
        before = name, replace(network, module=module)
    if before is not None:
        yield from _stage(looks, ALL_WEIGHTS, before[1])
    if cheap:
        for name, module in randomised(network.module, scheme="independent", stages=_STAGES, seed=seed):
            yield from _stage(cheap, f"independent: {name}", replace(network, module=module))


def _stage(looks: list[_Look], stage: str, network: Network) -> Iterator[pd.DataFrame]:
    for look in looks:
        yield look.table(PARAMETERS_RANDOMISED, stage, *_like(look, network))


def _like(look: _Look, network: Network) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """The trained network's maps against another's, which may be no network that can be explained.

    Where only the other's map says nothing, the two have nothing in common: 0, and not a pair to be dropped.
    """
    try:
        others = look.of(network)
        values, reasons = likeness(look.maps, others)
        vanished = degenerate_maps(others) & ~degenerate_maps(look.maps) & np.isnan(values)
        return np.where(vanished, 0.0, values), np.where(vanished, "", reasons)
    except InputError as error:
        count = len(look.maps)
        return np.full(count, np.nan), np.full(count, str(error).split(";")[0])


def _null(question: Question) -> NDArray[np.float64]:
    """(M,) gain of random orders; NaN where undefined."""
    return _over_batches(question, None)[0]


def _gain(look: _Look, null: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    values, reasons = _over_batches(look.question, look.maps)
    return values - null[: len(values)], reasons


def _over_batches(question: Question, maps: NDArray[np.float32] | None) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """(M,) gain and reasons of the pairs, in the order of the maps, or of random orders without them."""
    test = DeletionInsertion(steps=10, batch_size=question.batch_size)
    rows, classes = question.pairs.T
    values: list[NDArray[np.float64]] = []
    reasons: list[str] = []
    for places, images in image_batches(question.network, question.data.pixels, rows, question.batch_size):
        module, asked = question.network.module, classes[places].tolist()
        if maps is None:
            curves = test.random_order(module, images, asked)
        else:
            curves = test(module, images, asked, torch.from_numpy(maps[places]))
        values.append(curves.gain.numpy())
        reasons += curves.reasons
    return np.concatenate(values), np.array(reasons, dtype=np.str_)
