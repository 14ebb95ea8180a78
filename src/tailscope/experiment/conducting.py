"""Conduct an experiment: prepare, train, look, compare, report; each stage is skipped when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tailscope.core import InputError, Progress, SilentProgress, folder_lock
from tailscope.experiment.comparing import Comparison, comparison_settings
from tailscope.experiment.concluding import conclude
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import CHECKPOINTS, make_run
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.label_views import by_labels, labels_of, view_runs
from tailscope.experiment.looking import Looking
from tailscope.experiment.other_tests import OtherTestSet, conduct_other_test, open_other_test, prepare_other_tests
from tailscope.experiment.permuted import permuted_folder, permuted_run, wants_permuted
from tailscope.experiment.plan import Run, is_fitted, planned_runs
from tailscope.experiment.preparing import Prepared, open_folder, prepare_experiment
from tailscope.experiment.previewing import require_sound
from tailscope.experiment.reading import load_config, require_folder, validate_config
from tailscope.experiment.result import ExperimentResult
from tailscope.experiment.roles import roles_of
from tailscope.experiment.timing import Timings
from tailscope.experiment.tuning import Search, tuned_treatments
from tailscope.report import ReportContent, headline, told_elsewhere, write_report
from tailscope.training import remove_state


def run(
    configuration: str | Path | dict[str, Any] | ExperimentConfig,
    out: str | Path | None = None,
    *,
    overrides: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> ExperimentResult:
    """Take an experiment from images to its report; what is done already is not done again.

    Args:
        configuration: A YAML file, its content as plain values, or a validated configuration.
        out: The experiment's folder, by default ``./<name>``.
        overrides: ``key.key=value`` each, for a YAML file.
        progress: Where progress goes; silent by default.

    Returns:
        The findings, tables and paths.

    Raises:
        InputError: The configuration, the data or the folder is wrong; raised before any training.
        TrainingError: Training failed.
        LockedError: Another process works in the folder.
    """
    config = read_configuration(configuration, overrides)
    folder = ExperimentFolder(Path(out) if out is not None else Path(config.name))
    with folder_lock(folder.path):
        return _conduct(config, folder, progress or SilentProgress())


def read_configuration(
    configuration: str | Path | dict[str, Any] | ExperimentConfig, overrides: tuple[str, ...] = ()
) -> ExperimentConfig:
    """A validated configuration from any of its forms."""
    if isinstance(configuration, ExperimentConfig):
        return configuration
    if isinstance(configuration, dict):
        return validate_config(configuration)
    return load_config(Path(configuration), overrides)


def rewrite_report(path: Path, progress: Progress | None = None) -> ExperimentResult:
    """Compare again and write the page again; trains nothing.

    Raises:
        InputError: The folder is no experiment, or a run of it is not finished.
    """
    with _finished(path) as (config, folder):
        return _conduct(config, folder, progress or SilentProgress(), may_train=False)


def read_content(path: Path, progress: Progress | None = None) -> ReportContent:
    """All that the page of a finished experiment shows; compares again where needed, trains nothing.

    Raises:
        InputError: As :func:`rewrite_report`.
    """
    with _finished(path) as (config, folder):
        return _content(config, folder, progress or SilentProgress(), may_train=False)[0]


@contextmanager
def _finished(path: Path) -> Iterator[tuple[ExperimentConfig, ExperimentFolder]]:
    """The configuration of a folder that is held meanwhile."""
    folder = ExperimentFolder(require_folder(path))
    config = load_config(folder.config)
    with folder_lock(folder.path):
        yield config, folder


def _conduct(
    config: ExperimentConfig, folder: ExperimentFolder, progress: Progress, *, may_train: bool = True
) -> ExperimentResult:
    content, comparison = _content(config, folder, progress, may_train=may_train)
    with Timings(folder.timings).stage("report"):
        write_report(folder.report, content)
    pages = {other.title: folder.other_test(other.title).report for other in config.test_on}
    return ExperimentResult(folder.path, comparison.findings, comparison.hidden, _sentences(content), pages)


def _content(
    config: ExperimentConfig, folder: ExperimentFolder, progress: Progress, *, may_train: bool
) -> tuple[ReportContent, Comparison]:
    """Do all that is not done yet, and gather what the page shows."""
    timings = Timings(folder.timings)
    with timings.stage("data"):
        prepared, others = _opened(config, folder, progress)
    if config.tune is not None:
        if may_train and Search(config, prepared.data, folder).missing():
            require_sound(config, prepared.data, config.arms, progress)
        with timings.stage("tuning"):
            arms = tuned_treatments(config, prepared.data, folder, progress, may_train=may_train)
        config = config.model_copy(update={"treatments": arms})
        prepared = replace(prepared, config=prepared.config.model_copy(update={"treatments": arms}))
    roles = roles_of(config, prepared.data.counts)
    viewed = view_runs(config, prepared.further, roles)
    own = planned_runs(config, prepared.data)
    runs = (*own, *viewed)
    unfinished = [one for one in runs if not is_fitted(folder, one)]
    if not may_train:
        _require_finished(folder, prepared, unfinished, len(runs))
    if unfinished:
        for labels, trained in by_labels(config, prepared.data, prepared.further, unfinished):
            require_sound(config, labels, trained, progress)
    networks = {*roles.compared, *(one.arm for one in viewed)}
    looked = tuple(one for one in runs if one.arm in networks)
    looking = Looking(folder, prepared, looked, timings, progress)
    looking.at_references()
    for number, one in enumerate(runs, 1):
        progress.say(f"run {number} of {len(runs)}: {one.name}{' (done)' if is_fitted(folder, one) else ''}")
        with timings.stage("training"):
            if is_fitted(folder, one):
                remove_state(folder.run(one.name) / CHECKPOINTS)  # a kill right after the record leaves it behind
            else:
                labels = labels_of(config, prepared.data, prepared.further, one.arm)
                make_run(folder, config, labels, one, progress)
        looking.at(one, has_network=one.arm in networks)
    # Further label views are compared at home only.
    elsewhere = tuple(_tested_elsewhere(other, config, own, progress) for other in others)
    content, comparison = conclude(folder, prepared, runs, roles, progress)
    return replace(content, elsewhere=elsewhere), comparison


def _opened(
    config: ExperimentConfig, folder: ExperimentFolder, progress: Progress
) -> tuple[Prepared, tuple[OtherTestSet, ...]]:
    """All data, checked before anything is written, and the folders that they are looked at in."""
    prepared = prepare_experiment(config, folder, progress)
    others = prepare_other_tests(prepared, folder, progress)
    told = [("note", prepared.notes), *((f"note on {other.title}", other.prepared.notes) for other in others)]
    for kind, notes in told:
        for note in notes:
            progress.say(f"{kind}: {note}")
    open_folder(prepared, config, folder, comparison_settings(config.compare))
    for other in others:
        open_other_test(other)
    return prepared, others


def _tested_elsewhere(
    other: OtherTestSet, config: ExperimentConfig, runs: tuple[Run, ...], progress: Progress
) -> ReportContent:
    """All that was found on a further data set, with its page written."""
    content = conduct_other_test(other, config, runs, progress)
    with Timings(other.folder.timings).stage("report"):
        write_report(other.folder.report, content)
    return content


def _require_finished(folder: ExperimentFolder, prepared: Prepared, unfinished: list[Run], count: int) -> None:
    """Refuse a folder in which something would have to be trained."""
    how = f"finish them: tailscope run {folder.config} --out {folder.path}"
    if unfinished:
        raise InputError(
            f"{len(unfinished)} of {count} runs are not finished, the first is {unfinished[0].name}; {how}"
        )
    if wants_permuted(prepared.config, prepared.data):
        permuted = permuted_run(prepared.config, prepared.data)
        if not is_fitted(permuted_folder(folder), permuted):
            raise InputError(f"the training on permuted labels, {permuted.name}, is not finished; {how}")


def _sentences(content: ReportContent) -> tuple[str, ...]:
    """What was found, as on the page."""
    told = (claim.text for claim in headline(content, content.statistics.false_alarms))
    return (*told, *(paragraph.text for paragraph in told_elsewhere(content)))
