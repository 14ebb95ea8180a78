from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from feature_scene import CLASSES, made_data, made_network, write_run
from sklearn.metrics import roc_auc_score
from torch import nn

from tailscope.core import SilentProgress, read_json
from tailscope.experiment.comparing import estimate_table
from tailscope.experiment.features import read_features, read_head
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.performance_samples import performance_samples
from tailscope.experiment.probe_table import PROBE_TABLE_COLUMNS, probe_table
from tailscope.experiment.probing import look_at_probes, probes_path
from tailscope.experiment.representation_samples import SWAP_COLUMNS, probe_samples, swap_samples, swap_table
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import auroc, resampled_auroc
from tailscope.representation.probes import LabelledFeatures, fit_probes
from tailscope.stats import ComparisonSettings, compare

DATA = made_data()
GRID = RunGrid(("control", "focal"), (0, 1), ("control-s0", "control-s1", "focal-s0", "focal-s1"))
BLIND = torch.diag(torch.tensor([0.0, 1.0, 1.0]))  # the colour that shows a mass is gone from the features


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Arm focal has control's features without the first colour, and another head; probes are fitted."""
    found = ExperimentFolder(tmp_path_factory.mktemp("probing"))
    for number, name in enumerate(GRID.names):
        mixing = torch.eye(3) if number < 2 else BLIND
        run = write_run(found, name, made_network(number, mixing=mixing), DATA)
        look_at_probes(found, run, DATA, SilentProgress())
    return found


@pytest.fixture(scope="module")
def test_set():
    rows = DATA.rows("test")
    return TestSet(CLASSES, ("head", "tail"), DATA.image_ids[rows], DATA.patient_ids[rows], DATA.targets[rows], 60, 0)


def expected_auroc(scores, targets):
    known = ~np.isnan(targets)
    return roc_auc_score(targets[known], scores[known])


def test_the_evidence_holds_the_probe_logit_of_every_test_image_and_class(folder):
    table = pd.read_parquet(folder.evidence("representation", "control-s0"))
    parts = [read_features(folder, "control-s0", split, DATA) for split in ("train", "val", "test")]
    expected = fit_probes(*parts[:2]).scores(parts[2].features)
    assert (table["metric"] == "probe_logit").all()
    assert (table["reason"] == "").all()
    wide = table.pivot(index="image_id", columns="class", values="value")
    found = wide.loc[DATA.image_ids[DATA.rows("test")], list(CLASSES)].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_ridge_of_every_class_is_the_one_with_the_lowest_loss(folder):
    classes = read_json(probes_path(folder, "control-s0"))["classes"]
    assert tuple(classes) == CLASSES
    for about in classes.values():
        losses = about["validation_loss"]
        assert about["ridge"] == float(min(losses, key=losses.get))


def test_the_batch_size_of_the_features_moves_no_probe(tmp_path):
    found = []
    for size in (1, 16):
        folder = ExperimentFolder(tmp_path / str(size))
        look_at_probes(folder, write_run(folder, "control-s0", made_network(), DATA, size), DATA, SilentProgress())
        found.append(pd.read_parquet(folder.evidence("representation", "control-s0"))["value"])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_class_without_training_positives_is_undefined_and_says_why(tmp_path, test_set):
    targets = DATA.targets.copy()
    targets[DATA.rows("train"), 1] = 0
    data = dataclasses.replace(DATA, targets=targets)
    folder = ExperimentFolder(tmp_path)
    for name in GRID.names:
        look_at_probes(folder, write_run(folder, name, made_network(), data), data, SilentProgress())
    assert read_json(probes_path(folder, "control-s0"))["classes"]["hernia"]["ridge"] is None
    cells = {
        cell.class_name: cell for cell in probe_samples(test_set, GRID, folder.table("representation", GRID.names))
    }
    assert cells["hernia"].reason == "no positive training image"
    assert np.isnan(cells["hernia"].values).all()
    np.testing.assert_array_equal(cells["macro"].values, cells["mass"].values)


def test_a_network_without_features_is_named_not_estimable_throughout(tmp_path, test_set):
    folder = ExperimentFolder(tmp_path)
    convolution = nn.Sequential(nn.Unflatten(1, (3, 1, 1)), nn.Conv2d(3, 2, 1), nn.Flatten())
    for number, name in enumerate(GRID.names):
        network = made_network(head=convolution) if number == 3 else made_network()
        look_at_probes(folder, write_run(folder, name, network, DATA), DATA, SilentProgress())
    cells = [
        *probe_samples(test_set, GRID, folder.table("representation", GRID.names)),
        *swap_samples(folder, DATA, test_set, GRID),
    ]
    assert all("must be a linear layer" in cell.reason for cell in cells if not cell.is_aggregate)
    swaps = swap_table(folder, DATA, test_set, GRID)
    assert swaps["auroc"].isna().all()
    assert swaps["reason"].str.contains("must be a linear layer").all()


def test_probe_samples_hold_the_auroc_of_the_test_scores_and_of_every_resample(folder, test_set):
    cells = list(probe_samples(test_set, GRID, folder.table("representation", GRID.names)))
    assert [cell.class_name for cell in cells] == ["mass", "hernia", "macro", "head", "tail"]
    assert {(cell.lens, cell.metric, cell.direction) for cell in cells} == {("representation", "probe_auroc", "higher")}
    labels = test_set.targets[:, 0]
    draws = test_set.draw(np.stack([labels == 1, labels == 0], axis=1))
    per_seed = []
    for seed in (0, 1):
        table = pd.read_parquet(folder.evidence("representation", f"focal-s{seed}"))
        scores = table[table["class"] == "mass"].set_index("image_id")["value"].loc[test_set.image_ids].to_numpy()
        np.testing.assert_allclose(cells[0].values[1, seed], expected_auroc(scores, labels), rtol=1e-12)
        per_seed.append(resampled_auroc(scores, labels, draws.multiplicity)[:, 0])
    np.testing.assert_allclose(cells[0].resampled[1], np.mean(per_seed, axis=0), rtol=1e-12)


def test_the_order_of_the_evidence_changes_nothing(folder, test_set):
    table = folder.table("representation", GRID.names)
    one = next(probe_samples(test_set, GRID, table))
    other = next(probe_samples(test_set, GRID, table.sample(frac=1, random_state=0)))
    np.testing.assert_array_equal(one.values, other.values)


def test_a_colour_that_a_treatment_drops_is_missed_by_the_probe_of_its_class_alone(folder, test_set):
    cells = list(probe_samples(test_set, GRID, folder.table("representation", GRID.names)))
    mass, hernia = (cell.values.mean(axis=1) for cell in cells[:2])
    assert mass[0] - mass[1] > 0.15
    assert abs(hernia[0] - hernia[1]) < 0.05


def test_the_swap_table_holds_the_auroc_of_every_pair_of_features_and_head_of_one_seed(folder, test_set):
    table = swap_table(folder, DATA, test_set, GRID)
    assert tuple(table.columns) == SWAP_COLUMNS
    assert len(table) == 2 * 2 * 4  # seeds, classes, combinations; control is not swapped with itself
    for row in table.to_dict("records"):
        assert row["arm"] == "focal"
        features, head = (f"{row[part]}-s{row['seed']}" for part in ("features_of", "head_of"))
        logits = read_head(folder, head).logits(read_features(folder, features, "test", DATA).features)
        number = CLASSES.index(row["class"])
        expected = expected_auroc(logits[:, number], test_set.targets[:, number])
        np.testing.assert_allclose(row["auroc"], expected, rtol=1e-12)


def test_a_class_without_test_positives_has_no_swap_and_says_why(folder, test_set):
    targets = np.column_stack([test_set.targets[:, 0], np.zeros_like(test_set.targets[:, 1])])
    table = swap_table(folder, DATA, dataclasses.replace(test_set, targets=targets), GRID)
    gone = table[table["class"] == "hernia"]
    assert gone["auroc"].isna().all()
    assert set(gone["reason"]) == {"no positive test image"}
    assert set(table.loc[table["class"] == "mass", "reason"]) == {""}


@pytest.mark.parametrize(
    ("metric", "features", "head"),
    [("auroc_with_control_head", "focal", "control"), ("auroc_with_control_features", "control", "focal")],
)
def test_swapped_halves_are_compared_with_control_as_it_is(folder, test_set, metric, features, head):
    cell = next(cell for cell in swap_samples(folder, DATA, test_set, GRID) if cell.metric == metric)
    for arm, halves in enumerate([("control", "control"), (features, head)]):
        for seed in (0, 1):
            rows, layer = (f"{half}-s{seed}" for half in halves)
            logits = read_head(folder, layer).logits(read_features(folder, rows, "test", DATA).features)
            np.testing.assert_allclose(cell.values[arm, seed], auroc(logits, test_set.targets)[0], rtol=1e-12)


def test_the_probe_table_has_control_without_a_verdict_and_every_treatment_with_a_sentence(folder, test_set):
    logits = np.stack(
        [read_head(folder, run).logits(read_features(folder, run, "test", DATA).features) for run in GRID.names]
    )
    samples = [
        *performance_samples(test_set, GRID, logits),
        *probe_samples(test_set, GRID, folder.table("representation", GRID.names)),
    ]
    findings = compare(samples, ComparisonSettings(primary=("probe_auroc",)))
    table = probe_table(findings, estimate_table(samples))
    assert tuple(table.columns) == PROBE_TABLE_COLUMNS
    assert set(zip(table["arm"], table["class"], strict=True)) == {
        (arm, name) for arm in GRID.arms for name in ("mass", "hernia", "macro", "head", "tail")
    }
    control = table[table["arm"] == "control"]
    assert (control[["verdict", "sentence"]] == "").all(axis=None)
    assert control[["probe_auroc", "head_auroc"]].notna().all(axis=None)
    treated = table[table["arm"] == "focal"]
    assert set(treated["verdict"]) == {"undecided"}  # two seeds decide nothing
    assert treated["sentence"].str.len().gt(0).all()
    difference = treated["probe_auroc"].to_numpy() - control["probe_auroc"].to_numpy()
    np.testing.assert_allclose(treated["probe_difference"], difference, atol=1e-12)


def test_labelled_features_of_a_split_are_those_of_its_images(folder):
    part = read_features(folder, "focal-s0", "val", DATA)
    assert isinstance(part, LabelledFeatures)
    assert (part.features[:, 0] == 0).all()
