"""Every run tested on further data sets: the same networks, all lenses, other images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailscope.core import (
    ExperimentData,
    InputError,
    MismatchError,
    Progress,
    canonical_json,
    group_note,
    read_json,
    write_json,
)
from tailscope.data import DATASETS, TrainingSet, prepare_test
from tailscope.data.preparation import content_digests
from tailscope.experiment.comparing import comparison_settings
from tailscope.experiment.concluding import conclude
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.confounders import OUTSIDE_BODY, extra_masks
from tailscope.experiment.data_config import OtherTestSection
from tailscope.experiment.fitting import predict_elsewhere
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.lens_config import Lenses
from tailscope.experiment.looking import Looking
from tailscope.experiment.plan import Run
from tailscope.experiment.plan_history import freeze_plan
from tailscope.experiment.preparing import Prepared, cautions, open_dataset, steps, write_data_tables
from tailscope.experiment.provenance import provenance
from tailscope.experiment.roles import roles_of
from tailscope.experiment.subgroup_columns import subgroup_columns
from tailscope.experiment.timing import Timings
from tailscope.experiment.training_lists import training_list_notes
from tailscope.report import ReportContent


@dataclass(frozen=True)
class OtherTestSet:
    """A further data set, ready to be tested on.

    Args:
        title: Its name.
        folder: Where its predictions, evidence and page go.
        prepared: The experiment's configuration, and its data with this set as the test split.
    """

    title: str
    folder: ExperimentFolder
    prepared: Prepared


def prepare_other_tests(prepared: Prepared, folder: ExperimentFolder, progress: Progress) -> tuple[OtherTestSet, ...]:
    """Read every further data set, and check all that testing would stumble over; nothing is written.

    Args:
        prepared: The experiment.
        folder: Of the experiment.
        progress: Moves by images.

    Raises:
        DataError: Files, labels or classes of a further set are wrong.
        LeakageError: It holds images or patients that the networks are trained with.
    """
    config = prepared.config
    if not config.test_on:
        return ()
    cache = config.data.cache or folder.cache
    dataset = open_dataset(config)
    content = content_digests(dataset, cache)
    first = TrainingSet(prepared.data, config.data.view(), content, is_read=dataset.is_read)
    return tuple(_prepared(section, prepared, (first, cache), folder, progress) for section in config.test_on)


def open_other_test(test: OtherTestSet) -> None:
    """Write configuration, tables and provenance, or refuse a folder in which something else was tested.

    Raises:
        MismatchError: The folder holds numbers of other images or of other label policies.
    """
    folder, prepared = test.folder, test.prepared
    record, now = folder.path / "identity.json", _identity(prepared)
    if record.exists() and canonical_json(read_json(record)) != canonical_json(now):
        raise MismatchError(
            f"{folder.path} holds a test on other images, or with other policies for their labels; give the entry of "
            "`test_on` another `name`, or delete that folder"
        )
    write_json(record, now)
    write_data_tables(prepared.data, folder)
    freeze_plan(folder, provenance(prepared.config, prepared.data, comparison_settings(prepared.config.compare)))


def conduct_other_test(
    test: OtherTestSet, config: ExperimentConfig, runs: tuple[Run, ...], progress: Progress
) -> ReportContent:
    """Predict, look and compare on a further data set; what is done already is not done again.

    Args:
        test: The set.
        config: The experiment's, with the values of a search if there was one.
        runs: All runs of the experiment, finished.
        progress: Who watches.
    """
    folder = test.folder
    changed = {"treatments": config.treatments}
    prepared = replace(test.prepared, config=test.prepared.config.model_copy(update=changed))
    roles, timings = roles_of(prepared.config, prepared.data.counts), Timings(folder.timings)
    looked = tuple(run for run in runs if run.arm in roles.compared)
    looking = Looking(folder, prepared, looked, timings, progress)
    progress.say(f"testing on {test.title}: {prepared.data.rows('test').size:,} images")
    looking.at_references()
    for run in runs:
        if not folder.predictions(run.name).exists():
            with timings.stage("predictions"):
                predict_elsewhere(folder, prepared.config, prepared.data, run)
        looking.at(run, has_network=run.arm in roles.compared)
    return conclude(folder, prepared, runs, roles, progress)[0]


def _prepared(
    section: OtherTestSection,
    prepared: Prepared,
    trained: tuple[TrainingSet, Path],
    folder: ExperimentFolder,
    progress: Progress,
) -> OtherTestSet:
    first, cache = trained
    source = DATASETS.build(section.source, **section.args)
    dataset = source(section.root)
    of_one_set = section.source == prepared.config.data.source and not getattr(source, "is_format", True)
    first = replace(first, shares_patients=of_one_set)
    with progress.task(f"reading images of {section.title}", len(dataset.images)) as advance:
        data = prepare_test(dataset, section.other_test(), first, cache, steps(advance))
    lenses, left_out = lenses_for(data, prepared.config.lenses)
    changes = {
        "name": f"{prepared.config.name} on {section.title}",
        "lenses": lenses,
        "test_on": (section,),
        "label_views": None,
    }
    config = prepared.config.model_copy(update=changes)
    seen = training_list_notes(prepared.config, data)
    told = (*data.notes, *seen, *left_out, *cautions(config, data), group_note(data.counts.prevalences))
    notes = tuple(note for note in told if note)
    there = replace(prepared, config=config, data=data, notes=notes, tested_on=section.title, further={})
    return OtherTestSet(section.title, folder.other_test(section.title), there)


def lenses_for(data: ExperimentData, lenses: Lenses) -> tuple[Lenses, list[str]]:
    """The lenses without what the configuration names and this set does not have, and a note of each."""
    notes: list[str] = []
    changes: dict[str, Any] = {}
    asked = lenses.performance.subgroups
    if asked is not None:
        kept = tuple(name for name in asked if _makes_subgroups(data, name))
        notes += [f"{name!r} makes no subgroups of these images" for name in asked if name not in kept]
        changes["performance"] = lenses.performance.model_copy(update={"subgroups": kept})
    alignment = lenses.alignment
    shortcuts = None if alignment is None else alignment.shortcuts
    if alignment is not None and shortcuts is not None and shortcuts.confounders is not None:
        known = (*extra_masks(data), OUTSIDE_BODY)
        there = tuple(name for name in shortcuts.confounders if name in known)
        notes += [f"{name!r} is no extra mask of these images" for name in shortcuts.confounders if name not in there]
        shown = shortcuts.model_copy(update={"confounders": there})
        changes["alignment"] = alignment.model_copy(update={"shortcuts": shown})
    return lenses.model_copy(update=changes), notes


def _makes_subgroups(data: ExperimentData, name: str) -> bool:
    try:
        subgroup_columns(data, (name,))
    except InputError:
        return False
    return True


def _identity(prepared: Prepared) -> dict[str, Any]:
    """What all numbers of a further test set depend on, beside the runs."""
    (section,) = prepared.config.test_on
    view = section.model_dump(mode="json", exclude={"root", "name"})
    return {"test_on": view, "fingerprint": prepared.data.fingerprint}
