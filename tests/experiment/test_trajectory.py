"""The epochs that a run keeps, and the lenses on them."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import kept_scene
import numpy as np
import pandas as pd
import pytest
import torch
from experiment_content import small_content
from sklearn.metrics import average_precision_score, roc_auc_score

from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import ConfigurationError, ExperimentData, InputError, MismatchError, SilentProgress
from tailscope.dissection import CrossFit, DissectionSettings, dissect
from tailscope.experiment import permuted as permuted_module
from tailscope.experiment import trajectory as trajectory_module
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.concept_images import concept_images
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import kept_network, make_run, read_record, require_checkpoints, trained_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.permuted import permuted_network
from tailscope.experiment.plan import Run, folder_identity, planned_runs, run_hash
from tailscope.experiment.preparing import Prepared, prepare_experiment
from tailscope.experiment.reading import validate_config
from tailscope.experiment.trajectory import first_epochs, measure_trajectory, trajectory_table
from tailscope.experiment.trial_runs import trial_config
from tailscope.experiment.trials import Trial
from tailscope.models import frozen_eval, tap
from tailscope.training import loop as loop_module

TRAINING = {"epochs": 2, "batch_size": 32, "lr": 3e-3, "keep_checkpoints": [1, "last"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> ExperimentFolder:
    """Trained once, with its trajectory; tests must not change it."""
    return ExperimentFolder(tmp_path_factory.mktemp("kept") / "kept")


@pytest.fixture(scope="module")
def prepared(folder) -> Prepared:
    config = validate_config(small_content(treatments=["control", "temperature"], training=TRAINING))
    return prepare_experiment(config, folder, SilentProgress())


@pytest.fixture(scope="module")
def runs(folder, prepared) -> tuple[Run, ...]:
    """Control, and an arm that takes over its weights."""
    planned = planned_runs(prepared.config, prepared.data)
    for run in planned:
        make_run(folder, prepared.config, prepared.data, run, SilentProgress())
    return planned


@pytest.fixture(scope="module")
def table(folder, prepared, runs) -> pd.DataFrame:
    pairs = AnnotatedPairs.of(prepared.data)
    measure_trajectory(folder, prepared.config, runs[0], pairs, SilentProgress())
    return trajectory_table(folder, runs[:1])


def keeping(config: ExperimentConfig, *epochs: int | str) -> ExperimentConfig:
    return config.model_copy(update={"training": replace(config.training, keep_checkpoints=epochs)})


def kept_files(folder: ExperimentFolder, run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder.run(run.name) / "checkpoints").iterdir()}


def selected(folder: ExperimentFolder, run: Run) -> int:
    """The epoch whose weights the run has, counted from 1."""
    return read_record(folder, run)["selected_epoch"] + 1


def values(table: pd.DataFrame, epoch: int, metric: str) -> dict[str, float]:
    part = table[(table["epoch"] == epoch) & (table["metric"] == metric)]
    return dict(zip(part["class"], part["value"], strict=True))


def test_a_finished_run_holds_the_epochs_that_were_asked_for_and_no_state(folder, runs):
    assert sorted(kept_files(folder, runs[0])) == ["epoch-001.safetensors", "epoch-002.safetensors"]


def test_the_weights_of_the_selected_epoch_are_those_of_the_run(folder, prepared, runs):
    one = trained_network(folder, prepared.config, prepared.data, runs[0]).module.state_dict()
    for epoch in (1, 2):
        other = kept_network(folder, prepared.config, prepared.data, runs[0], epoch).module.state_dict()
        equal = all(torch.equal(one[name], other[name]) for name in one)
        assert equal == (epoch == selected(folder, runs[0]))


def test_an_arm_that_takes_over_weights_takes_over_the_epochs(folder, runs):
    assert read_record(folder, runs[1])["weights_from"] == runs[0].name
    assert kept_files(folder, runs[1]) == kept_files(folder, runs[0])


def test_a_run_killed_in_the_middle_keeps_the_same_bytes(folder, prepared, runs, tmp_path, monkeypatch):
    saved, other = loop_module.save_state, ExperimentFolder(tmp_path)

    def stop(place, state, parts):
        saved(place, state, parts)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            make_run(other, prepared.config, prepared.data, runs[0], SilentProgress())
    assert sorted(kept_files(other, runs[0])) == ["epoch-001.safetensors", "last.pt"]
    make_run(other, prepared.config, prepared.data, runs[0], SilentProgress())
    assert kept_files(other, runs[0]) == kept_files(folder, runs[0])


def test_kept_epochs_name_no_run_anew(prepared):
    plain = keeping(prepared.config)
    assert run_hash(plain, prepared.data, "control", 0) == run_hash(prepared.config, prepared.data, "control", 0)
    assert folder_identity(plain, prepared.data) == folder_identity(prepared.config, prepared.data)
    assert "keep_checkpoints" not in folder_identity(plain, prepared.data)["training"]  # older folders have none


def test_a_finished_run_cannot_be_asked_for_other_epochs(folder, prepared, runs, tmp_path):
    config = keeping(prepared.config, 1, 2)
    require_checkpoints(folder, config)
    require_checkpoints(folder, keeping(prepared.config))
    copied = ExperimentFolder(shutil.copytree(folder.path, tmp_path / "copy"))
    (copied.run(runs[0].name) / "checkpoints" / "epoch-001.safetensors").unlink()
    with pytest.raises(MismatchError) as caught:
        require_checkpoints(copied, config)
    message = str(caught.value)
    assert "`training.keep_checkpoints` asks for the weights after epoch 1;" in message
    assert f"{copied.run(runs[0].name)} has trained 2 epochs and kept 2," in message
    assert "take these epochs out of `training.keep_checkpoints`" in message


def test_runs_of_arms_that_are_not_asked_for_are_not_held_against_it(folder, prepared, runs, tmp_path):
    copied = ExperimentFolder(shutil.copytree(folder.path, tmp_path / "copy"))
    place = copied.run(runs[1].name)
    shutil.rmtree(place / "checkpoints")
    alone = prepared.config.model_copy(update={"treatments": prepared.config.treatments[:1]})
    require_checkpoints(copied, alone)
    with pytest.raises(MismatchError, match="kept none of them"):
        require_checkpoints(copied, prepared.config)


def test_an_epoch_that_was_not_kept_is_named(folder, prepared, runs):
    with pytest.raises(InputError, match=r"`epoch` must be one of the kept epochs, 1, 2; got 7"):
        kept_network(folder, prepared.config, prepared.data, runs[0], 7)


def test_an_epoch_beyond_the_training_is_a_configuration_error():
    training = {**TRAINING, "keep_checkpoints": [1, 5]}
    with pytest.raises(ConfigurationError, match=r"`training`: `keep_checkpoints` names epoch 5, and `epochs` is 2"):
        validate_config(small_content(training=training))


def test_the_network_of_permuted_labels_keeps_no_epochs(prepared, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(permuted_module, "make_run", lambda place, config, *rest: seen.append(config.training))
    monkeypatch.setattr(permuted_module, "trained_network", lambda *_: None)
    permuted_network(ExperimentFolder(tmp_path), prepared.config, prepared.data, SilentProgress())
    assert [training.keep_checkpoints for training in seen] == [()]


def test_a_trial_of_a_search_keeps_no_epochs_whatever_its_budget():
    config = validate_config(small_content(training=TRAINING, tune={"epochs": 1}))
    assert trial_config(config, "control", Trial(0, 1e-3)).training.keep_checkpoints == ()


def test_the_selected_epoch_ranks_as_the_run_does(folder, runs, table):
    predictions = pd.read_parquet(folder.run(runs[0].name) / "predictions.parquet")
    for name, part in predictions[predictions["split"] == "test"].groupby("class"):
        known = part[part["target"].notna()]
        for metric, oracle in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
            found = values(table, selected(folder, runs[0]), metric)[name]
            assert found == pytest.approx(oracle(known["target"], known["logit"]), abs=1e-12)


def test_units_are_those_of_a_dissection_of_the_kept_network(folder, prepared, runs, table):
    config, data = prepared.config, prepared.data
    network, layer = kept_network(folder, config, data, runs[0], 1), config.lenses.dissection.layer
    with torch.no_grad(), frozen_eval(network.module), tap(network.module, [layer]) as taps:
        network.module(network.preprocessing(data.pixels[data.rows("test")]))
        activations = taps[layer].numpy()
    result = dissect(activations, concept_images(data, confounders=True), DissectionSettings())
    best, detectors = values(table, 1, "best_iou_matched"), values(table, 1, "detectors")
    assert set(best) == set(result.crossfits) > set(data.classes)
    for name, fit in result.crossfits.items():
        assert isinstance(fit, CrossFit)
        assert best[name] == pytest.approx(fit.value, abs=1e-3)  # activations of another batch size
        assert detectors[name] == result.layer["detectors"][name]


def test_mass_inside_is_the_mean_above_other_patients_annotations(folder, prepared, runs, table):
    config, data = prepared.config, prepared.data
    network = kept_network(folder, config, data, runs[0], 2)
    method = ATTRIBUTIONS.build("gradcam", layer=config.lenses.alignment.layer)
    for number, name in enumerate(data.classes):
        rows = [row for row, of in AnnotatedPairs.of(data).table.tolist() if of == number]
        maps = method(network.module, network.preprocessing(data.pixels[rows]), [number])
        masks = np.stack([data.mask(row, name) for row in rows]).astype(np.float64)
        size = masks.shape[1:]
        large = torch.nn.functional.interpolate(maps.double(), size, mode="bilinear", align_corners=False)[:, 0]
        excess = []
        for place, row in enumerate(rows):
            positive = large[place].clamp(min=0).numpy()
            others = [other for other, at in enumerate(rows) if data.patient_ids[at] != data.patient_ids[row]]
            inside = (positive * masks).sum(axis=(1, 2)) / positive.sum() if positive.sum() > 0 else 0 * masks[:, 0, 0]
            excess.append(inside[place] - inside[others].mean())
        assert values(table, 2, "mass_inside")[name] == pytest.approx(np.mean(excess), abs=1e-5)


def test_no_scratch_is_left(folder, table):
    assert not [path for path in folder.path.rglob("*") if "scratch" in path.name]


def test_a_lens_that_is_off_is_left_out(folder, prepared, runs, tmp_path):
    copied = ExperimentFolder(shutil.copytree(folder.path, tmp_path / "copy"))
    lenses = prepared.config.lenses.model_copy(update={"alignment": None, "dissection": None})
    config = keeping(prepared.config.model_copy(update={"lenses": lenses}), 2)
    measure_trajectory(copied, config, runs[0], AnnotatedPairs.of(prepared.data), SilentProgress())
    found = trajectory_table(copied, runs[:1])
    assert set(found["metric"]) == {"auroc", "average_precision"}
    assert set(found["epoch"]) == {2}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> pd.DataFrame:
    """A run that sees the square from its fifth epoch on; before, only its third did."""
    data: ExperimentData = kept_scene.squares()
    layer = {"layer": "units"}
    lenses = {
        "alignment": {**layer, "soundness": None, "shortcuts": None},
        "dissection": layer,
        "representation": layer,
    }
    config = validate_config(small_content(lenses=lenses, training={"epochs": 9}))
    folder, run = ExperimentFolder(tmp_path_factory.mktemp("planted")), Run("control", 0, "control-s0")
    folder.run(run.name).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectory_module, "kept_of", lambda *_: (1, 3, 4, 5, 9))
        patch.setattr(
            trajectory_module, "kept_network", lambda *arguments: kept_scene.network(sees=arguments[-1] in (3, 5, 9))
        )
        measure_trajectory(folder, config, run, AnnotatedPairs.of(data), SilentProgress())
    return trajectory_table(folder, (run,))


def test_a_planted_detector_is_found_in_the_epochs_that_have_it(planted):
    found = {epoch: values(planted, epoch, "detectors")["square"] for epoch in (1, 3, 4, 5, 9)}
    assert found == {1: 0, 3: 1, 4: 0, 5: 1, 9: 1}
    assert (
        values(planted, 1, "best_iou_matched")["square"] < 0.1 < 0.5 < values(planted, 9, "best_iou_matched")["square"]
    )


def test_a_network_that_sees_the_class_ranks_it_and_looks_at_it(planted):
    for metric, low, high in (("auroc", 0.7, 0.99), ("mass_inside", 0.1, 0.5)):
        assert values(planted, 1, metric)["square"] < low < high < values(planted, 9, metric)["square"]


def test_a_class_without_annotation_is_named_and_not_counted_as_zero(planted):
    for metric in ("best_iou_matched", "detectors", "mass_inside"):
        row = planted[(planted["metric"] == metric) & (planted["class"] == "ghost")].iloc[0]
        assert math.isnan(row["value"])
        assert row["reason"] == "no annotated test image"
    assert np.isfinite(values(planted, 1, "auroc")["ghost"])


def test_a_detector_is_there_from_the_epoch_after_which_it_never_goes(planted):
    first = first_epochs(planted).set_index("class")
    assert first.loc["square", ["seeds", "found", "first", "latest", "epoch"]].tolist() == [1, 1, 5, 5, 5]
    assert first.loc["ghost", "reason"] == "no annotated test image"
    assert math.isnan(first.loc["ghost", "epoch"])


def counts(*by_seed: list[float], epochs=(1, 2, 5)) -> pd.DataFrame:
    rows = [
        {"arm": "control", "seed": seed, "epoch": epoch, "class": "mass", "metric": "detectors", "value": value,
         "reason": "" if math.isfinite(value) else "too few patients"}
        for seed, numbers in enumerate(by_seed) for epoch, value in zip(epochs, numbers, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("by_seed", "expected"),
    [
        ([[1, 1, 1], [0, 2, 1], [0, 0, 3]], [3, 3, 1, 5, 2]),
        ([[1, 1, 1], [0, 2, 0], [0, 0, 3]], [3, 2, 1, 5, 5]),
        ([[1, 1, 1], [1, 1, 0], [0, 0, 0]], [3, 1, 1, 1, math.nan]),
        ([[0, 1, 1], [0, 0, 1]], [2, 2, 2, 5, 5]),
        ([[0, 1, 1], [0, 0, 0]], [2, 1, 2, 2, math.nan]),
        ([[0, 0, 0]], [1, 0, math.nan, math.nan, math.nan]),
    ],
)
def test_the_first_epoch_is_that_of_more_than_half_of_the_seeds(by_seed, expected):
    found = first_epochs(counts(*by_seed))
    np.testing.assert_array_equal(found[["seeds", "found", "first", "latest", "epoch"]].to_numpy(float)[0], expected)


def test_a_class_that_is_untested_in_one_seed_has_no_first_epoch_but_a_reason():
    found = first_epochs(counts([1, 1, 1], [1, math.nan, 1])).iloc[0]
    assert math.isnan(found["epoch"])
    assert found["reason"] == "too few patients"


def test_the_order_of_the_rows_does_not_matter():
    table = counts([0, 1, 1], [1, 1, 1])
    pd.testing.assert_frame_equal(first_epochs(table), first_epochs(table.iloc[::-1]))


def test_a_table_without_a_test_of_units_has_no_first_epochs():
    assert first_epochs(counts([1, 1, 1]).assign(metric="auroc")).empty
