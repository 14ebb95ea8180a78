"""The network that learned permuted labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tailscope.core import InputError, SilentProgress
from tailscope.experiment.conducting import rewrite_report
from tailscope.experiment.fitting import trained_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.permuted import permuted_data, permuted_folder, permuted_network, permuted_run
from tailscope.experiment.plan import is_fitted, planned_runs
from tailscope.experiment.preparing import Prepared, prepare_experiment
from tailscope.experiment.reading import load_config


@pytest.fixture(scope="module")
def prepared(finished) -> Prepared:
    folder = ExperimentFolder(finished.path)
    return prepare_experiment(load_config(folder.config), folder, SilentProgress())


@pytest.fixture(scope="module")
def trained(finished, prepared, tmp_path_factory) -> tuple[ExperimentFolder, torch.nn.Module]:
    """A copy of the finished experiment in which the network was trained anew."""
    copied = shutil.copytree(finished.path, tmp_path_factory.mktemp("permuted") / "copy")
    shutil.rmtree(copied / "soundness", ignore_errors=True)
    folder = ExperimentFolder(Path(copied))
    return folder, permuted_network(folder, prepared.config, prepared.data, SilentProgress()).module


def record(folder: ExperimentFolder, run: str) -> dict:
    return json.loads((folder.run(run) / "run.json").read_text())


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_are_permuted_among_the_images_of_a_split(prepared, split) -> None:
    data = prepared.data
    changed, rows = permuted_data(data, 0), data.rows(split)
    before, after = data.targets[rows].tolist(), changed.targets[rows].tolist()
    assert before != after
    assert sorted(before) == sorted(after)


def test_counts_stay_and_the_test_split_is_left(prepared) -> None:
    data, changed = prepared.data, permuted_data(prepared.data, 0)
    assert changed.counts == data.counts
    rows = data.rows("test")
    np.testing.assert_array_equal(changed.targets[rows], data.targets[rows])


def test_the_permutation_is_a_function_of_the_seed_and_has_its_own_fingerprint(prepared) -> None:
    data = prepared.data
    one, same, other = (permuted_data(data, seed).targets for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert permuted_data(data, 0).fingerprint != data.fingerprint


def test_it_is_no_run_of_the_experiment(prepared, trained) -> None:
    folder, _ = trained
    own = [run.name for run in planned_runs(prepared.config, prepared.data)]
    assert sorted(path.name for path in (folder.path / "runs").iterdir()) == sorted(own)
    run = permuted_run(prepared.config, prepared.data)
    assert [path.name for path in permuted_folder(folder).path.glob("runs/*")] == [run.name]
    assert run.name not in own
    assert is_fitted(permuted_folder(folder), run)


def test_it_differs_from_control_by_the_labels_alone(prepared, trained) -> None:
    folder, module = trained
    control = planned_runs(prepared.config, prepared.data)[0]
    true = record(folder, control.name)
    permuted = record(permuted_folder(folder), permuted_run(prepared.config, prepared.data).name)
    for key in ("arm", "seed", "initial_weights", "batch_order", "lr", "treatment"):
        assert permuted[key] == true[key]
    ours = trained_network(folder, prepared.config, prepared.data, control).module.state_dict()
    assert not all(torch.equal(value, ours[name]) for name, value in module.state_dict().items())


def test_it_is_trained_once(prepared, trained) -> None:
    folder, module = trained
    place = permuted_folder(folder).run(permuted_run(prepared.config, prepared.data).name)
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    again = permuted_network(folder, prepared.config, prepared.data, SilentProgress()).module
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in module.state_dict().items())


def test_nothing_of_the_training_state_is_left(trained) -> None:
    folder, _ = trained
    assert not list(permuted_folder(folder).path.rglob("checkpoints/*"))


def test_a_report_never_trains_the_network_of_permuted_labels(finished, tmp_path):
    copied = shutil.copytree(finished.path, tmp_path / "copy")
    rewrite_report(copied)
    shutil.rmtree(copied / "soundness")
    with pytest.raises(InputError, match=r"training on permuted labels, permuted-control-s0-\w+, is not finished"):
        rewrite_report(copied)
    assert not (copied / "soundness").exists()
