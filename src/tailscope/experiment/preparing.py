"""All that can be wrong is found here, before any training: data, counts, treatments, layers, the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import yaml

from tailscope.core import (
    Advance,
    DataError,
    Dataset,
    ExperimentData,
    InputError,
    MismatchError,
    Progress,
    canonical_json,
    class_groups,
    group_note,
    read_json,
    write_json,
    write_table,
    write_text,
)
from tailscope.data import DATASETS, prepare
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.attributing import metric_name
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.confounders import confounders_of
from tailscope.experiment.fitting import fresh_network, require_checkpoints
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.label_views import data_by_view, view_problems
from tailscope.experiment.lens_layers import find_layers, with_layers
from tailscope.experiment.plan import folder_identity
from tailscope.experiment.plan_history import freeze_plan
from tailscope.experiment.preconditions import treatment_problems
from tailscope.experiment.provenance import provenance
from tailscope.experiment.reading import config_yaml
from tailscope.experiment.roles import roles_of
from tailscope.experiment.subgroup_columns import subgroup_columns
from tailscope.experiment.training_lists import training_list_notes
from tailscope.experiment.tuning import search_problems
from tailscope.models import Layer, Network
from tailscope.stats import ComparisonSettings
from tailscope.training import require_score


@dataclass(frozen=True)
class Prepared:
    """An experiment that may begin.

    Args:
        config: The configuration; layers of the lenses are names, found in the network.
        data: Images, targets, split.
        layers: Lens to the layers that it looks at.
        notes: What the user should know before reading a number, one sentence each.
        tested_on: Name of the data set of the test split, where it is not that of the training images.
        further: Label views beyond the first to the data with their labels; ``data`` has those of the first.
    """

    config: ExperimentConfig
    data: ExperimentData
    layers: dict[str, tuple[Layer, ...]]
    notes: tuple[str, ...]
    tested_on: str = ""
    further: Mapping[str, ExperimentData] = field(default_factory=dict)


def open_dataset(config: ExperimentConfig) -> Dataset:
    """The tables of the configured source."""
    return DATASETS.build(config.data.source, **config.data.args)(config.data.root)


def prepare_experiment(config: ExperimentConfig, folder: ExperimentFolder, progress: Progress) -> Prepared:
    """Read the data, decode the cache, and check everything that training would stumble over.

    Raises:
        DataError: Files, labels, annotations, split or counts.
        LeakageError: Test images stand on the training list of a brought checkpoint.
        InputError: A treatment that the counts forbid, an unknown layer.
    """
    dataset = open_dataset(config)
    with progress.task("reading images", len(dataset.images)) as advance:
        data = prepare(dataset, config.data.view(), config.data.cache or folder.cache, steps(advance))
    seen = training_list_notes(config, data)
    data, further = data_by_view(config, dataset, data)
    network = fresh_network(config, data, config.seeds[0])
    _require_counts(config, data, folder, network)
    if problems := view_problems(config, further, network):
        raise DataError(problems)
    _require_confounders(config, data)
    subgroup_columns(data, config.lenses.performance.subgroups)  # refuses a name that makes no subgroups
    shape = tuple(network.preprocessing(data.pixels[:1]).shape)
    layers, coarse = find_layers(config, network, shape)
    grouping = [group_note(data.counts.prevalences)]
    notes = tuple(note for note in (*data.notes, *seen, *cautions(config, data), *grouping, *coarse) if note)
    return Prepared(with_layers(config, layers), data, layers, notes, further=further)


def open_folder(
    prepared: Prepared, asked: ExperimentConfig, folder: ExperimentFolder, plan: ComparisonSettings
) -> None:
    """Write the configuration, the tables and the provenance, or refuse a folder of another experiment.

    Raises:
        MismatchError: The folder holds results for other data, another model or another training.
    """
    require_same_experiment(prepared, asked, folder)
    write_json(folder.path / "identity.json", folder_identity(asked, prepared.data))
    write_text(folder.config, config_yaml(asked))
    write_data_tables(prepared.data, folder)
    freeze_plan(folder, provenance(asked, prepared.data, plan))


def require_same_experiment(prepared: Prepared, asked: ExperimentConfig, folder: ExperimentFolder) -> None:
    """Refuse a folder of another experiment.

    Raises:
        MismatchError: The folder holds results for other data, another model or another training.
    """
    record = folder.path / "identity.json"
    if record.exists():
        _require_same(read_json(record), folder_identity(asked, prepared.data), folder)
        require_checkpoints(folder, asked)


def class_table(data: ExperimentData) -> pd.DataFrame:
    """Counts per class and split, prevalence and group; head first."""
    counts = data.counts
    table = pd.DataFrame({"class": data.classes, "prevalence": counts.prevalences})
    table["group"] = list(class_groups(counts.prevalences))
    for split in ("train", "val", "test"):
        targets = data.targets[data.rows(split)]
        table[f"{split}_positives"] = (targets == 1).sum(axis=0)
        table[f"{split}_negatives"] = (targets == 0).sum(axis=0)
    table["unknown"] = np.isnan(data.targets).sum(axis=0)
    pairs = data.annotated.reshape(-1, 2)
    in_test = pairs[data.split[pairs[:, 0]] == "test", 1]
    table["annotated_test"] = np.bincount(in_test, minlength=len(data.classes))
    return table.sort_values(["prevalence", "class"], ascending=[False, True], ignore_index=True)


def cautions(config: ExperimentConfig, data: ExperimentData) -> list[str]:
    """What an experiment with these data cannot say, one sentence each."""
    told = []
    if not data.patients_known and not any("cluster" in note for note in data.notes):
        told.append("no patient is known: every image is its own cluster, so intervals may be too narrow")
    looks = [name for name in ("alignment", "dissection") if getattr(config.lenses, name) is not None]
    if looks and not len(annotated_test_pairs(data)):
        told.append(f"no positive test image is annotated, so {' and '.join(looks)} have nothing to look at")
    lens = config.lenses.alignment
    if lens is not None:
        names = {metric_name(method.name, metric.key) for method, metric in lens.pairs()}
        if not names & set(ComparisonSettings().primary):
            told.append("alignment has no primary metric (Grad-CAM's mass_inside), so all of it is exploratory")
    return told


def steps(advance: Advance) -> Callable[[int, int], None]:
    """A callback that takes (done, total) and moves a bar by what is new."""
    before = 0

    def progress(done: int, _: int) -> None:
        nonlocal before
        advance(done - before)
        before = done

    return progress


def _require_counts(config: ExperimentConfig, data: ExperimentData, folder: ExperimentFolder, network: Network) -> None:
    problems = []
    for split in ("train", "val", "test"):
        if not data.rows(split).size:
            problems.append(f"the {split} split holds no image; change `data.split`")
    try:
        require_score(data.targets[data.rows("val")])
    except InputError as error:
        problems.append(str(error))
    for arm in config.arms:
        problems += [f"arm {arm!r}: {problem}" for problem in treatment_problems(config, data, arm, network)]
    if not problems:
        roles_of(config, data.counts)
        problems += search_problems(config, data, folder, network)
    if problems:
        raise DataError(problems)


def _require_confounders(config: ExperimentConfig, data: ExperimentData) -> None:
    lens = config.lenses.alignment
    if lens is not None and lens.shortcuts is not None:
        confounders_of(data, lens.shortcuts)


def _require_same(before: dict[str, object], now: dict[str, object], folder: ExperimentFolder) -> None:
    changed = [key for key in now if canonical_json(before.get(key)) != canonical_json(now[key])]
    if changed == ["tune"] and now["tune"] is None:
        raise MismatchError(
            f"{folder.path} holds an experiment whose arms are searched; go on with --tune (or the same `tune` "
            "section), or choose another --out"
        )
    if changed:
        raise MismatchError(
            f"{folder.path} holds an experiment with other {', '.join(changed)}; added arms, seeds and lenses extend a "
            "folder, anything else needs another --out (or delete the folder)"
        )


def write_data_tables(data: ExperimentData, folder: ExperimentFolder) -> None:
    """Write the tables of images, splits, labels, annotations and counts."""
    base = pd.DataFrame({"image_id": data.image_ids, "patient_id": data.patient_ids})
    write_table(folder.data("images"), base)
    write_table(folder.data("split"), base.assign(split=data.split))
    targets = pd.DataFrame(data.targets, columns=list(data.classes)).assign(image_id=data.image_ids)
    write_table(folder.data("labels"), targets.melt(id_vars="image_id", var_name="class", value_name="target"))
    write_table(folder.data("annotations"), data.annotations)
    write_table(folder.data("class_counts"), class_table(data))


def read_config(folder: ExperimentFolder) -> dict[str, object]:
    """The resolved configuration of an experiment folder, as plain values."""
    content: dict[str, object] = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    return content
